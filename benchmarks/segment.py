"""V_Rand and V_Info of the cells of `unetseg segment`, against plain thresholds.

    unetseg crossvalidate --folds 5
    python benchmarks/segment.py [--folds work/crossvalidation]

For every fold: the best of the challenge's eleven thresholds on those slices, which nobody knows
who has no labels; 0.5, which is the cut that training has found on slices apart; and the watershed.
Its settings were chosen on the first fold, so the mean is over the others.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from unetseg.arrays.cells import WHOLE, segment_cells
from unetseg.arrays.metrics import THRESHOLDS, StackScores, score_slice, segmentation_scores
from unetseg.arrays.segments import label_cells
from unetseg.artifacts.finding import HELD_OUT_LABELS, HELD_OUT_PREDICTION
from unetseg.options import SegmentOptions
from unetseg.stacks.opening import open_volume

MIDDLE = THRESHOLDS.index(0.5)
SETTINGS = {
    key: value
    for key, value in dataclasses.asdict(SegmentOptions()).items()
    if key in ("smoothing", "seed_threshold", "smallest", "grow")
} | {"zero_is_missing": False, "cut": WHOLE}


def score_cells(predictions: list[np.ndarray], labels: list[np.ndarray]) -> tuple[float, float]:
    """Mean V_Rand and V_Info of the watershed's cells."""
    scores = [
        segmentation_scores(label_cells(label != 0), segment_cells(prediction, **SETTINGS))
        for prediction, label in zip(predictions, labels, strict=True)
    ]
    return (
        float(np.mean([rand.value for rand, _ in scores])),
        float(np.mean([information.value for _, information in scores])),
    )


def main() -> None:
    """Print a row for each fold, and the mean over all but the first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folds", type=Path, default=Path("work/crossvalidation"))
    models = [*parser.parse_args().folds.glob("held-out-*/model")]
    models.sort(key=lambda path: int(path.parent.name.split("-")[2]))
    print("held out | best threshold | threshold 0.5 | watershed  (V_Rand / V_Info)")
    rows = []
    for model in models:
        with (
            open_volume(model / HELD_OUT_PREDICTION) as volume,
            open_volume(model / HELD_OUT_LABELS) as truth,
        ):
            predictions, labels = list(volume), list(truth)
        plain = StackScores.from_slices(
            [
                score_slice(prediction, label, thresholds=THRESHOLDS)
                for prediction, label in zip(predictions, labels, strict=True)
            ]
        )
        rows.append(
            (
                (plain.best()["v_rand"], plain.best()["v_info"]),
                (plain.v_rand[MIDDLE], plain.v_info[MIDDLE]),
                score_cells(predictions, labels),
            )
        )
        show(model.parent.name, rows[-1])
    show("mean of all but the first", np.mean(rows[1:], axis=0))


def show(name: str, row: object) -> None:
    """One line."""
    print(f"{name:25} | " + " | ".join(f"{rand:.4f} / {info:.4f}" for rand, info in row))


if __name__ == "__main__":
    main()
