"""Image, label and prediction side by side, as in papers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
from matplotlib.figure import Figure

from unetseg.figures.panels import panel_height
from unetseg.figures.style import plain


@plain
def draw_triptych(
    path: Path,
    *,
    image: npt.NDArray[Any],
    label: npt.NDArray[Any],
    prediction: npt.NDArray[Any],
    title: str,
) -> None:
    """Draw image, label and prediction of one slice as a PNG.

    Parameters
    ----------
    path : Path
        An existing file is overwritten.
    image : (H, W) array
        Shown from its darkest to its lightest pixel.
    label : (H, W) array
        0 on membrane.
    prediction : (H, W) array
        Probability of interior, 0..1.
    title : str
        Which slice this is.
    """
    height = panel_height(image.shape, width=4)
    figure = Figure(figsize=(12, height + 0.6), layout="constrained", dpi=120)
    panels = (
        ("image", image, None, None),
        ("label", label > 0, 0, 1),
        ("prediction: probability of interior", prediction, 0, 1),
    )
    for axes, (name, pixels, low, high) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.imshow(pixels, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axes.set_title(name)
        axes.axis("off")
    figure.suptitle(title)
    figure.savefig(path, format="png", metadata={"Software": None})
