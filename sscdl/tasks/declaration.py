"""What a task says of itself: its name and paper, its options, and what it keeps.

The declaration of task ``x`` is ``DECLARATION`` in the module ``x_declaration``, beside the module
``x``. From it come the task's place in the registry, its block of the configuration's schema, the
reference of keys and the table of tasks in the docs, the words of summaries, and the cases by which
tests and proofs of same weights try its options. Imports nothing heavy: every start of the workflow
reads all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

ABSENT: Any = object()


@dataclass(frozen=True)
class Option:
    """An option of a task.

    ``default``, and in one sentence what it is ``about``. ``limits``: JSON schema of its values.
    ``other``: a value unlike the default, which tests and proofs try; ``off``: one that switches
    the part of the code off that ``other`` leaves on; ``small``: what they take where the option is
    not what they are about, if the default is large or slow. ``before``: for an option that came
    when stages had been trained, the value with which it means what was done before. There it
    stands in no recipe, so that those stages are found again; it can therefore never change.
    """

    default: Any
    about: str
    limits: Mapping[str, Any]
    other: Any
    off: Any = ABSENT
    small: Any = ABSENT
    before: Any = ABSENT


def number(default: float, about: str, limits: str, *, other: Any, **more: Any) -> Option:
    """Return an option that is a number within ``limits`` such as "[0, 1)"."""
    return Option(default, about, {"type": "number", **_bounds(limits, float)}, other, **more)


def integer(default: int, about: str, limits: str, *, other: Any, **more: Any) -> Option:
    """Return an option that is a whole number within ``limits`` such as "[1, 64]"."""
    return Option(default, about, {"type": "integer", **_bounds(limits, int)}, other, **more)


def auto_or_integer(about: str, limits: str, *, other: Any, **more: Any) -> Option:
    """Return an option that is a whole number within ``limits``, or auto, its default."""
    choices = [{"const": "auto"}, {"type": "integer", **_bounds(limits, int)}]
    return Option("auto", about, {"anyOf": choices}, other, **more)


def flag(default: bool, about: str, **more: Any) -> Option:
    """Return an option that is true or false."""
    return Option(default, about, {"type": "boolean"}, more.pop("other", not default), **more)


def choice(default: str, about: str, among: list[str], *, other: str, **more: Any) -> Option:
    """Return an option that is one of several words."""
    return Option(default, about, {"enum": among}, other, **more)


def shares(default: list[float], about: str, *, other: list[float], **more: Any) -> Option:
    """Return an option that is a range of shares: two of them, the smaller one first."""
    share = {"type": "number", **_bounds("(0, 1]", float)}
    limits = {"type": "array", "items": share, "minItems": 2, "maxItems": 2}
    return Option(default, about, limits, other, **more)


def _bounds(limits: str, kind: Callable[[str], float]) -> dict[str, float]:
    """Return "(0, 1]" as JSON schema; round brackets leave the bound itself out."""
    low, high = (kind(text) for text in limits[1:-1].split(","))
    least = "minimum" if limits[0] == "[" else "exclusiveMinimum"
    most = "maximum" if limits[-1] == "]" else "exclusiveMaximum"
    return {least: low, most: high}


class Size(NamedTuple):
    """What the bytes of a task's own state follow from, besides its options."""

    width: int  # of the backbone's feature
    backbone: int  # bytes of its weights
    images: int  # to train on
    batch_size: int

    def linear(self, inputs: int, outputs: int) -> int:
        """Return the bytes of a linear layer with biases."""
        return 4 * outputs * (inputs + 1)

    def normalisation(self, channels: int) -> int:
        """Return the bytes of a batch normalisation, and of how many batches it has seen."""
        return 16 * channels + 8

    def mlp(self, *widths: int, last_bias: bool = True) -> int:
        """Return the bytes of linear layers with batch normalisation between them."""
        pairs = list(zip(widths, widths[1:], strict=False))
        layers = sum(self.linear(*pair) for pair in pairs)
        norms = sum(self.normalisation(width) for width in widths[1:-1])
        return layers + norms - (0 if last_bias else 4 * widths[-1])


