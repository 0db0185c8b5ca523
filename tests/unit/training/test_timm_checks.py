"""What is found out about a network of timm before it is trained, and which ones are refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sscdl.errors import InputError
from sscdl.training import timm_checks
from sscdl.training.backbones import build_backbone
from sscdl.training.network_facts import Facts, known_facts, map_notes, network_facts
from sscdl.training.network_names import network_of

VIT = "vit_tiny_patch16_224"


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [
        ("vit_tiny_patch16_244", 96, "have 'vit_tiny_patch16_244'; did you mean vit_tiny_patch16"),
        ("no such thing", 96, r"have 'no such thing'; timm.list_models\(\) lists them"),
        ("resnet19", 96, "did you mean .*resnet18"),
        ("convnext_tiny", 32, "its last map has 1 x 1 cells, which tell of no place"),
        (VIT, 100, "patches have 16 px, and 100 is no multiple of that; 96 and 112 are"),
        ("mobilenetv3_small_050", 64, "no average of its map: conv_head.weight"),
        ("cait_xxs24_224", 32, "no average of its map: cls_token"),
        ("deit_tiny_distilled_patch16_224", 32, "no classifier of it that takes .*distilled head"),
        ("levit_128", 128, "not one linear layer on that average.*: head"),
        ("dla34", 64, r"not one linear layer on that average.*: fc.weight \(1 in all\)"),
        ("beit_base_patch16_224", 72, "patches have 16 px, and 72 is no multiple.*64 and 80 are"),
        ("test_convnext", 66, "it does not see the last 2 rows and the last 2 columns"),
    ],
)
def test_what_cannot_be_a_backbone_is_refused_with_the_reason(name, size, told):
    with pytest.raises(InputError, match=told):
        timm_checks.inspect(name, size)


def test_what_is_found_is_kept_and_read_again(tmp_path, monkeypatch):
    backbone = network_of({"name": VIT, "last_stage": 4}, 64)
    assert known_facts(backbone, 64, tmp_path) is None
    found = network_facts(backbone, 64, tmp_path)
    real = build_backbone(VIT, image_size=64)
    size = sum(one.numel() * one.element_size() for one in real.state_dict().values())
    assert found == Facts(4, 192, size, other_sizes=True)
    monkeypatch.setattr(timm_checks, "inspect", None)
    assert network_facts(backbone, 64, tmp_path) == found
    (note,) = map_notes(backbone, 64, tmp_path)
    assert note.startswith("The last map of vit_tiny_patch16_224 has 4 x 4 cells at 64 px, fewer")
    assert map_notes({"name": "resnet18", "last_stage": 2}, 64, tmp_path) == []
    assert map_notes({"name": "resnet18", "last_stage": 4}, 64, tmp_path)
    (record,) = (tmp_path / "networks").iterdir()
    record.write_text("{")
    assert known_facts(backbone, 64, tmp_path) is None


def test_a_network_of_one_size_says_so():
    found = timm_checks.inspect("mixer_s16_224", 64)
    assert found["map_side"] == 4
    assert not found["other_sizes"]


@pytest.mark.parametrize(
    "name",
    [
        VIT, "vit_small_patch16_224", "convnext_tiny", "efficientnet_b0", "test_vit",
        "test_convnext", "test_efficientnet",
    ],
)  # fmt: skip
def test_those_in_use_are_taken(name):
    assert timm_checks.inspect(name, 64)["map_side"] >= 2


class Noise(nn.Module):
    """A layer that is no dropout by its class, and is by what it does."""

    def __init__(self, generator: torch.Generator | None, size: float) -> None:
        super().__init__()
        self.generator, self.size = generator, size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.size * torch.rand(x.shape, generator=self.generator) if self.training else x


@pytest.mark.parametrize(
    ("generator", "size"), [(None, 1.0), (torch.Generator().manual_seed(0), 1.0), (None, 1e-9)]
)
def test_what_draws_while_it_trains_is_refused(monkeypatch, generator, size):
    def noisy(name, image_size):
        found = build_backbone(name, image_size=image_size)
        found.network.pos_drop = Noise(generator, size)
        return found

    state = torch.get_rng_state()
    timm_checks.inspect("test_vit", 64)
    assert torch.equal(state, torch.get_rng_state())
    monkeypatch.setattr(timm_checks, "build", noisy)
    with pytest.raises(InputError, match="test_vit .*draws random numbers while it trains"):
        timm_checks.inspect("test_vit", 64)


@pytest.mark.parametrize(
    ("name", "shared"), [("test_efficientnet", False), ("test_vit", True), ("test_convnext", True)]
)
def test_norms_with_an_activation_inside_are_not_shared_by_devices(name, shared):
    assert timm_checks.inspect(name, 64)["shared_norms"] == shared
