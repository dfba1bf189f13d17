"""Originals and their augmented copies, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from unetseg.arrays.labelling import MEMBRANE
from unetseg.figures.panels import panel_height
from unetseg.figures.style import plain

# Membrane of the label, laid over the image: nearly everybody can see red on grey.
RED = ListedColormap(["#e6194b"])
OPACITY = 0.45


@plain
def draw_preview(
    path: Path, rows: Sequence[Sequence[tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]]]
) -> None:
    """Draw slices with the membranes of their labels laid over them, as a PNG.

    Parameters
    ----------
    path : Path
        An existing file is overwritten.
    rows : sequence of sequences of (image, label)
        An original and its copies in each row.
    """
    columns = max(len(row) for row in rows)
    height = panel_height(rows[0][0][0].shape, width=3)
    figure = Figure(
        figsize=(3 * columns, (height + 0.3) * len(rows)), layout="constrained", dpi=100
    )
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for source, row in enumerate(rows):
        for number, (axes, (image, label)) in enumerate(zip(grid[source], row, strict=True)):
            show_overlaid(axes, image, label)
            axes.set_title(f"slice {source}" if number == 0 else f"copy {number}", fontsize=9)
    figure.savefig(path, format="png", metadata={"Software": None})


def show_overlaid(axes: Axes, image: npt.NDArray[Any], label: npt.NDArray[np.uint8]) -> None:
    """Show an image in grey with the membrane of its label in red."""
    axes.imshow(image, cmap="gray", interpolation="nearest")
    membrane = np.where(label == MEMBRANE, 1.0, np.nan)  # NaN is not drawn
    axes.imshow(membrane, cmap=RED, alpha=OPACITY, interpolation="nearest")
    axes.axis("off")
