"""The losses that compare embeddings by cosine, against formulas and other implementations."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from sscdl.tasks.contrast import negative_cosine, nt_xent, own_is_highest, predicted_step
from sscdl.tasks.pairs import of_own_patient
from tests.unit.lightly_reference import NegativeCosineSimilarity, NTXentLoss

# Relative errors that rounding explains, by the type of the numbers.
ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-10}


def vectors(count, dimension=16, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimension, generator=generator, dtype=dtype)


def gradient(loss, *of):
    return torch.cat([one.flatten() for one in torch.autograd.grad(loss, of, retain_graph=True)])


def same(ours, theirs, dtype):
    """Compare numbers, or gradients by the length of their difference."""
    error = (ours - theirs).norm() / theirs.norm()
    assert error < ROUNDING[dtype], error


def masks(images, patients=None):
    itself = torch.eye(len(images), dtype=torch.bool)
    positive = (images[:, None] == images) & ~itself
    return positive, ~of_own_patient(images, images, patients)


def by_hand(embeddings, positive, negative, temperature):
    """Equation 2 of Khosla et al. 2020, anchor by anchor."""
    losses = []
    for anchor, own in enumerate(embeddings):
        scores = {k: (own @ other / temperature).exp() for k, other in enumerate(embeddings)}
        counted = [k for k in scores if positive[anchor, k] or negative[anchor, k]]
        wanted = [k for k in counted if positive[anchor, k]]
        if wanted:
            whole = sum(scores[k] for k in counted)
            losses.append(-sum((scores[k] / whole).log() for k in wanted) / len(wanted))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_cross_entropy_of_pairs_is_that_of_lightly(dtype, temperature):
    first, second = (vectors(6, seed=seed, dtype=dtype).requires_grad_() for seed in (1, 2))
    theirs = NTXentLoss(temperature=temperature)(first, second)
    embeddings = F.normalize(torch.cat([first, second]), dim=1)
    ours, _ = nt_xent(embeddings, *masks(torch.arange(6).repeat(2)), temperature)
    same(ours, theirs, dtype)
    same(gradient(ours, first, second), gradient(theirs, first, second), dtype)


def test_it_does_not_depend_on_the_order_of_the_pairs():
    embeddings, images = F.normalize(vectors(12), dim=1), torch.arange(6).repeat(2)
    shuffled = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    one, _ = nt_xent(embeddings, *masks(images), 0.2)
    two, _ = nt_xent(embeddings[shuffled], *masks(images[shuffled]), 0.2)
    assert one.item() == pytest.approx(two.item(), rel=1e-12)


def test_several_positives_and_forbidden_negatives_are_those_of_the_formula():
    images = torch.tensor([0, 1, 2, 3, 0, 1, 2, 0])  # of 3 there is one view, of 0 there are three
    positive, negative = masks(images, patients=torch.tensor([5, 5, 6, 7]))
    assert not (positive & negative).any()
    raw = vectors(8).requires_grad_()
    embeddings = F.normalize(raw, dim=1)
    ours, _ = nt_xent(embeddings, positive, negative, 0.3)
    theirs = by_hand(embeddings, positive, negative, 0.3)
    same(ours, theirs, torch.float64)
    same(gradient(ours, raw), gradient(theirs, raw), torch.float64)


def test_images_of_one_patient_do_not_push_each_other_away():
    raw = vectors(8).requires_grad_()
    images = torch.arange(4).repeat(2)
    losses = [
        nt_xent(F.normalize(raw, dim=1), *masks(images, patients), 0.2)[0]
        for patients in (None, torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0, 0, 0]))
    ]
    assert losses[0] > losses[1] > losses[2]
    assert losses[2].item() == pytest.approx(0, abs=1e-12), "positives alone: nothing to tell"


def test_anchors_without_positives_or_anything_have_no_loss_and_a_finite_gradient():
    raw = vectors(3).requires_grad_()
    nothing = torch.zeros(3, 3, dtype=torch.bool)
    for positive in (nothing, torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]).bool()):
        loss, _ = nt_xent(F.normalize(raw, dim=1), positive, nothing, 0.2)
        assert loss.item() == pytest.approx(0, abs=1e-12)
        assert gradient(loss, raw).isfinite().all()


def test_an_anchor_is_right_if_a_positive_is_nearest():
    embeddings = F.normalize(torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [1, 0.9]]), dim=1)
    _, right = nt_xent(embeddings, *masks(torch.tensor([0, 0, 1, 1])), 0.2)
    assert right.tolist() == [True, True, True, False]


def test_large_logits_do_not_overflow():
    embeddings = F.normalize(vectors(8, dtype=torch.float32), dim=1)
    loss, _ = nt_xent(embeddings, *masks(torch.arange(4).repeat(2)), 1e-3)
    assert loss.isfinite()


@pytest.mark.parametrize("dtype", ROUNDING)
def test_the_negative_cosine_is_that_of_lightly(dtype):
    predicted, target = (vectors(6, seed=seed, dtype=dtype).requires_grad_() for seed in (1, 2))
    ours = negative_cosine(predicted, target)
    theirs = NegativeCosineSimilarity()(predicted, target.detach())
    same(ours, theirs, dtype)
    same(gradient(ours, predicted), gradient(theirs, predicted), dtype)
    assert torch.autograd.grad(ours, target, allow_unused=True) == (None,)


def test_a_step_of_predictions_has_the_loss_of_both_directions_and_the_next_images_floor():
    one, two, first, second = (vectors(5, seed=seed) for seed in range(4))
    result = predicted_step(
        ((one, second), (two, first)), torch.arange(5), None, scale=4.0, training=True
    )
    cosine = torch.cosine_similarity

    def loss(place):
        """Both directions of 2 - 2 cos, as in equation 2 of Grill et al. 2020, added up."""
        told = zip((one, two), (second, first), strict=True)
        return sum((2 - 2 * cosine(p, t.roll(-place, 0))).mean().item() for p, t in told)

    assert result.loss.item() == pytest.approx(loss(0), rel=1e-6)
    assert result.floor.item() == pytest.approx(loss(1), rel=1e-6)
    assert (result.count, result.of) == (5, 10)


def test_a_step_of_predictions_takes_its_floor_from_other_patients():
    """And the nearest target of another image of the patient is no error."""
    predicted, targets = vectors(4, seed=0), vectors(4, seed=1)
    index, patients = torch.arange(4), torch.tensor([0, 0, 1, 2])
    targets[1] = predicted[0]  # nearer to image 0 than its own target is
    targets[0] = predicted[0] + 0.1 * vectors(1, seed=2)[0]
    targets[2:] = predicted[2:]

    def result(known):
        return predicted_step(((predicted, targets),), index, known, scale=1.0, training=True)

    cosine = torch.cosine_similarity(predicted, targets[[2, 2, 3, 0]])
    assert result(patients).floor.item() == pytest.approx(1 - cosine.mean().item(), rel=1e-6)
    cosine = torch.cosine_similarity(predicted, targets[[1, 2, 3, 0]])
    assert result(None).floor.item() == pytest.approx(1 - cosine.mean().item(), rel=1e-6)
    assert result(patients).correct - result(None).correct == 1


def test_predictions_of_one_embedding_for_all_tell_nothing_although_their_loss_is_0():
    """Collapse: the lowest loss there is, at its floor, and no right image."""
    one = vectors(1).expand(8, -1)
    result = predicted_step(
        ((one, one), (one, one)), torch.arange(8), None, scale=1.0, training=False
    )
    assert result.loss.item() == pytest.approx(0, abs=1e-6)
    assert result.floor.item() == pytest.approx(0, abs=1e-6)
    assert (result.correct, result.of) == (0, 16)


@pytest.mark.parametrize("part", [1e-2, 1e-3, 1e-5])
def test_what_is_left_of_the_order_after_collapse_is_not_told(part):
    """Nearly one embedding for all: the nearest target may still be the right one."""
    near = F.normalize(vectors(1) + part * vectors(8, seed=3), dim=1)
    result = predicted_step(
        ((near, near), (near, near)), torch.arange(8), None, scale=1.0, training=False
    )
    assert result.correct == 0
    apart = vectors(8, seed=3)
    result = predicted_step(
        ((apart, apart), (apart, apart)), torch.arange(8), None, scale=1.0, training=False
    )
    assert result.correct == 16


def test_nothing_is_told_where_there_is_no_other_patient_or_no_number():
    index = torch.arange(3)
    scores = torch.tensor([[3.0, 0, 0], [0, 3, 0], [0, 0, 3]])
    assert own_is_highest(scores, index, index, 0, None, 0.01).all()
    assert not own_is_highest(scores, index, index, 0, torch.tensor([4, 4, 4]), 0.01).any()
    assert not own_is_highest(scores[:1, :1], index[:1], index[:1], 0, None, 0.01).any()
    assert not own_is_highest(scores * math.nan, index, index, 0, None, 0.01).any()


def test_targets_of_other_images_of_the_patient_do_not_count():
    scores = torch.tensor([[1.0, 2, 0], [0, 1, 2], [0, 3, 2]])
    index = torch.arange(3)
    assert own_is_highest(scores, index, index, 0, None, 0.01).tolist() == [False, False, False]
    patients = torch.tensor([4, 4, 5])
    assert own_is_highest(scores, index, index, 0, patients, 0.01).tolist() == [True, False, False]
    # A rank's two images, behind one of another rank.
    part = own_is_highest(scores[1:], index[1:], index, 1, torch.tensor([4, 5, 5]), 0.01)
    assert part.tolist() == [True, True]


def test_chance_is_the_loss_of_views_that_are_equally_near():
    loss, _ = nt_xent(torch.eye(12, dtype=torch.float64), *masks(torch.arange(6).repeat(2)), 0.1)
    assert loss.item() == pytest.approx(math.log(11))


def test_a_step_of_predictions_is_not_computed_in_16_bits():
    one, two = (vectors(8, 64, seed=seed).bfloat16().requires_grad_() for seed in (1, 2))
    results = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found = predicted_step(
                ((one, two), (two, one)), torch.arange(8), None, scale=1.0, training=True
            )
        assert found.loss.dtype == found.floor.dtype == torch.float32
        results.append((found.loss.item(), found.floor.item(), found.correct.item()))
    assert results[0] == results[1]
