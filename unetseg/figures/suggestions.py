"""Places to label, side by side, with the pixels on which predictions disagree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unetseg.arrays.suggesting import Place
from unetseg.figures.panels import panel_height
from unetseg.figures.preview import RED
from unetseg.figures.style import plain

COLUMNS = 4
DARK, BRIGHT = 0.5, 99.5  # percentiles that are shown black and white
# The standard deviation of probabilities is 0.5 at most, and seldom more than this.
FULL = 0.3
OPACITY = 0.8

Patch = tuple[Place, npt.NDArray[Any], npt.NDArray[np.float32]]
"""A place, its image, and the standard deviation of the predictions at each pixel."""


@plain
def draw_suggestions(path: Path, patches: Iterable[Patch], *, count: int) -> None:
    """Draw patches in the order in which they were chosen, as a PNG.

    Parameters
    ----------
    path : Path
        An existing file is overwritten.
    patches : iterable of (Place, image, spread)
        All of one shape, at least one.
    count : int
        Number of patches.
    """
    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    figure = Figure(layout="constrained", dpi=100)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for number, (axes, patch) in enumerate(zip(grid.flat, patches, strict=False), start=1):
        _show(axes, number, *patch)
        height = panel_height(patch[1].shape, width=3)
    figure.set_size_inches(3 * columns, (height + 0.3) * rows + 0.4)
    figure.supxlabel("red: where predictions disagree", fontsize=9)
    figure.savefig(path, format="png", metadata={"Software": None})


def _show(
    axes: Axes,
    number: int,
    place: Place,
    image: npt.NDArray[Any],
    spread: npt.NDArray[np.float32],
) -> None:
    low, high = np.percentile(image, (DARK, BRIGHT))
    axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    opacity = OPACITY * np.clip(spread / FULL, 0, 1)
    axes.imshow(np.zeros(spread.shape), cmap=RED, alpha=opacity, interpolation="nearest")
    title = f"{number}: slice {place.index}, y {place.top}, x {place.left}"
    axes.set_title(title, fontsize=9)
