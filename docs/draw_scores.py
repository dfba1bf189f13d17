"""Draw docs/scores.png, and print the tables of docs/scores.md: `python docs/draw_scores.py`.

A test compares the tables on the page with what this prints.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from unetseg.arrays.metrics import StackScores, score_slice, segmentation_scores
from unetseg.arrays.segments import thin_borders

PICTURE = Path(__file__).with_name("scores.png")

# Of the tiny example: 0 is membrane, then a cell of eight pixels and one of four.
TRUTH = np.array([[1, 1, 0, 2]] * 4)
GAP = np.array([[1, 1, 0, 2]] * 3 + [[1, 1, 1, 2]]) > 0
WALL = np.array([[1, 1, 0, 2]] * 2 + [[0, 0, 0, 2], [1, 1, 0, 2]]) > 0

HEIGHT, WIDTH, THICKNESS = 120, 180, 5

Mask = npt.NDArray[np.bool_]
Scores = tuple[float, float, float]


def draw_cells(shift: int = 0) -> Mask:
    """True inside six cells, with membranes of five pixels between them."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    x = x - shift
    y = y - shift
    walls = [
        np.abs(x - 60 - 8 * np.sin(y / 18)),
        np.abs(x - 124 - 8 * np.sin(y / 22 + 2)),
        np.abs(y - 60 - 6 * np.sin(x / 20)),
    ]
    return np.all([wall >= THICKNESS / 2 for wall in walls], axis=0)


def examples() -> dict[str, Mask]:
    """Proposals for these cells, True inside: right, and with one error each."""
    right = draw_cells()
    merged, split = right.copy(), right.copy()
    merged[26, 50:80] = True
    split[30, :70] = False
    return {
        "the truth": right,
        "a gap, one pixel wide": merged,
        "a line, one pixel wide": split,
        "shifted by 2 pixels": draw_cells(shift=2),
    }


def score(proposal: Mask, truth: Mask) -> Scores:
    """V_Rand, V_Info and pixel error of one picture."""
    (scores,) = score_slice(proposal.astype(float), truth, thresholds=[0.5])
    error = StackScores.from_slices([[scores]]).pixel_error[0]
    return scores.rand.value, scores.information.value, error


def draw_probability() -> npt.NDArray[np.float64]:
    """What a network could say: one place of a membrane is faint, and something else is dark."""
    cells = examples()
    probability = np.where(cells["the truth"], 0.95, 0.05)
    probability[cells["a gap, one pixel wide"] & ~cells["the truth"]] = 0.55
    probability[~cells["a line, one pixel wide"] & cells["the truth"]] = 0.75
    return probability


def tables() -> list[str]:
    """The rows of the page's tables, in the order of the page."""
    rows = []
    for name, proposal in (("gap", GAP), ("line", WALL)):
        rand, information = segmentation_scores(TRUTH, thin_borders(proposal))
        error = score(proposal, TRUTH > 0)[2]
        numbers = (
            *(rand.merge, rand.split, rand.value),
            *(information.merge, information.split, information.value),
            error,
        )
        rows.append(_row(name, numbers))
    truth = examples()["the truth"]
    rows += [_row(name, score(proposal, truth)) for name, proposal in examples().items()]
    probability = draw_probability()
    for threshold in (0.5, 0.6, 0.7, 0.8):
        rows.append(_row(f"{threshold}", score(probability > threshold, truth)))
    return rows


def _row(name: str, numbers: tuple[float, ...]) -> str:
    return f"| {name} | " + " | ".join(f"{number:.4f}" for number in numbers) + " |"


def draw(path: Path) -> None:
    """Draw the examples as the scores see them: cells after border thinning, each in a colour."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    truth = examples()["the truth"]
    figure, axes = pyplot.subplots(2, 4, figsize=(9, 3.9), layout="constrained")
    for (name, proposal), column in zip(examples().items(), axes.T, strict=True):
        rand, information, error = score(proposal, truth)
        column[0].imshow(proposal, cmap="gray", vmin=0, vmax=1)
        column[0].set_title(name, fontsize=9)
        thinned = thin_borders(proposal)
        colours = pyplot.get_cmap("Set3")(thinned % 12)
        colours[thinned == 0] = (0, 0, 0, 1)
        column[1].imshow(colours)
        below = f"V_Rand {rand:.4f}   V_Info {information:.4f}\npixel error {error:.4f}"
        column[1].set_xlabel(below, fontsize=8)
        for axis in column:
            axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("prediction > threshold", fontsize=8)
    axes[1, 0].set_ylabel("after border thinning", fontsize=8)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    _shrink(path)


def _shrink(path: Path) -> None:
    """Keep 64 colours, which is all that such a picture has."""
    from PIL import Image

    with Image.open(path) as image:
        few = image.convert("RGB").quantize(64)
    few.save(path, optimize=True)


if __name__ == "__main__":
    draw(PICTURE)
    print("\n".join(tables()))
