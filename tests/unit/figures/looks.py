"""What a figure shows, for tests of figures."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex


def drawn(axes) -> list[tuple[str, list[float]]]:
    """Return (color, x values) of the markers that an axes holds."""
    return [
        (to_hex(line.get_color()).upper(), [float(x) for x in line.get_xdata()])
        for line in axes.lines
        if line.get_marker() not in ("None", None, "")
    ]


def inside(figure) -> bool:
    """Return whether legends, titles and labels lie on the canvas when drawn."""
    figure.savefig("/dev/null", format="raw")
    canvas = figure.bbox
    boxes = [legend.get_window_extent() for legend in figure.legends]
    boxes += [text.get_window_extent() for text in figure.texts]
    for axes in figure.axes:
        boxes += [axes.title.get_window_extent(), axes.get_tightbbox()]
    return all(
        box.x0 > -1 and box.y0 > -1 and box.x1 < canvas.x1 + 1 and box.y1 < canvas.y1 + 1
        for box in boxes
    )


def picture(size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    image = np.full((size, size), 90, np.uint8)
    mask = np.zeros((size, size), bool)
    mask[8:24, 4:12] = mask[8:24, 20:28] = True
    return image, mask


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.texts]
