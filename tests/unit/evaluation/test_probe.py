from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.preprocessing import StandardScaler

from sscdl.errors import InputError
from sscdl.evaluation.probe import (
    _STRENGTHS,
    _precision,
    _regression,
    extract_features,
    fit_probe,
    knn_accuracy,
    linear_probe,
)  # fmt: skip
from sscdl.training.backbones import build_backbone


def clusters(count: int, seed: int, noise: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Features in which only the first two of six columns, of small scale, tell the class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 3
    centres = torch.tensor([[1.0, 0.0], [-0.5, 0.87], [-0.5, -0.87]])
    x = torch.randn(count, 6, generator=generator)
    x[:, :2] = 0.01 * (centres[y] + noise * x[:, :2])
    return x, y


def test_features_do_not_depend_on_the_batch_and_leave_the_backbone_alone():
    backbone = build_backbone("resnet18", 2).train()
    before = backbone.bn1.running_mean.clone()
    images = torch.randint(0, 256, (7, 40, 40), dtype=torch.uint8)
    features = extract_features(backbone, images, 0.5, 0.25, image_size=32, batch=3)
    assert features.shape == (7, backbone.channels)
    assert features.dtype == torch.float32
    other = extract_features(backbone, images, 0.5, 0.25, image_size=32, batch=7)
    torch.testing.assert_close(features, other)
    assert backbone.training
    assert torch.equal(backbone.bn1.running_mean, before)
    shifted = extract_features(backbone, images, 0.2, 0.25, image_size=32, batch=3)
    assert not torch.allclose(features, shifted)


def test_linear_probe_finds_what_is_there_and_nothing_in_noise():
    (train_x, train_y), (test_x, test_y) = clusters(90, 0), clusters(60, 1)
    score = linear_probe(train_x, train_y, test_x, test_y, seed=0)
    assert score > 0.95
    assert score == linear_probe(train_x, train_y, test_x, test_y, seed=0)
    noise = linear_probe(train_x[:, 2:], train_y, test_x[:, 2:], test_y, seed=0)
    assert 0.1 < noise < 0.6


def test_linear_probe_scores_classes_alike_and_needs_two_of_each():
    x = np.concatenate([np.zeros((20, 2)), np.ones((4, 2))]) + 1e-3 * np.arange(48).reshape(24, 2)
    y = np.array([0] * 20 + [1] * 4)
    wrong = np.array([0] * 20 + [0, 0, 1, 1])
    assert linear_probe(x, y, x, wrong, seed=0) == pytest.approx((20 / 22 + 1) / 2)
    with pytest.raises(InputError, match="two"):
        linear_probe(x[:21], y[:21], x, y, seed=0)


@pytest.mark.parametrize(("images", "features"), [(60, 8), (24, 90)])
def test_probabilities_are_those_of_plain_regression_with_the_best_penalty(images, features):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(images + 30, features)) * generator.uniform(0.1, 10, features)
    y = (x[:, 0] / x[:, 0].std() + generator.normal(size=len(x)) > 0).astype(int)
    train, test = slice(images), slice(images, None)
    whose = np.arange(images) // 2
    fitted = fit_probe(x[train], y[train], whose, seed=0)
    scaler = StandardScaler().fit(x[train])

    def plain(strength):
        return LogisticRegression(
            C=strength, max_iter=5000, tol=1e-2 * _precision(strength), class_weight="balanced"
        )

    chosen = fitted.regression.C
    direct = plain(chosen).fit(scaler.transform(x[train]), y[train])
    expected = direct.predict_proba(scaler.transform(x[test]))
    np.testing.assert_allclose(fitted.probabilities(x[test]), expected, atol=5e-3)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    # As precise as the fit: the last digits may decide.
    scores = {
        strength: cross_val_score(
            plain(strength).set_params(tol=_precision(strength)), scaler.transform(x[train]),
            y[train], cv=folds, groups=whose, scoring="balanced_accuracy",
        ).mean()
        for strength in _STRENGTHS
    }  # fmt: skip
    assert scores[chosen] == pytest.approx(max(scores.values()))


@pytest.mark.parametrize("images", [6, 50, 400])
def test_a_stronger_penalty_than_the_strongest_predicts_the_same(images):
    generator = np.random.default_rng(images)
    x = generator.normal(size=(images + 300, 60))
    y = (x[:, :3].sum(axis=1) + generator.normal(size=len(x)) > 0).astype(int)
    scaler = StandardScaler().fit(x[:images])

    def predicted(strength):
        # By Newton's method: the usual one ends too early so far out.
        model = LogisticRegression(
            C=strength, tol=1e-12, solver="newton-cholesky", class_weight="balanced"
        )
        return model.fit(scaler.transform(x[:images]), y[:images]).predict(scaler.transform(x))

    limit = predicted(1e-8)
    assert (predicted(_STRENGTHS[0]) == limit).mean() > 0.99
    # So does the probe's own fit there, for all that its coefficients nearly vanish.
    own = _regression(C=_STRENGTHS[0], tol=_precision(_STRENGTHS[0]))
    own.fit(scaler.transform(x[:images]), y[:images])
    assert (own.predict(scaler.transform(x)) == limit).mean() > 0.99
    assert (predicted(1.0) == limit).mean() < 0.99, "a penalty that says something else"


def test_penalty_is_chosen_on_other_patients():
    """Copies of an image in both parts of a fold would reward the weakest penalty."""
    generator = np.random.default_rng(1)
    label = np.arange(40) % 2
    x = generator.normal(size=(40, 60)) + 0.35 * (2 * label[:, None] - 1) * (np.arange(60) < 30)
    label[generator.choice(40, 8, replace=False)] ^= 1
    x, y = np.repeat(x, 4, axis=0), np.repeat(label, 4)
    apart = fit_probe(x, y, np.arange(160), seed=0)
    together = fit_probe(x, y, np.repeat(np.arange(40), 4), seed=0)
    assert together.regression.C < apart.regression.C


def test_folds_without_a_class_to_learn_are_left_out():
    x = np.array([[0.0], [0.1], [1.0], [1.1]])
    fitted = fit_probe(x, np.array([0, 0, 1, 1]), ["a", "b", "a", "b"], seed=0)
    assert fitted.classes.tolist() == [0, 1]
    # One fold here leaves images of a single class to learn from.
    y = np.array([0, 1, 0, 0, 1, 1])
    fitted = fit_probe(y[:, None] + 0.1, y, [0, 1, 4, 1, 3, 1], seed=0)
    assert fitted.probabilities(y[:, None] + 0.1).argmax(axis=1).tolist() == y.tolist()
    with pytest.raises(InputError, match="two training patients"):
        fit_probe(x, np.array([0, 0, 1, 1]), ["a", "b", "c", "c"], seed=0)


def test_knn_votes_by_direction():
    train_x = torch.tensor([[1.0, 0.0], [5.0, 0.5], [0.0, 1.0], [0.2, 3.0]])
    train_y = torch.tensor([0, 0, 1, 1])
    test_x = torch.tensor([[100.0, 1.0], [0.0, 0.1], [1.0, 10.0], [3.0, 0.1]])
    assert knn_accuracy(train_x, train_y, test_x, torch.tensor([0, 1, 1, 0]), k=1) == 1
    assert knn_accuracy(train_x, train_y, test_x, torch.tensor([1, 1, 1, 0])) == 0.75
