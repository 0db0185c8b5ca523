from __future__ import annotations

from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sscdl._torchvision import torchvision
from sscdl.errors import InputError
from sscdl.stages.roots import load_given, load_named
from sscdl.training.backbones import build_backbone, imagenet_weights, load_root
from sscdl.training.network_names import TORCHVISION, torchvision_map_side

models = torchvision.models
ALL = [("resnet18", 2), ("resnet18", 3), ("resnet18", 4), ("resnet34", 3), ("resnet34", 4),
       ("resnet50", 2), ("resnet50", 4), ("densenet121", 4)]  # fmt: skip


def pixels(size: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def saved(tmp_path, state, suffix=".pth"):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize(("name", "last_stage"), ALL)
def test_state_dict_loads_strictly_into_torchvision(name, last_stage):
    backbone = build_backbone(name, last_stage).eval()
    theirs = getattr(models, name)(weights=None).eval()
    for stage in range(last_stage + 1, 5):
        setattr(theirs, f"layer{stage}", nn.Identity())
    setattr(theirs, "classifier" if name == "densenet121" else "fc", nn.Identity())
    theirs.load_state_dict(backbone.state_dict(), strict=True)
    with torch.no_grad():
        pooled = backbone(pixels())
        torch.testing.assert_close(pooled, theirs(pixels()))
        features = backbone.features(pixels())
    assert pooled.shape == (2, backbone.channels)
    assert features.shape[:2] == (2, backbone.channels)
    assert features.min() >= 0
    torch.testing.assert_close(features.mean(dim=(2, 3)), pooled)


@pytest.mark.parametrize("size", [32, 65, 97])
@pytest.mark.parametrize(("name", "last_stage"), [*ALL[:3], ALL[-1]])
def test_torchvision_map_side_is_what_the_network_gives(name, last_stage, size):
    with torch.no_grad():
        features = build_backbone(name, last_stage).eval().features(pixels(size))
    assert features.shape[2:] == (torchvision_map_side(name, last_stage, size),) * 2
    assert build_backbone(name, last_stage).map_size(size) == features.shape[2]


def test_every_weight_gets_a_gradient():
    for name in TORCHVISION:
        backbone = build_backbone(name)
        backbone(pixels(40)).square().sum().backward()
        assert all(p.grad is not None for p in backbone.parameters()), name


@pytest.mark.parametrize(
    ("name", "last_stage", "match"),
    [
        ("resnet35", 4, "did you mean .*resnet34"),
        ("resnet18", 1, "last_stage"),
        ("densenet121", 3, "last_stage"),
    ],
)
def test_unknown_networks_are_refused(name, last_stage, match):
    with pytest.raises(InputError, match=match):
        build_backbone(name, last_stage)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("last_stage", [2, 4])
def test_load_root_takes_a_full_torchvision_file(tmp_path, suffix, last_stage):
    full = models.resnet18(weights=None).state_dict()
    backbone = build_backbone("resnet18", last_stage)
    load_root(backbone, saved(tmp_path, full, suffix))
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, full[key]), key


@pytest.mark.parametrize(
    "prefix", ["module.", "backbone.", "module.backbone.", "module.encoder_q."]
)
@pytest.mark.parametrize("nesting", ["state_dict", "model", None])
def test_given_weights_are_found_under_prefixes_and_nesting(tmp_path, prefix, nesting):
    full = models.resnet18(weights=None).state_dict()
    state = {prefix + key: value for key, value in full.items()}
    state[prefix.split(".")[0] + ".queue" if "." in prefix[:-1] else "neck.0.weight"] = full[
        "fc.bias"
    ]
    backbone = build_backbone("resnet18")
    load_given(backbone, saved(tmp_path, {nesting: state} if nesting else state))
    assert torch.equal(backbone.layer4[1].conv2.weight, full["layer4.1.conv2.weight"])
    assert torch.equal(backbone.bn1.running_mean, full["bn1.running_mean"])


