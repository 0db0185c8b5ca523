"""What tasks that end a curriculum share: one linear layer over the network's pooled feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from sscdl.tasks.base import Setup, Task
from sscdl.training.augment import Augmentation, center_resize

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone


class Linear(Task):
    """A linear layer on the pooled feature, and the labels of all images.

    ``backbone.features`` and ``head`` are what class activation maps need. In evaluation mode the
    whole image is seen, without augmentation.
    """

    classifies = True
    draws = Augmentation.draws
    labels: Tensor  # a buffer

    def __init__(self, backbone: Backbone, setup: Setup, labels: Tensor, outputs: int) -> None:
        super().__init__(backbone, setup)
        self.classes = outputs
        self.head = nn.Linear(backbone.channels, outputs)
        self.augment = Augmentation(
            setup.image_size, crop=tuple(setup.options["crop"]), flip=setup.options["flip"]
        )
        # They come from the data, so they are no part of the state.
        self.register_buffer("labels", labels, persistent=False)

    def views(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return random views (B, 1, s, s), or in evaluation mode the whole images."""
        if self.training:
            return self.augment(images, draws)
        return center_resize(images, self.image_size)

    def classifier_state(self) -> dict[str, Tensor]:
        """Return a state dict for the library's network of the same name with ``num_classes``."""
        layer = self.backbone.head_name
        head = {f"{layer}.{key}": value for key, value in self.head.state_dict().items()}
        return {**self.backbone.state_dict(), **head}
