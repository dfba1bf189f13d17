"""Learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from unetseg.figures.style import plain


@plain
def draw_curves(path: Path, history: Sequence[dict[str, Any]]) -> None:
    """Draw loss and held-out scores by epoch as a PNG.

    Parameters
    ----------
    path : Path
        An existing file is overwritten.
    history : sequence of dict
        Rows of history.csv: epoch, loss, and v_rand and v_info where the epoch was scored.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2)
    left.plot([row["epoch"] for row in history], [row["loss"] for row in history], color="0.2")
    left.set(xlabel="epoch", ylabel="cross-entropy", title="Training loss", ylim=(0, None))
    scored = [row for row in history if row["v_rand"] is not None]
    for key, name in (("v_rand", "V_Rand"), ("v_info", "V_Info")):
        right.plot(
            [row["epoch"] for row in scored], [row[key] for row in scored], marker="o", label=name
        )
    right.set(xlabel="epoch", title="Held-out slices, best threshold", ylim=(None, 1))
    if scored:
        right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_xlim(0, history[-1]["epoch"] + 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # No creation date or version in the file: equal curves are equal bytes.
    figure.savefig(path, format="png", metadata={"Software": None})


@plain
def picture_curves(history: Sequence[dict[str, Any]]) -> npt.NDArray[np.uint8]:
    """Draw a small version for a window: one chart, with scores if there are any.

    Parameters
    ----------
    history : sequence of dict
        As in `draw_curves`; may be empty.

    Returns
    -------
    (H, W, 4) uint8
        Red, green, blue, opacity.
    """
    figure = Figure(figsize=(3.6, 1.9), layout="constrained", dpi=100)
    loss = figure.subplots()
    epochs = [row["epoch"] for row in history]
    loss.plot(epochs, [row["loss"] for row in history], color="0.2", marker=".")
    loss.set(
        xlabel="epoch", ylabel="training loss", ylim=(0, None), xlim=(0, max(epochs or [1]) + 1)
    )
    loss.xaxis.set_major_locator(MaxNLocator(integer=True))
    loss.grid(alpha=0.3)
    scored = [row for row in history if row["v_rand"] is not None]
    if scored:
        score = loss.twinx()
        for key, name in (("v_rand", "V_Rand"), ("v_info", "V_Info")):
            score.plot([r["epoch"] for r in scored], [r[key] for r in scored], ".-", label=name)
        score.set(ylabel="held-out score", ylim=(None, 1))
        score.legend(fontsize="small")
    picture = BytesIO()
    figure.savefig(picture, format="png")
    return np.array(Image.open(picture).convert("RGBA"))
