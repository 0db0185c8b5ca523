"""What a frozen backbone's features are worth: linear and nearest-neighbour probes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from sscdl.augment import center_resize
from sscdl.errors import InputError

_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


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


def linear_probe(
    train_x: NDArray, train_y: NDArray, test_x: NDArray, test_y: NDArray, seed: int
) -> float:
    """Return the balanced accuracy, in [0, 1], of logistic regression on features (N, C).

    Features are standardised; the penalty is chosen on the training set by stratified
    cross-validation (up to 5 folds, shuffled with ``seed``); classes weigh alike. Raises InputError
    if a class has fewer than two training images.
    """
    fewest = int(np.unique(np.asarray(train_y), return_counts=True)[1].min())
    if fewest < 2:
        raise InputError("linear probe: every class needs at least two training images")
    model = make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced")
    )
    folds = StratifiedKFold(min(5, fewest), shuffle=True, random_state=seed)
    search = GridSearchCV(
        model, {"logisticregression__C": _STRENGTHS}, scoring="balanced_accuracy", cv=folds
    )
    search.fit(np.asarray(train_x), np.asarray(train_y))
    return float(balanced_accuracy_score(test_y, search.predict(np.asarray(test_x))))


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
