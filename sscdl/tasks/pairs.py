"""What tasks share that compare two views of an image: the views, and who is another image."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from sscdl.tasks.base import Setup, Task
from sscdl.tasks.declaration import VIEWS
from sscdl.training.augment import Augmentation

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone


class TwoViews(Task):
    """A task that compares two random views of each image.

    Its options have those of ``TWO_VIEWS``. ``patients`` is that of ``Setup``.
    """

    metric: ClassVar[str] = "loss"
    patients: Tensor | None  # a buffer

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        options = setup.options
        self.augment = Augmentation(
            setup.image_size,
            crop=tuple(options["crop"]),
            flip=options["flip"],
            **{name: options[name] for name in VIEWS},
        )
        self.draws = 2 * Augmentation.draws
        # Comes from the data, so it is no part of the state.
        self.register_buffer("patients", setup.patients, persistent=False)

    def views(self, images: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Return two random views (B, 1, s, s) of each image."""
        first, second = draws.chunk(2, dim=1)
        return self.augment(images, first), self.augment(images, second)


def of_own_patient(rows: Tensor, others: Tensor, patients: Tensor | None) -> Tensor:
    """Return bool (A, B): whether images ``rows`` (A,) and ``others`` (B,) are of one patient.

    An image is of one patient with itself; with others it is where ``patients`` (N,) are known.
    """
    same = rows[:, None] == others
    if patients is not None:
        same |= patients[rows][:, None] == patients[others]
    return same


def another(index: Tensor, among: Tensor, start: int, patients: Tensor | None) -> Tensor:
    """Return for each image of ``index`` (B,) the place in ``among`` (A,) of another one.

    ``index`` stands in ``among`` from ``start`` on. It is the next one, around the end, and where
    ``patients`` (N,) are known the next of another patient, if there is one.
    """
    count = len(among)
    own = torch.arange(len(index), device=index.device) + start
    ahead = torch.arange(1, max(2, count), device=index.device)
    places = (own[:, None] + ahead) % count
    if patients is None:
        return places[:, 0]
    foreign = patients[among][places] != patients[index][:, None]
    return places.gather(1, foreign.int().argmax(dim=1, keepdim=True))[:, 0]
