"""A sheet of paper on which pictures and words are placed by inches."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sscdl.figures.charts import BLACK, text_width

GAP, EDGE = 0.05, 0.05  # inches, between pictures and around them all
LINE = 1.3 / 72  # inches of a line of text, for each point of its size
TITLE, SMALL = 7.5, 6.5  # points, of names, of what stands over a picture
LEAST = 4.5  # points, of letters that are made smaller to fit


class Sheet:
    """A figure that pictures and texts are put on by inches from its upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.size = (width, height)
        self.figure = Figure(figsize=self.size)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return new axes without frame."""
        whole, high = self.size
        box = (left / whole, 1 - (top + height) / high, width / whole, height / high)
        axes = self.figure.add_axes(box)
        axes.set_axis_off()
        return axes

    def write(
        self, left: float, bottom: float, text: str, size: float, *, align: str = "center",
        color: str = BLACK, room: float = math.inf,
    ) -> None:  # fmt: skip
        """Write a text whose last line ends at ``bottom``, smaller where it is wider than room."""
        widest = max(text_width(line, size) for line in text.split("\n"))
        size = max(LEAST, size * min(1.0, room / widest)) if widest else size
        self.figure.text(
            left / self.size[0], 1 - bottom / self.size[1], text, ha=align, va="bottom",
            fontsize=size, color=color, parse_math=False,
        )  # fmt: skip
