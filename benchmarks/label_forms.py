"""V_Rand and V_Info of networks that learned from whole labels, a quarter of them, and numbers.

    python benchmarks/label_forms.py --stacks data/isbi2012 [--epochs 3] [--held-out 24-29]

A quarter: one corner of every slice is labelled, the next slice's another one, the rest unlabelled.
Numbers: the cells of every slice are numbered and grown until no membrane is left between them;
`unetseg augment --labels-as cells` draws it again. Each is trained on for as many steps, and scored
on the same slices against the labels as they are. Writes table.md. A run that died goes on with the
same command.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from scipy import ndimage
from skimage.segmentation import watershed

from unetseg.arrays.labelling import INTERIOR, UNCOUNTED
from unetseg.arrays.segments import label_cells
from unetseg.cli.terminal import Terminal
from unetseg.options import AugmentOptions, EvaluateOptions, PreprocessOptions, TrainOptions
from unetseg.running import run_stage

Stack = npt.NDArray[Any]


def keep_a_quarter(labels: Stack) -> Stack:
    """One corner of every slice, of the four in turn."""
    _, height, width = labels.shape
    kept = np.full_like(labels, UNCOUNTED)
    for z in range(len(labels)):
        rows, columns = (
            slice(edge // 2) if first else slice(edge - edge // 2, None)
            for edge, first in ((height, z // 2 % 2 == 0), (width, z % 2 == 0))
        )
        kept[z, rows, columns] = labels[z, rows, columns]
    return kept


def number_cells(labels: Stack) -> Stack:
    """Numbers of cells that touch each other, those of every slice anew."""
    numbers = np.zeros(labels.shape, np.uint16)
    for z, label in enumerate(labels):
        inside = label == INTERIOR
        numbers[z] = watershed(ndimage.distance_transform_edt(~inside), label_cells(inside))
    return numbers


FORMS: dict[str, tuple[Callable[[Stack], Stack], dict[str, Any]]] = {
    "whole": (lambda labels: labels, {}),
    "a quarter": (keep_a_quarter, {"unlabelled": int(UNCOUNTED)}),
    "numbers": (number_cells, {"labels_as": "cells"}),
}


def measure(stacks: Path, output: Path, form: str, *, held_out: str, epochs: int | None) -> Any:
    """Scores of the held-out slices."""
    change, options = FORMS[form]
    whole = tifffile.imread(stacks / "train-labels.tif")
    folder = output / form.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(folder / "labels.tif", change(whole), photometric="minisblack")
    augmented = AugmentOptions(
        volume=(stacks / "train-volume.tif",),
        labels=(folder / "labels.tif",),
        output=folder / "augmented",
        **options,
    )
    run_stage("augment", augmented, Terminal())
    arrays = PreprocessOptions(
        input=augmented.output, output=folder / "preprocessed", held_out=held_out
    )
    run_stage("preprocess", arrays, Terminal())
    course = TrainOptions(
        input=arrays.output, output=folder / "model", epochs=epochs, score_every=100_000
    )
    run_stage("train", course, Terminal())
    first, last = map(int, held_out.split("-"))
    truth = folder / "truth.tif"
    tifffile.imwrite(truth, whole[first : last + 1], photometric="minisblack")
    scored = EvaluateOptions(
        prediction=course.output / "held-out-prediction.tif",
        labels=truth,
        output=folder / "evaluation",
    )
    return run_stage("evaluate", scored, Terminal()).data


def main() -> None:
    """Measure, print and write table.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stacks", type=Path, default=Path("data"), help="images and labels")
    parser.add_argument("--epochs", type=int, help="instead of the default course")
    parser.add_argument("--held-out", default="24-29", help="slices to score, as FIRST-LAST")
    parser.add_argument("--output", type=Path, default=Path("work/label-forms"))
    options = parser.parse_args()
    lines = ["| labels | V_Rand | V_Info |", "| --- | --- | --- |"]
    for form in FORMS:
        scores = measure(
            options.stacks,
            options.output,
            form,
            held_out=options.held_out,
            epochs=options.epochs,
        )
        lines.append(f"| {form} | {scores['v_rand']:.4f} | {scores['v_info']:.4f} |")
    table = "\n".join(lines) + "\n"
    (options.output / "table.md").write_text(table, encoding="utf-8")
    print(table, end="")


if __name__ == "__main__":
    main()
