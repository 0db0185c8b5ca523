"""The lung segmentation network against recordings of the original, and its own promises."""

from __future__ import annotations

import io
import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from sscdl.segment.network import UVAE, normal_kl
from sscdl.segment.preprocess import preprocess
from sscdl.segment.training import loss_terms

TINY = {"latent": 3, "channels": 4, "height": 192, "width": 128}


def tiny(golden: Path, kind: str, *, per_image: bool = False) -> UVAE:
    """Return the recorded tiny network; ``kind`` is ``vae`` or ``unet``."""
    network = UVAE(**TINY, unet=kind == "unet", per_image=per_image)
    network.load_state_dict(torch.load(golden / f"ckpt/tiny_{kind}.pt", weights_only=True))
    return network


def tiny_input(golden: Path) -> torch.Tensor:
    return torch.from_numpy(np.load(golden / "tiny/input.npz")["x"])


def deviation(ours: torch.Tensor, theirs: np.ndarray) -> float:
    return float(np.abs(ours.detach().numpy() - theirs).max())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("default_vae", {}), ("default_unet_hid24", {"channels": 24, "unet": True})],
)
def test_state_dict_has_the_original_keys_order_and_shapes(
    lungvae_golden: Path, name: str, arguments: dict
) -> None:
    expected = json.loads((lungvae_golden / f"ckpt/{name}_keys.json").read_text())
    ours = UVAE(**arguments).state_dict()
    assert [(k, [list(v.shape), str(v.dtype)]) for k, v in ours.items()] == list(expected.items())


@pytest.mark.parametrize(
    "case",
    [
        "vae_train_mean",
        "vae_train_eps",
        "vae_eval_mean",
        "vae_eval_eps",
        "unet_train_none",
        "unet_eval_none",
    ],
)
def test_agrees_with_the_original_in_every_intermediate(lungvae_golden: Path, case: str) -> None:
    kind, mode, _ = case.split("_")
    expected = np.load(lungvae_golden / f"tiny/tiny_{case}.npz")
    network = tiny(lungvae_golden, kind).train(mode == "train")
    seen: dict[str, torch.Tensor] = {}
    for name, child in network.named_children():
        child.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))
    eps = torch.from_numpy(expected["eps"]) if "eps" in expected else None
    x = tiny_input(lungvae_golden)
    with torch.no_grad():
        logits, kl = network(x, eps)

    assert deviation(logits, expected["logits"]) < 1e-3
    assert float(kl) == pytest.approx(float(expected["kl"].squeeze()), rel=1e-4)
    inner = {}
    for key in expected.files:
        if key.startswith("out_"):
            name, _, step = key.removeprefix("out_").partition("_s")
            out = seen[name]
            if step:
                out = out[:, :, :: int(step), :: int(step)]
            inner[key] = deviation(out, expected[key])
        elif key.startswith("after_"):
            state = network.state_dict()[key.removeprefix("after_")]
            inner[key] = deviation(state, expected[key])
    if kind == "vae":
        with torch.no_grad():
            mean, sigma = tiny(lungvae_golden, kind).train(mode == "train").posterior(x)
        inner["mu"] = deviation(mean, expected["mu"])
        inner["sigma"] = deviation(sigma, expected["sigma"])
    worst = max(inner, key=inner.__getitem__) if inner else "none"
    assert all(value < 1e-3 for value in inner.values()), worst
    print(
        f"\ntiny/{case}: logits {deviation(logits, expected['logits']):.1e}, "
        f"{len(inner)} others at most {inner.get(worst, 0.0):.1e} ({worst})"
    )


@pytest.mark.parametrize(
    ("name", "arguments", "recorded"),
    [
        ("default_vae", {}, "default_vae_a_square_train_mean"),
        (
            "default_unet_hid24",
            {"channels": 24, "unet": True},
            "default_unet_hid24_a_square_train_none",
        ),
    ],
)
def test_full_size_network_predicts_like_the_original(
    lungvae_golden: Path, name: str, arguments: dict, recorded: str
) -> None:
    network = UVAE(**arguments, per_image=True).eval()
    packed = lzma.decompress((lungvae_golden / f"ckpt/{name}.pt.xz").read_bytes())
    network.load_state_dict(torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True))
    field, _ = preprocess(np.asarray(Image.open(lungvae_golden / "images/a_square.png")))
    with torch.no_grad():
        logits, kl = network(torch.from_numpy(field)[None, None])
    expected = json.loads((lungvae_golden / "meta.json").read_text())[recorded]
    found = [float(logits.mean()), float(logits.std()), float((logits > 0).float().mean())]
    wanted = [expected.get("mean"), expected.get("std"), expected.get("pos")]
    assert found == pytest.approx(wanted, abs=1e-4)
    assert float(kl) == pytest.approx(expected["kl"], rel=1e-4)
    largest = max(abs(f - w) for f, w in zip(found, wanted, strict=True))
    print(f"\n{recorded}: statistics of the logits differ by at most {largest:.1e}")


