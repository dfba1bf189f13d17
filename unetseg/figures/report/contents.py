"""Contents for the report's template: each part of the page, from arrays and manifests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from unetseg.arrays.disagreement import Disagreement
from unetseg.artifacts.manifest import Manifest
from unetseg.artifacts.workfolder import STAGES
from unetseg.figures.report.charts import Chart, Series, make_chart
from unetseg.figures.report.pictures import (
    as_grey,
    coloured_cells,
    drawing,
    heat,
    photo,
    reencoded,
    stretch,
)
from unetseg.figures.report.slices import (
    DEPTH,
    Compared,
    HeldOutSlice,
    Place,
    draw_place,
    draw_slice,
    worst_places,
)

T = TypeVar("T")
Errors = dict[str, list[Disagreement]]

# How far below the best score the charts of thresholds reach.
WORTH_A_LOOK = 0.2


def choose(ranked: Sequence[T], most: int) -> list[T]:
    """Pick items evenly from first to last, or the middle one if `most` is 1."""
    if most == 1:
        return [ranked[len(ranked) // 2]]
    count = min(most, len(ranked))
    steps = np.linspace(0, len(ranked) - 1, count)
    return [ranked[round(float(step))] for step in steps]


def without_held_out() -> dict[str, Any]:
    """Parts of a page on a model that was trained on all slices."""
    return unscored(
        "No slices were held out, so nothing says how good the model is: unetseg preprocess "
        "--held-out last-fifth sets some apart.",
        [],
    )


def borrowed() -> dict[str, Any]:
    """Parts of a page on a prediction by a model that was not trained in the work folder."""
    return unscored(
        "Nothing says how good this prediction is. With labels for one of its slices, unetseg "
        "evaluate --prediction work/prediction --labels LABELS does.",
        [],
    )


def unscored(why: str, slices: list[HeldOutSlice]) -> dict[str, Any]:
    """Parts of a page on held-out slices without scores."""
    return {
        "scores": None,
        "unscored": why,
        "shown": [
            {"number": here.number, "rank": "", "panels": draw_slice(here, None), "score": None}
            for here in slices
        ],
        "threshold_charts": [],
        "places": [],
        "table": [],
        "totals": {},
    }


def scored(
    scores: dict[str, Any],
    errors: Sequence[Errors],
    *,
    numbers: list[int],
    look: Callable[[int], tuple[HeldOutSlice, Compared]],
    slices: int,
    places: int,
) -> dict[str, Any]:
    """Parts of a page on held-out slices with scores.

    Parameters
    ----------
    scores : dict
        Contents of scores.json.
    errors : sequence of dict
        Splits and merges of each held-out slice.
    numbers : list of int
        Numbers of the held-out slices in the source.
    look : function
        Gives a slice by its index among the held-out ones.
    slices, places : int
        How many to show.
    """
    table = [
        {"number": number, **row, "splits": len(here["split"]), "merges": len(here["merge"])}
        for number, row, here in zip(numbers, scores["slices"], errors, strict=True)
    ]
    ranked = sorted(range(len(table)), key=lambda index: -table[index]["v_rand"])
    enlarged = worst_places(errors, most=places)
    return {
        "scores": scores,
        "unscored": "",
        "shown": [
            {
                "number": numbers[index],
                "rank": _rank(ranked.index(index), len(ranked)),
                "panels": draw_slice(*look(index)),
                "score": table[index],
                "places": [place for place in enlarged if place.index == index],
            }
            for index in choose(ranked, slices)
        ],
        "threshold_charts": threshold_charts(scores),
        "places": [_describe_place(place, look(place.index), numbers) for place in enlarged],
        "table": table,
        "totals": {
            "split": sum(row["splits"] for row in table),
            "merge": sum(row["merges"] for row in table),
            "depth": round(2 * DEPTH - 1),
        },
    }


def _rank(place: int, count: int) -> str:
    if count == 1:
        return ""
    if place in (0, count - 1):
        return "best" if place == 0 else "worst"
    return "median" if place in (count // 2, (count - 1) // 2) else ""


def _describe_place(
    place: Place, seen: tuple[HeldOutSlice, Compared], numbers: list[int]
) -> dict[str, Any]:
    return {
        "name": place.name,
        "kind": place.kind,
        "number": numbers[place.index],
        "error": place.error,
        "panels": draw_place(place, seen[1]),
    }


def threshold_charts(scores: dict[str, Any]) -> list[Chart]:
    """Chart each score over thresholds, with its merge and split parts if scores.json has them."""
    curves = scores["curves"]
    # Without 0 and 1, where everything is one cell or nothing is: they would compress the rest.
    inner = range(1, len(curves["threshold"]) - 1)
    charts = []
    for key, title in (("v_rand", "V_Rand"), ("v_info", "V_Info"), ("pixel_error", "Pixel error")):
        lines = [(key, title, "main")]
        if f"{key}_merge" in curves:
            lines += [
                (f"{key}_merge", "lowered by merges", "merge"),
                (f"{key}_split", "lowered by splits", "split"),
            ]
        best = scores[f"{key}_threshold"]
        inside = curves["threshold"][1] <= best <= curves["threshold"][-2]
        charts.append(
            make_chart(
                title=title,
                x_label="threshold",
                series=[
                    Series(name, [(curves["threshold"][i], curves[k][i]) for i in inner], look)
                    for k, name, look in lines
                ],
                chosen=best if inside else None,
                summary=f"Best at threshold {best:.1f}: {scores[key]:.4f}.",
                top=None if key == "pixel_error" else 1.0,
                # Nobody chooses a threshold where most cells have merged.
                bottom=None if key == "pixel_error" else scores[key] - WORTH_A_LOOK,
                dots=False,
            )
        )
    return charts


def training(
    history: list[dict[str, float | None]],
    *,
    preview: bytes | None,
    weights: tuple[int, npt.NDArray[np.float32]] | None,
) -> dict[str, Any]:
    """Parts of a page on how the model was trained.

    Parameters
    ----------
    history : list of dict
        Rows of history.csv; empty for a model without one.
    preview : bytes or None
        preview.png of `unetseg augment`.
    weights : (int, (H, W) float32) or None
        A training slice and its weight map.
    """
    charts = []
    if losses := [(row["epoch"] or 0.0, row["loss"] or 0.0) for row in history]:
        charts.append(
            make_chart(
                title="Training loss",
                x_label="epoch",
                series=[Series("cross-entropy", losses, "main")],
                chosen=None,
                summary=f"From {losses[0][1]:.3f} to {losses[-1][1]:.3f}.",
                top=None,
                bottom=None,
                dots=False,
            )
        )
    lines = [
        Series(name, points, look)
        for key, name, look in (("v_rand", "V_Rand", "main"), ("v_info", "V_Info", "other"))
        if (points := [(r["epoch"] or 0.0, v) for r in history if (v := r[key]) is not None])
    ]
    if lines:
        charts.append(
            make_chart(
                title="Held-out slices",
                x_label="epoch",
                series=lines,
                chosen=None,
                summary=f"At threshold 0.5; at the end {lines[0].points[-1][1]:.3f}.",
                top=1.0,
                bottom=None,
                dots=True,
            )
        )
    return {
        "learning_charts": charts,
        "preview": preview
        and reencoded(preview, "Slices and their altered copies, labelled membrane in red"),
        "weights": weights
        and {
            "number": weights[0],
            "picture": heat(weights[1], "Weight map: bright between cells that nearly touch"),
            "low": float(weights[1].min()),
            "high": float(weights[1].max()),
        },
    }


@dataclass(frozen=True, eq=False)
class Predicted:
    """A slice of the stack that was predicted: image, probability of interior, cells."""

    number: int
    image: npt.NDArray[Any] | None
    probability: npt.NDArray[Any]
    cells: npt.NDArray[Any] | None


def unpredicted(why: str) -> dict[str, Any]:
    """Part of a page without a predicted stack."""
    return {"predicted": None, "unpredicted": why, "linked": None}


def predicted(
    slices: list[Predicted], *, name: str, shape: tuple[int, int, int], models: int
) -> dict[str, Any]:
    """Part of a page on a predicted stack: some slices of it.

    Parameters
    ----------
    slices : list of Predicted
    name : str
        Of the stack.
    shape : (Z, Y, X)
        Of the stack; the slices may be a part of it.
    models : int
        How many models were averaged.
    """
    rows = []
    for here in slices:
        panels = []
        if here.image is not None:
            panels.append(("image", photo(stretch(here.image), f"Micrograph, slice {here.number}")))
        alt = f"Prediction of slice {here.number}: the lighter, the more probably inside a cell"
        panels.append(("prediction", photo(as_grey(here.probability), alt)))
        if here.cells is not None:
            alt = f"Cells of slice {here.number}, each in a colour of its own"
            panels.append(("cells", drawing(coloured_cells(here.cells), alt)))
        rows.append({"number": here.number, "panels": panels})
    height, width = slices[0].probability.shape
    return {
        "predicted": {
            "rows": rows,
            "name": name,
            "shape": shape,
            "part": None if (height, width) == shape[1:] else (height, width),
            "models": models,
        },
        "unpredicted": "",
    }


def stage(name: str, manifest: Manifest, command: str) -> dict[str, Any]:
    """Part of a page on how a stage was run."""
    fields = {field.name: field for field in dataclasses.fields(STAGES[name])}
    return {
        "name": name,
        "version": manifest.version,
        "command": command,
        "options": [
            (
                key.replace("_", " "),
                _in_words(value),
                fields[key].metadata["help"] if key in fields else "",
            )
            for key, value in manifest.options.items()
        ],
        "inputs": [(PurePosixPath(i.path).name, i.bytes, i.sha256) for i in manifest.inputs],
        "outputs": [(o.name, o.bytes, o.sha256) for o in manifest.outputs],
    }


def _in_words(value: Any) -> str:
    """Return the value of an option in words."""
    words = {"None": "none", "True": "yes", "False": "no"}
    return words.get(str(value), str(value))
