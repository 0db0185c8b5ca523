"""Weights that timm publishes: which ones are ImageNet's, and why they could not be had."""

from __future__ import annotations

import pytest
import torch

from sscdl.errors import InputError
from sscdl.stages.roots import load_named
from sscdl.training.backbones import build_backbone
from sscdl.training.timm_published import check_imagenet, check_name

import timm  # isort: skip  needs what torchvision's import prepares

SMALL = "test_vit"


@pytest.fixture
def hub(monkeypatch):
    """Return a list whose first entry is what timm's published weights come to."""
    create, given = timm.create_model, []

    def published(name, pretrained=False, **arguments):
        network = create(name, **arguments)
        if not pretrained:
            return network
        if isinstance(given[0], Exception):
            raise given[0]
        with torch.no_grad():
            network.norm.bias.fill_(given[0])
        return network

    monkeypatch.setattr(timm, "create_model", published)
    return given


def test_weights_of_imagenet_are_loaded_if_they_are_finite(hub):
    backbone = build_backbone(SMALL, image_size=64)
    hub[:] = [0.5]
    load_named(backbone, "imagenet", None)
    assert backbone.state_dict()["norm.bias"].eq(0.5).all()
    hub[:] = [float("nan")]
    with pytest.raises(InputError, match="timm's test_vit is damaged: .* of norm.bias are NaN"):
        load_named(backbone, "imagenet", None)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError("no route to the hub"), r"could not be had \(no route to the hub\).*HF_HOME"),
        (KeyError("blocks"), r"could not be brought into the network \('blocks'\); give"),
    ],
)
def test_only_a_download_that_fails_speaks_of_the_internet(hub, error, told):
    hub[:] = [error]
    with pytest.raises(InputError, match=f"roots.imagenet: timm's .* of test_vit {told}") as caught:
        load_named(build_backbone(SMALL, image_size=64), "imagenet", None)
    assert ("internet" in str(caught.value)) == isinstance(error, OSError)


def test_other_weights_than_imagenets_are_refused(hub):
    for name in (SMALL, "vit_tiny_patch16_224", "vit_tiny_patch16_224.augreg_in21k_ft_in1k"):
        check_imagenet(name)
    with pytest.raises(InputError, match=r"\(augreg_in21k\) are not ImageNet's.*with roots.<name>"):
        check_imagenet("vit_tiny_patch16_224.augreg_in21k")
    with pytest.raises(InputError, match="timm publishes no weights of coatnet_0_224; give"):
        check_imagenet("coatnet_0_224")
    backbone = build_backbone("vit_tiny_patch16_224.augreg_in21k", image_size=32)
    with pytest.raises(InputError, match="take vit_tiny_patch16_224.augreg_in21k_ft_in1k, whose"):
        load_named(backbone, "imagenet", None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("vit_tiny_patch16_224.typo", "called 'typo'; did you mean vit_tiny_patch16_224.augreg"),
        ("vit_tiny_patch16_224.augreg_in1k", "mean vit_tiny_patch16_224.augreg_in21k"),
        ("vit_tiny_patch16_244.augreg_in21k", "neither .* have .*did you mean vit_tiny_patch16"),
    ],
)
def test_a_tag_that_timm_does_not_know_is_refused_with_near_ones(name, told):
    with pytest.raises(InputError, match=told):
        check_name(name)
    with pytest.raises(InputError, match=told):
        build_backbone(name, image_size=64)