def test_optimiser_steps_agree_with_the_original(lungvae_golden: Path) -> None:
    expected = np.load(lungvae_golden / "train/tiny_vae_steps.npz")
    network = tiny(lungvae_golden, "vae").train()
    x, target = tiny_input(lungvae_golden), torch.from_numpy(expected["target"])
    eps = torch.from_numpy(expected["eps"])
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4, weight_decay=1e-5)
    relative: dict[str, float] = {}

    def compare(name: str, ours: torch.Tensor) -> None:
        relative[name] = deviation(ours, expected[name]) / float(np.abs(expected[name]).max())

    for step in range(3):
        _, entropy, kl = loss_terms(network, x, target, eps)
        optimiser.zero_grad()
        (entropy + kl).backward()
        compare(f"loss{step}", entropy + kl)
        compare(f"rec{step}", entropy)
        compare(f"kl{step}", kl * len(x))
        if step == 0:
            for name, parameter in network.named_parameters():
                if f"grad_{name}" in expected:
                    compare(f"grad_{name}", parameter.grad)
        optimiser.step()
    for name, value in network.state_dict().items():
        if f"after3_{name}" in expected:
            compare(f"after3_{name}", value)
    gradients = {name: value for name, value in relative.items() if name.startswith("grad_")}
    others = {name: value for name, value in relative.items() if name not in gradients}
    print(
        f"\ntrain/tiny_vae: {len(gradients)} gradients at most {max(gradients.values()):.1e}, "
        f"{len(others)} losses and states at most {max(others.values()):.1e} (relative)"
    )
    assert max(others.values()) < 1e-3
    # The recorded gradients are that far from the recorded logits and target themselves: the one
    # of the last bias, which must be mean(sigmoid(logits) - target), is off by 1e-4.
    assert max(gradients.values()) < 5e-3


def test_plain_unet_loss_agrees_with_recorded_logits(lungvae_golden: Path) -> None:
    # The losses recorded for the U-Net do not follow from its recorded logits and target, so the
    # comparison is with the logits.
    target = np.load(lungvae_golden / "train/tiny_unet_steps.npz")["target"].astype(np.float64)
    logits = np.load(lungvae_golden / "tiny/tiny_unet_train_none.npz")["logits"].astype(np.float64)
    entropy = np.logaddexp(0.0, logits) - logits * target
    network = tiny(lungvae_golden, "unet").train()
    _, ours, kl = loss_terms(
        network, tiny_input(lungvae_golden), torch.tensor(target).float(), None
    )
    ours.backward()
    ours = ours.detach()
    assert float(kl) == 0.0
    assert float(ours) == pytest.approx(entropy.mean(), rel=1e-4)
    slope = (1.0 / (1.0 + np.exp(-logits)) - target).mean()
    assert float(network.dec12.bias.grad) == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("unet", [False, True])
def test_a_batch_gives_what_its_images_give_one_by_one(unet: bool) -> None:
    torch.manual_seed(1)
    network = UVAE(4, 4, 128, 128, unet)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.rand(3, 1, 128, 128) * torch.tensor([0.2, 1.0, 5.0]).view(3, 1, 1, 1)
    with torch.no_grad():
        together, kl = network(images)
        alone = [network(image[None]) for image in images]
    torch.testing.assert_close(together, torch.cat([a[0] for a in alone]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(kl, torch.stack([a[1] for a in alone]).sum())
    assert all(torch.equal(before[name], v) for name, v in network.state_dict().items())


def test_one_image_is_normalised_as_batch_statistics_would() -> None:
    torch.manual_seed(2)
    own = UVAE(4, 4, 128, 128, per_image=True).eval()
    batch = UVAE(4, 4, 128, 128, per_image=False).train()
    batch.load_state_dict(own.state_dict())
    image = torch.rand(1, 1, 128, 128)
    torch.testing.assert_close(own(image)[0], batch(image)[0], atol=1e-5, rtol=1e-5)


def test_prediction_is_deterministic_and_eps_matters() -> None:
    torch.manual_seed(3)
    network = UVAE(4, 4, 128, 128)
    image = torch.rand(1, 1, 128, 128)
    with torch.no_grad():
        assert torch.equal(network(image)[0], network(image)[0])
        assert torch.equal(network(image)[0], network(image, torch.zeros(1, 4))[0])
        assert not torch.equal(network(image)[0], network(image, torch.ones(1, 4))[0])


def test_kl_agrees_with_torch_distributions() -> None:
    mean, sigma = torch.randn(5, 3), torch.rand(5, 3) + 1.0
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, sigma), normal(0.0, 1.0))
    torch.testing.assert_close(normal_kl(mean, sigma), expected)


def test_loss_is_mean_entropy_plus_kl_per_image() -> None:
    torch.manual_seed(4)
    network = UVAE(4, 4, 128, 128)
    images, masks = torch.rand(2, 1, 128, 128), (torch.rand(2, 1, 128, 128) > 0.5).float()
    with torch.no_grad():
        logits, entropy, kl = loss_terms(network, images, masks, None)
        expected = F.binary_cross_entropy(torch.sigmoid(logits), masks)
        torch.testing.assert_close(entropy, expected)
        torch.testing.assert_close(kl, network(images)[1] / 2)


@pytest.mark.parametrize("field", [(64, 64), (100, 128), (128, 96)])
def test_refuses_fields_it_cannot_halve(field: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 64"):
        UVAE(height=field[0], width=field[1])