@dataclass(frozen=True)
class Declaration:
    """A task.

    Args:
        title: the method's name in the field.
        paper: who published it, and when.
        about: what the network has to do, after "to": "tell how often an image was turned".
        options: its options by name.
        settings: defaults of a stage's settings (batch_size, optimizer, ...) where they are not
            those of the schema's ``stage``.
        trained_bytes: bytes of what is trained beside the backbone: heads, with the statistics of
            their normalisations; takes a ``Size`` and all options.
        other_sizes: whether networks see pictures of other sizes than the study's; takes all
            options.
        followed_bytes: bytes of what else the task keeps, which no optimiser changes: a second
            network that only follows, queues; takes the same.
        learnt_by: what its loss in training is compared with to see whether anything was learnt of
            the images: "chance", if no network that does not look at them is below its
            ``chance_loss``; "floor", if steps have one; "" if neither tells.
        comparable: whether its loss over that of knowing nothing says how hard it was; not where
            the loss holds how sure a teacher is.
        shares_of_epochs: whether options are shares of all epochs: then a longer training starts
            differently.
        collapses: whether the loss is lowest where all images have one embedding: it alone says
            little, a ``Step`` has a ``floor``, and learning rates are compared by another metric.
        near_chance: how near, as a share of it, the loss of a network that has one feature for all
            images, and default options, is to the task's ``chance_loss``.
        near_because: why it is no nearer than 0.02; a sentence.
        check: yields what is wrong between options that are each right by themselves, as
            "options.patch: ..."; takes the settings of a stage.
    """

    title: str
    paper: str
    about: str
    options: Mapping[str, Option]
    settings: Mapping[str, Any] = field(default_factory=dict)
    trained_bytes: Callable[[Size, Mapping[str, Any]], int] = lambda size, options: 0
    other_sizes: Callable[[Mapping[str, Any]], bool] = lambda options: False
    followed_bytes: Callable[[Size, Mapping[str, Any]], int] = lambda size, options: 0
    learnt_by: Literal["chance", "floor", ""] = ""
    comparable: bool = True
    shares_of_epochs: bool = False
    collapses: bool = False
    near_chance: float = 0.02
    near_because: str = ""
    check: Callable[[Mapping[str, Any]], Iterator[str]] = lambda settings: iter(())


CROPPED = "Range of the cropped share of the image area."
FLIP = flag(True, "Mirror left and right at random; destroys laterality (heart, side marks).")
# The random changes of views that two of them are compared by, beside the crop and the mirror.
VIEWS = {
    # Learning to ignore rotation works against the rotation task in a curriculum that has both.
    "rotation": number(
        10.0, "Largest random rotation to either side in degrees.", "[0, 180]", other=25.0, off=0.0
    ),
    "brightness": number(
        0.2, "Largest relative change of the gray values.", "[0, 1)", other=0.4, off=0.0
    ),
    "contrast": number(
        0.2, "Largest relative change of the distance to the mean gray value.", "[0, 1)",
        other=0.4, off=0.0,
    ),
    "gamma": number(
        0.2, "Largest change of the logarithm of the gamma exponent.", "[0, 1]", other=0.5, off=0.0
    ),
    "blur": number(
        0.0, "Largest sigma of a blur in pixels, on half of the views; 0 for none.", "[0, 1000]",
        other=1.2,
    ),
}  # fmt: skip
# What tasks that compare two views have in common, whole; and those with many crops.
TWO_VIEWS = {"crop": shares([0.2, 1.0], CROPPED, other=[0.5, 0.9]), "flip": FLIP, **VIEWS}
MULTI_CROP = {
    "local_crops": integer(
        4, "Number of small crops beside the two global ones.", "[0, 64]", other=0, small=1
    ),
    "local_size": number(
        0.43,
        "Side of a small crop as a share of the image size, but no smaller than the network "
        "can take.",
        "(0, 1]", other=0.6,
    ),
    "local_crop": shares(
        [0.2, 0.4], "Range of the cropped share of the image area, small crops.",
        other=[0.1, 0.3],
    ),
    "crop": shares([0.4, 1.0], CROPPED, other=[0.6, 0.9]),
    "flip": FLIP,
    **VIEWS,
}  # fmt: skip
# Tasks that learn from labels, and end a curriculum.
LABELLED_SETTINGS = {"batch_size": 64, "search_epochs": 70, "final_epochs": 80}
LABELLED = {"crop": shares([0.5, 1.0], CROPPED, other=[0.7, 0.9]), "flip": FLIP}
# Of embeddings whose numbers are compared over the batch. The authors' 8,192 are for a million
# images and batches of 2,048.
EXPANDED = integer(
    512, "Length of the embedding and of the layers before it.", "[2, 65536]", other=24, small=16
)


def queue_fits(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a stage whose queue is no multiple of its batch."""
    queue, batch = settings["options"]["queue"], settings["batch_size"]
    if queue != "auto" and queue % batch:
        yield f"options.queue: {queue} is no multiple of the batch_size, {batch}"
