"""Findings: the supervised task that ends a curriculum where an image may show several of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.tasks.base import Setup, Step
from sscdl.tasks.linear import Linear
from sscdl.training import ranks

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone


def balancing_weights(states: Tensor) -> Tensor:
    """Return (2, K): the weight of an absent and of a shown finding, for each of K findings.

    ``states``: (N, K), 1 where shown, 0 where absent, negative where unknown. Both sides of a
    finding weigh alike in all, and an image 1 on average; a finding with one side alone weighs 1.
    """
    sides = torch.stack([(states == side).sum(dim=0) for side in (0, 1)]).float()
    weights = sides.sum(dim=0) / (2 * sides.clamp(min=1))
    return torch.where((sides == 0).any(dim=0), torch.ones_like(weights), weights)


def mean_auc(scores: Tensor, states: Tensor) -> float:
    """Return the mean area under the ROC curve, in [0, 1], of findings that have both sides.

    ``scores``, ``states``: (N, K); what is unknown (a negative state) does not count. The area is
    the share of pairs of a shown and an absent one that are in order, a tie being half of one (Mann
    & Whitney 1947; Hanley & McNeil 1982). NaN where no finding has both sides.
    """
    areas = []
    for score, state in zip(scores.double().T, states.T, strict=True):
        shown, absent = score[state == 1], score[state == 0].sort().values
        if not len(shown) or not len(absent):
            continue
        below = torch.searchsorted(absent, shown) + torch.searchsorted(absent, shown, right=True)
        areas.append(float(below.double().mean()) / (2 * len(absent)))
    return sum(areas) / len(areas) if areas else math.nan


class Findings(Linear):
    """Binary cross-entropy on one linear layer over the pooled feature, an output for each finding.

    What is not known of an image counts for nothing: neither in the loss, which is the mean over
    what is known in the batch, nor in its gradient. (The loss of an epoch, or of validation, is the
    mean of its batches, whatever is known in each.)
    """

    name = "findings"
    metric = "mean_auc"
    weights: Tensor  # a buffer

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        options, labels = setup.options, setup.labels
        if labels is None or labels.ndim != 2:
            raise InputError("findings: needs what is known of each finding of all images")
        super().__init__(backbone, setup, labels, labels.shape[1])
        counted = labels if setup.training_rows is None else labels[setup.training_rows]
        weights = torch.ones(2, self.classes)
        if options["finding_weights"] == "balanced":
            weights = balancing_weights(counted)
        self._chance = _guessing(counted, weights)
        # They come from the data, as the labels do.
        self.register_buffer("weights", weights, persistent=False)

    @property
    def chance_loss(self) -> float:
        return self._chance

    def forward(self, views: Tensor, index: Tensor, epoch: int, epochs: int) -> Step:
        logits = self.head(self.backbone(self.normalise(views)))
        states = self.labels[index]
        known = states >= 0
        shown = (states == 1).to(logits.dtype)
        weights = torch.where(states == 1, self.weights[1], self.weights[0]) * known
        losses = F.binary_cross_entropy_with_logits(logits, shown, reduction="none")
        number = known.sum().float()
        if self.training:
            # Ranks may know of unequally many in their parts of the batch.
            number = ranks.summed(number) / ranks.world()
        # There may be none that is known in a batch.
        loss = (weights * losses).sum() / number.clamp(min=1 / ranks.world())
        return Step(loss=loss, count=len(index), logits=logits.detach().float())

    def measures(self, scores: Tensor, rows: Tensor) -> dict[str, float | None]:
        """Return the mean AUC of the logits (N, K) of images in ``rows``, those that validate.

        None where logits are not finite. Raises InputError where no finding has both sides.
        """
        states = self.labels[rows.to(self.labels.device)]
        found = mean_auc(scores, states) if scores.isfinite().all() else math.inf
        if math.isnan(found):
            raise InputError(
                "findings: none of them is both shown and absent among the images that choose "
                "learning rates; give more of them (split.val), or leave rare findings out"
            )
        return {"mean_auc": found if math.isfinite(found) else None}


def _guessing(states: Tensor, weights: Tensor) -> float:
    """Return the loss, in nats, of always giving the probabilities that are best for all images."""
    sides = weights * torch.stack([(states == side).sum(dim=0) for side in (0, 1)])
    shares = sides / sides.sum(dim=0).clamp(min=1)
    return float(-torch.xlogy(sides, shares).sum() / (states >= 0).sum().clamp(min=1))
