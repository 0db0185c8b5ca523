"""Class activation maps against GradCAM of the package grad-cam (pytorch-grad-cam).

For a network that ends in a global average and one linear layer the gradient of a class's logit
with respect to the last features is that class's weight over the number of cells, everywhere alike:
GradCAM (Selvaraju et al., ICCV 2017, appendix A) is the class activation map, over that number.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from sscdl._torchvision import torchvision
from sscdl.evaluation.attention import (
    attention_share,
    class_activation_map,
    resize_map,
    stretched_map,
)
from sscdl.training.backbones import build_backbone

package = pytest.importorskip(
    "pytorch_grad_cam", reason="the reference is the package grad-cam (requirements-dev.in)"
)
CLASSES, SIDE = 3, 96
CELLS = (SIDE // 32) ** 2
TARGETS = [0, 1, 2, 0, 1, 2]  # one class for each image
IMAGES = len(TARGETS)


class Recorded(package.GradCAM):
    """GradCAM that keeps its map as it is before clipping, scaling and resizing."""

    def get_cam_image(self, *arguments, **options):
        self.raw = super().get_cam_image(*arguments, **options)
        return self.raw


class Both(NamedTuple):
    """Maps of the same network and images by both programs, (IMAGES, h, w) or at full size."""

    ours: Tensor  # of the classes TARGETS
    raw: Tensor  # GradCAM's, of these classes
    picture: Tensor  # the same after clipping, stretching and resizing
    classes: Tensor  # the predicted classes
    predicted: Tensor  # our maps of them
    predicted_picture: Tensor


def reference_network(name: str) -> tuple[nn.Module, nn.Module, nn.Linear]:
    """Return torchvision's own network with random weights, its last features and its head."""
    network = getattr(torchvision.models, name)(weights=None, num_classes=CLASSES)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
    if name != "densenet121":
        return network.eval(), network.layer4[-1], network.fc
    # Its last ReLU is a function, which no hook can reach: the same network, with a layer for it.
    layers = [network.features, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, network.classifier).eval(), layers[1], network.classifier


@pytest.fixture(scope="module", params=["resnet18", "resnet50", "densenet121"])
def both(request) -> Both:
    torch.manual_seed(5)
    network, last, head = reference_network(request.param)
    found = {k: v for k, v in network.state_dict().items() if not k.startswith(("fc.", "4."))}
    if request.param == "densenet121":
        found = {f"features.{name.removeprefix('0.')}": v for name, v in found.items()}
    backbone = build_backbone(request.param)
    backbone.load_state_dict(found)
    images = torch.randn(IMAGES, 3, SIDE, SIDE)
    with torch.no_grad():
        features = backbone.eval().features(images)
        head.weight[2].abs_()  # maps of this class are positive everywhere
        head.bias.zero_()
        head.bias.sub_(head(features.mean(dim=(2, 3))).mean(dim=0))  # no class always wins
        predicted = head(features.mean(dim=(2, 3))).argmax(dim=1)
    rows = head.weight.detach().clone()
    targets = [package.utils.model_targets.ClassifierOutputTarget(k) for k in TARGETS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cam = Recorded(network, [last])
        picture, raw = cam(images, targets), cam.raw
        predicted_picture = cam(images, None)  # no target: the most probable class
    return Both(
        ours=class_activation_map(features, rows[TARGETS]),
        raw=torch.from_numpy(raw),
        picture=torch.from_numpy(picture),
        classes=predicted,
        predicted=class_activation_map(features, rows[predicted]),
        predicted_picture=torch.from_numpy(predicted_picture),
    )


def test_map_is_that_of_gradcam_times_the_number_of_cells(both):
    assert both.ours.shape == (IMAGES, SIDE // 32, SIDE // 32)
    tiny = 1e-5 * float(both.raw.abs().max())
    torch.testing.assert_close(both.ours / CELLS, both.raw, rtol=1e-3, atol=tiny)
    # Maps of one sign would not tell whether both agree on what speaks against a class.
    assert (both.raw > 0).any()
    assert (both.raw < 0).any()


def test_stretched_map_and_its_ail_are_those_of_gradcam(both):
    stretched = stretched_map(both.ours, SIDE)
    torch.testing.assert_close(stretched, both.picture, rtol=0, atol=2e-4)
    lungs = torch.zeros(IMAGES, SIDE, SIDE, dtype=torch.bool)
    lungs[:, 15:75, 11:41] = lungs[:, 15:75, 55:85] = True
    theirs = attention_share(both.picture, lungs)
    torch.testing.assert_close(
        attention_share(stretched, lungs), theirs, rtol=0, atol=1e-4, equal_nan=True
    )
    # Without stretching AIL is another number: so this test tells the two apart.
    positive = (both.raw > 0).flatten(1).all(dim=1)
    plain = attention_share(resize_map(both.ours, SIDE), lungs)
    assert positive[2]
    assert not positive.all()
    assert ((plain - theirs)[positive].abs() > 1e-3).all()


def test_both_explain_the_class_that_is_predicted(both):
    assert len(both.classes.unique()) > 1
    ours = stretched_map(both.predicted, SIDE)
    torch.testing.assert_close(ours, both.predicted_picture, rtol=0, atol=2e-4)
