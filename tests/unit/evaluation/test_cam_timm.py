"""Class activation maps of networks of timm, against what others make of timm's own networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sscdl.evaluation.classifier import CamNetwork, load_classifier
from sscdl.training.backbones import build_backbone  # imports torchvision safely
from sscdl.training.timm_checks import timm_arguments

import timm  # isort: skip

CLASSES = ["a", "b", "c"]
MEAN, STD = 0.45, 0.27
TRIED = [("vit_tiny_patch16_224", 96), ("convnext_tiny", 64), ("efficientnet_b0", 64)]


def both(name: str, size: int) -> tuple[CamNetwork, torch.nn.Module]:
    """Return a classifier of the workflow, and timm's network of the same weights."""
    torch.manual_seed(4)
    arguments = timm_arguments(name, size)
    theirs = timm.create_model(name, num_classes=len(CLASSES), **arguments)
    with torch.no_grad():
        for one in theirs.parameters():
            one += 0.03 * torch.randn_like(one)
    backbone = build_backbone(name, image_size=size)
    weight, bias = load_classifier(backbone, theirs.state_dict())
    ours = CamNetwork(
        backbone, weight, bias, classes=CLASSES, size=size, mean=MEAN, std=STD,
        device=torch.device("cpu"),
    )  # fmt: skip
    return ours, theirs.eval()


def pictures(size: int) -> torch.Tensor:
    return torch.randint(0, 256, (4, size, size), dtype=torch.uint8)


def shown(images: torch.Tensor) -> torch.Tensor:
    return ((images[:, None] / 255 - MEAN) / STD).expand(-1, 3, -1, -1)


@pytest.mark.parametrize(("name", "size"), TRIED)
def test_the_average_of_each_map_is_timms_logit(name, size):
    ours, theirs = both(name, size)
    images = pictures(size)
    chances, maps = ours.explain(images)
    with torch.no_grad():
        logits = theirs(shown(images))
    torch.testing.assert_close(chances, logits.softmax(dim=1), rtol=1e-4, atol=1e-5)
    found = (maps.mean(dim=(2, 3)) + ours.bias).detach()
    torch.testing.assert_close(found, logits, rtol=1e-4, atol=1e-4)
    assert maps.flatten(2).std(dim=2).min() > 0


def test_a_transformers_map_is_gradcams():
    """GradCAM of the package grad-cam at the final norm, whose gradient is the classifier's row."""
    package = pytest.importorskip("pytorch_grad_cam", reason="requirements-dev.in")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    name, size = TRIED[0]
    ours, theirs = both(name, size)
    images = pictures(size)
    cells = size // 16

    class Recorded(package.GradCAM):
        def get_cam_image(self, *arguments, **options):
            self.raw = super().get_cam_image(*arguments, **options)
            return self.raw

    cam = Recorded(
        model=theirs, target_layers=[theirs.norm],
        reshape_transform=lambda x: x[:, 1:].unflatten(1, (cells, cells)).permute(0, 3, 1, 2),
    )  # fmt: skip
    for number in range(len(CLASSES)):
        cam(shown(images).clone(), [targets.ClassifierOutputTarget(number)] * len(images))
        maps = ours.explain(images)[1][:, number].detach().numpy()
        np.testing.assert_allclose(maps, cam.raw * cells**2, rtol=1e-3, atol=1e-3)


def test_a_normalised_map_is_that_of_its_average():
    """ConvNeXt: each cell's part in the logit, from timm's own layers in double precision."""
    name, size = TRIED[1]
    ours, theirs = both(name, size)
    images = pictures(size)
    with torch.no_grad():
        found = theirs.forward_features(shown(images)).double().numpy()
    norm, row = theirs.head.norm, theirs.head.fc.weight[1].detach().double().numpy()
    gain, shift = (one.detach().double().numpy() for one in (norm.weight, norm.bias))
    average = found.mean(axis=(2, 3))
    mean, spread = average.mean(axis=1), np.sqrt(average.var(axis=1) + norm.eps)
    scaled = (found - mean[:, None, None, None]) / spread[:, None, None, None]
    expected = np.einsum("bchw,c->bhw", scaled * gain[:, None, None] + shift[:, None, None], row)
    maps = ours.explain(images)[1][:, 1].detach().numpy()
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-3)


def test_weights_of_another_classifier_are_told():
    backbone = build_backbone("vit_tiny_patch16_224", image_size=32)
    with pytest.raises(RuntimeError, match="it has no head.weight and no head.bias"):
        load_classifier(backbone, backbone.state_dict())
