"""V_Rand and V_Info against the number of stored copies, in equally many steps of training.

    python benchmarks/copies.py --stacks data/isbi2012 [--copies 0,3,9,29] [--from starter]

Batches turn and flip patches at random whatever is stored, so copies can only add what is
deformed, cropped or noisy. For each number of copies: augments, and cross-validates. An epoch has
equally many patches for every number of copies, so all are trained for as many steps. The number is
to be chosen by the first fold, and reported on the others. A run that died goes on with the same
command; all of it takes four times `unetseg crossvalidate`. For few labelled slices,
few_labels.py has `--copies` too.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from unetseg.cli.terminal import Terminal
from unetseg.options import NOTHING, AugmentOptions, CrossvalidateOptions
from unetseg.running import run_stage

MEASURES = ("v_rand", "v_info")


def measure(
    stacks: Path, output: Path, *, copies: int, start: Path, epochs: int | None, folds: int
) -> list[Mapping[str, float]]:
    """Scores of each fold, in their order."""
    augmented = AugmentOptions(
        volume=(stacks,), labels=(stacks,), output=output / "augmented", copies=copies
    )
    run_stage("augment", augmented, Terminal())
    course = CrossvalidateOptions(
        input=augmented.output,
        output=output / "crossvalidation",
        folds=folds,
        from_=start,
        epochs=epochs,
        score_every=100_000,
    )
    return list(run_stage("crossvalidate", course, Terminal()).data["folds"].values())


def format_table(scores: Mapping[int, Sequence[Mapping[str, float]]]) -> str:
    """A row for each number of copies, as Markdown; the choice is that of the first fold."""
    # Of six slices V_Rand swings by more than numbers of copies differ.
    chosen = max(scores, key=lambda copies: scores[copies][0]["v_info"])
    lines = [
        "| copies | first fold: V_Rand / V_Info | mean of the others | |",
        "| --- | --- | --- | --- |",
    ]
    for copies, folds in scores.items():
        first = " / ".join(f"{folds[0][name]:.4f}" for name in MEASURES)
        others = " / ".join(f"{np.mean([f[name] for f in folds[1:]]):.4f}" for name in MEASURES)
        mark = "best V_Info on the first fold" if copies == chosen else ""
        lines.append(f"| {copies} | {first} | {others} | {mark} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write table.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stacks", type=Path, default=Path("data"), help="images and labels")
    parser.add_argument("--copies", default="0,3,9,29", help="numbers of copies")
    parser.add_argument("--from", dest="start", type=Path, default=NOTHING, help="a model")
    parser.add_argument("--epochs", type=int, help="instead of the default course")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("work/copies"))
    options = parser.parse_args()
    numbers = [int(number) for number in options.copies.split(",")]
    scores = {
        number: measure(
            options.stacks,
            options.output / str(number),
            copies=number,
            start=options.start,
            epochs=options.epochs,
            folds=options.folds,
        )
        for number in numbers
    }
    table = format_table(scores)
    (options.output / "table.md").write_text(table, encoding="utf-8")
    print(table, end="")


if __name__ == "__main__":
    main()