def test_load_root_takes_old_files(tmp_path):
    full = {
        key: value
        for key, value in models.resnet18(weights=None).state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    load_root(build_backbone("resnet18"), saved(tmp_path, full))
    dense = models.densenet121(weights=None).state_dict()
    old = {}
    for key, value in dense.items():
        for kind in ("norm", "conv"):
            for number in "12":
                if "denselayer" in key:
                    key = key.replace(f".{kind}{number}.", f".{kind}.{number}.")
        old[key] = value
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    backbone = build_backbone("densenet121")
    load_root(backbone, saved(tmp_path, old))
    key = "features.denseblock2.denselayer3.conv2.weight"
    assert torch.equal(backbone.state_dict()[key], dense[key])


def test_load_root_names_what_does_not_fit(tmp_path):
    backbone = build_backbone("resnet18")
    state = models.resnet18(weights=None).state_dict()
    without = {k: v for k, v in state.items() if k != "layer2.0.conv1.weight"}
    with pytest.raises(InputError, match=r"1 missing: layer2\.0\.conv1\.weight"):
        load_root(backbone, saved(tmp_path, without))
    with pytest.raises(InputError, match="unknown: layer1.2.conv1.weight"):
        load_root(backbone, saved(tmp_path, models.resnet34(weights=None).state_dict()))
    gray = {**state, "conv1.weight": state["conv1.weight"][:, :1]}
    with pytest.raises(InputError, match=r"1 of another shape: conv1\.weight"):
        load_root(backbone, saved(tmp_path, gray))


def test_load_root_refuses_files_that_hold_no_weights(tmp_path):
    backbone = build_backbone("resnet18", 2)
    with pytest.raises(InputError, match="does not exist"):
        load_root(backbone, tmp_path / "nothing.pth")
    with pytest.raises(InputError, match="no named tensors; save model.state_dict"):
        load_root(backbone, saved(tmp_path, {"epoch": 3}))
    with pytest.raises(InputError, match="holds objects .* besides tensors"):
        load_root(backbone, saved(tmp_path, {"model": nn.Linear(2, 2)}))
    for suffix in (".pth", ".safetensors"):
        broken = tmp_path / f"broken{suffix}"
        broken.write_bytes(b"not weights at all")
        with pytest.raises(InputError, match="neither a safetensors file nor one of torch"):
            load_root(backbone, broken)
    other = tmp_path / "weights.h5"
    other.touch()
    with pytest.raises(InputError, match="is an empty file"):
        load_root(backbone, other)


def test_imagenet_weights_prefers_a_given_file(tmp_path):
    file = tmp_path / "mine.pth"
    with pytest.raises(InputError, match="mine.pth"):
        imagenet_weights("resnet50", file)
    file.touch()
    assert imagenet_weights("resnet50", file) == file


def test_imagenet_weights_come_from_the_cache_or_explain_themselves(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(InputError, match="roots.imagenet.*TORCH_HOME.*drop imagenet"):
        imagenet_weights("resnet18", None)
    cached = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    full = models.resnet18(weights=None).state_dict()
    torch.save(full, cached)
    assert imagenet_weights("resnet18", None) == cached
    backbone = build_backbone("resnet18", 2)
    load_named(backbone, "imagenet", None)
    assert torch.equal(backbone.conv1.weight, full["conv1.weight"])


def test_download_asks_for_the_published_file_and_its_hash(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(
        torch.hub, "download_url_to_file", lambda *args, **kwargs: asked.append((args, kwargs))
    )
    imagenet_weights("resnet50", None)
    (url, target), options = asked[0]
    assert url == "https://download.pytorch.org/models/resnet50-0676ba61.pth"
    assert target == str(tmp_path / "hub" / "checkpoints" / "resnet50-0676ba61.pth")
    assert options["hash_prefix"] == "0676ba61"


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_weights_are_those_of_timms_network_too(name):
    import timm

    torch.manual_seed(0)
    ours = build_backbone(name).eval()
    theirs = timm.create_model(name, num_classes=0).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(theirs(x), ours(x))
