"""What the lung segmentation network promises (test_segment_golden: the original's numbers)."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from sscdl.segment.networks.uvae import UVAE, normal_kl
from sscdl.segment.training.published import loss_terms


@pytest.mark.parametrize("unet", [False, True])
def test_a_batch_gives_what_its_images_give_one_by_one(unet: bool) -> None:
    torch.manual_seed(1)
    # In float32 the rounding of a batch's convolutions differs from processor to processor.
    network = UVAE(4, 4, 128, 128, unet).double()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = torch.rand(3, 1, 128, 128) * torch.tensor([0.2, 1.0, 5.0]).view(3, 1, 1, 1)
    images = images.double()
    with torch.no_grad():
        together, kl = network(images)
        alone = [network(image[None]) for image in images]
    torch.testing.assert_close(together, torch.cat([a[0] for a in alone]), atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(kl, torch.stack([a[1] for a in alone]).sum())
    assert all(torch.equal(before[name], v) for name, v in network.state_dict().items())


@pytest.mark.parametrize(("unet", "channels"), [(False, 16), (True, 24)])
def test_a_full_size_batch_gives_what_its_images_give_whatever_their_company(
    unet: bool, channels: int
) -> None:
    torch.manual_seed(6)
    network = UVAE(8, channels, 640, 512, unet).eval()
    # Logits as far apart as those of a trained network, so that the tolerance means something.
    network.dec12.weight.data *= 100.0
    images = torch.rand(3, 1, 640, 512) ** torch.tensor([0.5, 1.0, 3.0]).view(3, 1, 1, 1)
    with torch.no_grad():
        alone = torch.cat([network(image[None])[0] for image in images])
        together = network(images)[0]
        others = network(images[[2, 0]])[0]
    assert alone.std() > 0.5
    assert (together - alone).abs().max() < 1e-3
    assert (others - alone[[2, 0]]).abs().max() < 1e-3


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


def test_the_parts_of_the_network_make_the_whole() -> None:
    torch.manual_seed(5)
    network = UVAE(4, 4, 128, 128).eval()
    image, eps = torch.rand(1, 1, 128, 128), torch.randn(1, 4)
    with torch.no_grad():
        mean, sigma = network.posterior(image)
        logits = network.decode(network.features(image), mean + sigma * eps)
        assert torch.equal(logits, network(image, eps)[0])


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
        entropy, kl = loss_terms(network, images, masks, None)
        logits, whole_kl = network(images)
        expected = F.binary_cross_entropy_with_logits(logits, masks)
        torch.testing.assert_close(entropy, expected)
        torch.testing.assert_close(kl, whole_kl / 2)


@pytest.mark.parametrize("field", [(64, 64), (100, 128), (128, 96)])
def test_refuses_fields_it_cannot_halve(field: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 64"):
        UVAE(height=field[0], width=field[1])
