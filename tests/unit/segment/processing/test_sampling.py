"""Samples of the latent variables: repeatable, a function of the image, and uncertain where due."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sscdl.errors import InputError
from sscdl.segment.networks.checkpoint import Architecture
from sscdl.segment.predict import Segmenter
from sscdl.segment.processing.postprocess import inside_of, lung_field
from sscdl.segment.processing.preprocess import placement, preprocess, restore
from sscdl.segment.processing.sampling import Average, draws_of
from tests.unit.golden_comparison import tiny, tiny_input

FIELD = {"height": 128, "width": 128, "border": 6}


def segmenter(*, unet: bool = False) -> Segmenter:
    """Return a small random segmenter whose masks depend on the latent variables."""
    torch.manual_seed(0)
    shape = Architecture(4, 4, 128, 128, unet=unet, per_image=True, border=6)
    network = shape.build().eval()
    with torch.no_grad():
        # Random weights alone neither let the latent variables through nor have an opinion.
        for name, parameter in network.named_parameters():
            if name.startswith("bot2"):
                parameter *= 4.0
        network.dec12.weight *= 30.0
        network.dec12.bias -= network(torch.rand(1, 1, 128, 128))[0].mean()
    return Segmenter(network, shape, "")


def images(shapes: tuple[tuple[int, int], ...] = ((90, 80), (64, 120), (150, 40))) -> list:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def test_samples_are_those_of_the_network_with_the_images_own_noise() -> None:
    ours, (image, *_) = segmenter(), images()
    (found,) = ours.predict_samples([image], 5, seed=3)
    field, where = preprocess(image, **FIELD)
    maps, fields = [], []
    for eps in torch.from_numpy(draws_of(image, 5, 4, 3)):
        with torch.no_grad():
            logits, _ = ours.network(torch.from_numpy(field)[None, None], eps[None])
        fields.append(inside_of(torch.sigmoid(logits)[0, 0].numpy(), where))
        maps.append(restore(fields[-1], where))
    assert found.uncertainty.dtype == found.mean.dtype == np.float32
    assert found.uncertainty.shape == image.shape
    np.testing.assert_allclose(found.mean, np.mean(maps, axis=0), atol=1e-5)
    np.testing.assert_allclose(found.uncertainty, np.std(maps, axis=0), atol=1e-5)
    assert found.uncertainty.max() > 0.01
    assert ((found.mean > 0.5) == found.raw).mean() > 0.999
    expected = restore(lung_field(np.mean(fields, axis=0)), where) > 0.5
    assert (found.post == expected).mean() > 0.99


def test_samples_belong_to_seed_and_image_not_to_batch_or_order() -> None:
    ours, pictures = segmenter(), images()
    together = ours.predict_samples(pictures, 3, seed=1, batch_size=3)
    turned = ours.predict_samples(pictures[::-1], 3, seed=1, batch_size=2)[::-1]
    for image, a, b in zip(pictures, together, turned, strict=True):
        (alone,) = ours.predict_samples([image], 3, seed=1)
        (other,) = ours.predict_samples([image], 3, seed=2)
        for found in (a, b):
            np.testing.assert_allclose(found.mean, alone.mean, atol=1e-4)
            np.testing.assert_allclose(found.uncertainty, alone.uncertainty, atol=1e-4)
        assert np.abs(other.mean - alone.mean).max() > 1e-3
    (again,) = ours.predict_samples(pictures[:1], 3, seed=1)
    (first,) = ours.predict_samples(pictures[:1], 3, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(again, first, strict=True))


def test_draws_are_standard_normal_and_differ_between_images() -> None:
    a, b = images(((30, 30), (30, 30)))
    many = draws_of(a, 5000, 4, 0)
    assert many.mean() == pytest.approx(0.0, abs=0.03)
    assert many.std() == pytest.approx(1.0, abs=0.03)
    assert not np.array_equal(many[:3], draws_of(b, 3, 4, 0))
    assert not np.array_equal(many[:3], draws_of(a, 3, 4, 1))
    assert not np.array_equal(draws_of(a, 3, 4, 0), draws_of(a.reshape(15, 60), 3, 4, 0))
    np.testing.assert_array_equal(many[:3], draws_of(a, 3, 4, 0))


def test_one_sample_has_no_spread_and_a_blank_image_no_lung() -> None:
    blank = np.full((33, 44), 7, np.uint8)
    (single,) = segmenter().predict_samples(images()[:1], 1)
    assert not single.uncertainty.any()
    (nothing,) = segmenter().predict_samples([blank], 2)
    assert all(part.shape == (33, 44) and not part.any() for part in nothing)


def test_mean_and_spread_by_hand() -> None:
    where = placement(116, 116, **FIELD)
    average = Average(where)
    for value in (0.2, 0.4, 0.9):
        average.add(np.full((128, 128), value, np.float32))
    found = average.result(blank=False)
    np.testing.assert_allclose(found.mean, 0.5, atol=1e-6)
    np.testing.assert_allclose(found.uncertainty, np.std([0.2, 0.4, 0.9]), atol=1e-6)


def test_a_plain_unet_and_no_samples_are_input_errors() -> None:
    with pytest.raises(InputError, match="nothing to sample"):
        segmenter(unet=True).predict_samples(images(), 3)
    with pytest.raises(InputError, match="1 or more"):
        segmenter().predict_samples(images(), 0)


def test_recorded_samples_of_the_original_are_reproduced(lungvae_golden: Path) -> None:
    expected = np.load(lungvae_golden / "tiny/tiny_vae_eval_eps.npz")
    network, x = tiny(lungvae_golden, "vae").eval(), tiny_input(lungvae_golden)
    with torch.no_grad():
        features = network.features(x)
        mean, sigma = network.posterior(x)
        logits = network.decode(features, mean + sigma * torch.from_numpy(expected["eps"]))
    assert np.abs(logits.numpy() - expected["logits"]).max() < 1e-3
