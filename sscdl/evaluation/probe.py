"""What a frozen backbone's features are worth: linear and nearest-neighbour probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.training.augment import center_resize

# From where a stronger penalty predicts as this one does and only makes probabilities alike, to
# where a weaker one is hardly chosen. With a handful of labels most fits are at the strong end.
_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@torch.no_grad()
def extract_features(
    backbone: nn.Module, images: Tensor, mean: float, std: float, image_size: int, batch: int
) -> Tensor:
    """Return pooled features (N, C), float32 on the CPU, of uint8 images (N, S, S).

    Images are resized to ``image_size`` and standardised with ``mean`` and ``std`` (of gray values
    in [0, 1]). The backbone is put into evaluation mode and back; it may be on any device.
    """
    device = next(backbone.parameters()).device
    was_training = backbone.training
    backbone.eval()
    features = []
    for part in images.split(batch):
        views = center_resize(part[:, None].to(device), image_size)
        features.append(backbone(((views - mean) / std).expand(-1, 3, -1, -1)).float().cpu())
    backbone.train(was_training)
    return torch.cat(features)


@dataclass(frozen=True)
class LinearProbe:
    """A logistic regression on standardised features, fitted by :func:`fit_probe`."""

    scaler: StandardScaler
    axes: NDArray[Any]  # (C, R): what standardised features are turned by before the regression
    regression: LogisticRegression

    @property
    def classes(self) -> NDArray[Any]:
        """Return the classes (K,) in the order of the probabilities."""
        return self.regression.classes_

    def probabilities(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the probability of each class, (N, K), for features (N, C)."""
        return self.regression.predict_proba(self.scaler.transform(np.asarray(x)) @ self.axes)


def fit_probe(
    train_x: NDArray[Any],
    train_y: NDArray[Any],
    patients: Sequence[object] | NDArray[Any],
    seed: int,
) -> LinearProbe:
    """Return logistic regression fitted to features (N, C), classes (N,) and ``patients`` (N,).

    Features are standardised; the penalty is the one of seven with the highest balanced accuracy in
    stratified cross-validation (up to 5 folds of patients, shuffled with ``seed``), the strongest
    of equals; classes weigh alike. Folds that leave a class without training images are left out.
    Raises InputError if a class has fewer than two training patients.
    """
    y, whose = np.asarray(train_y), np.unique(np.asarray(patients), return_inverse=True)[1]
    fewest = min(len(set(whose[y == label])) for label in np.unique(y))
    if fewest < 2:
        raise InputError("linear probe: every class needs at least two training patients")
    scaler = StandardScaler()
    x = scaler.fit_transform(np.asarray(train_x, dtype=np.float64))
    axes = np.eye(x.shape[1], dtype=x.dtype)
    if len(x) < x.shape[1]:
        # The weights lie in the span of the images. Turned onto it, features say the same with
        # fewer numbers, and the penalty, a length, is the same too.
        axes = np.linalg.svd(x, full_matrices=False)[2].T
        x = x @ axes
    folds = StratifiedGroupKFold(min(5, fewest), shuffle=True, random_state=seed)
    right = np.zeros(len(_STRENGTHS))
    for fit, check in folds.split(x, y, whose):
        if len(np.unique(y[fit])) < len(np.unique(y)):
            continue
        # From the strongest penalty to the weakest, each starting where the last one ended.
        model = _regression(warm_start=True)
        for index, strength in enumerate(_STRENGTHS):
            model.set_params(C=strength, tol=_precision(strength)).fit(x[fit], y[fit])
            right[index] += balanced_accuracy_score(y[check], model.predict(x[check]))
    best = _STRENGTHS[int(right.argmax())]
    return LinearProbe(scaler, axes, _regression(C=best, tol=_precision(best)).fit(x, y))


def _precision(strength: float) -> float:
    """Return at which gradient a fit ends.

    With a strong penalty, coefficients and gradients are small: at a fixed one the fit would end
    before it has an intercept. With a weak one only the last of the gradient is the penalty's.
    """
    return 1e-4 * min(strength, 1 / strength)


def _regression(**options: float | bool) -> LogisticRegression:
    return LogisticRegression(max_iter=1000, class_weight="balanced", **options)


def linear_probe(
    train_x: NDArray[Any],
    train_y: NDArray[Any],
    test_x: NDArray[Any],
    test_y: NDArray[Any],
    seed: int,
) -> float:
    """Return the balanced accuracy, in [0, 1], of logistic regression on features (N, C).

    Each image is a patient of its own. See :func:`fit_probe` for how it is fitted, and for its
    error.
    """
    fitted = fit_probe(train_x, train_y, range(len(train_y)), seed)
    predicted = fitted.classes[fitted.probabilities(test_x).argmax(axis=1)]
    return float(balanced_accuracy_score(test_y, predicted))


def knn_accuracy(
    train_x: Tensor, train_y: Tensor, test_x: Tensor, test_y: Tensor, k: int = 20
) -> float:
    """Return the accuracy, in [0, 1], of a vote of the ``k`` nearest training features by cosine.

    Votes are weighted by exp(similarity / 0.07), as in Wu et al. 2018 (arXiv:1805.01978).
    ``k`` is capped at the size of the training set.
    """
    similarity = F.normalize(test_x, dim=1) @ F.normalize(train_x, dim=1).T
    nearest, rows = similarity.topk(min(k, len(train_x)), dim=1)
    votes = torch.zeros(len(test_x), int(train_y.max()) + 1)
    votes.scatter_add_(1, train_y[rows], torch.exp((nearest - 1) / 0.07))
    return (votes.argmax(dim=1) == test_y).float().mean().item()
