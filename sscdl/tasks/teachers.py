"""A teacher: a second network that is not trained, and follows the one that is."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from sscdl.tasks.base import Task


def teacher_of(student: nn.Module) -> nn.Module:
    """Return a copy of ``student`` with its weights as they are, for no optimiser to change."""
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, kept: float) -> None:
    """Move the parameters of ``teacher`` towards those of ``student``; it keeps a share of its own.

    Statistics of batch normalisation stay: they are those of what the teacher itself has seen.
    """
    # One call for all tensors, and not a kernel for each.
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - kept)


def rising(first: float, done: float, epochs: int) -> float:
    """Return the share that a teacher keeps after ``done`` of ``epochs``: ``first`` to 1, a cosine.

    With k of K steps done, 1 - (1 - first) (cos(pi k / K) + 1) / 2 (Grill et al. 2020).
    """
    return 1 - (1 - first) * (math.cos(math.pi * done / epochs) + 1) / 2


class Taught(Task):
    """A task whose teacher is a second backbone and a second head, called ``teacher_...``.

    The teacher keeps a share of itself that rises to 1 from step to step.
    """

    head: nn.Module

    def begin_teacher(self, momentum: float) -> None:
        """Have the teacher begin as a copy of backbone and head; ``momentum`` is kept at first."""
        self.teacher_backbone = teacher_of(self.backbone)
        self.teacher_head = teacher_of(self.head)
        self.momentum = momentum

    def after_step(self, done: float, epochs: int) -> None:
        kept = rising(self.momentum, done, epochs)
        follow(self.teacher_backbone, self.backbone, kept)
        follow(self.teacher_head, self.head, kept)
