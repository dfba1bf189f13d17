"""V_Rand and V_Info of held-out slices against minutes of training, by what training begins with.

    python benchmarks/time_to_quality.py --stacks data/isbi2012 [--minutes 6] [--folds 1 2 3]

Of each of the folds of `unetseg crossvalidate` (all but the first, on which settings are chosen, as
far as --folds names them), trains as `unetseg train` does without options, from nothing, and with
`--network paper --recipe paper` (64 filters, Adam 1e-4, plain cross-entropy, no normalisation, no
weights). Each course ends by the clock, and the recipe of the first two adapts its learning rate
to that. All score the held-out slices after every epoch, at the best threshold and without
averaging over flips; the time that this takes counts. Draws the means over the folds, with the
score of the last epoch that ended by each minute, and prints them as a table. An interrupted run
resumes with the same command.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.figure import Figure

from unetseg.stages.crossvalidate import split

FOLDS = 5
COURSES = {
    "default": (),
    "from nothing": ("--from", "nothing"),
    # Its usual epoch takes longer than all of the others' training.
    "paper": ("--from", "nothing", "--network", "paper", "--recipe", "paper", "--epoch-size", 40),
}
MEASURES = {"v_rand": "V_Rand", "v_info": "V_Info"}
GRID = 0.25  # minutes
TICKS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985)


def unetseg(*arguments: object) -> None:
    """Run a stage, and end if it fails."""
    subprocess.run([sys.executable, "-m", "unetseg", *map(str, arguments)], check=True)


def prepare(stacks: Path, output: Path) -> int:
    """Augment, once for all folds; how many slices there are."""
    stack = ("--volume", stacks / "train-volume.tif", "--labels", stacks / "train-labels.tif")
    unetseg("augment", *stack, "--output", output / "augmented")
    with tifffile.TiffFile(stacks / "train-volume.tif") as file:
        return len(file.pages)


def train(fold: Path, source: Path, held_out: range, minutes: float) -> None:
    """Every course of a fold."""
    block = f"{held_out.start}-{held_out.stop - 1}"
    prepared = fold / "preprocessed"
    unetseg("preprocess", "--input", source, "--output", prepared, "--held-out", block)
    for name, settings in COURSES.items():
        # More epochs than fit: the clock ends all.
        course = ("--epochs", 100_000, "--minutes", minutes, "--score-every", 1)
        unetseg("train", "--input", prepared, "--output", fold / name, *course, *settings)


def read_curve(folder: Path, minutes: Sequence[float]) -> list[list[float]]:
    """Scores of the last epoch that ended by each minute; (measures, minutes), NaN before any."""
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    ended = [float(row["seconds"]) / 60 for row in rows]
    last = np.searchsorted(ended, minutes, side="right") - 1
    return [[float(rows[i][key]) if i >= 0 else np.nan for i in last] for key in MEASURES]


def draw(path: Path, minutes: Sequence[float], curves: dict[str, np.ndarray]) -> None:
    """One panel a score, all courses in each."""
    figure = Figure(figsize=(9, 4), layout="constrained", dpi=120)
    for number, (axes, title) in enumerate(
        zip(figure.subplots(1, 2), MEASURES.values(), strict=True)
    ):
        for name, scores in curves.items():
            axes.step(minutes, scores[number], where="post", label=name)
        # So that half of what is missing takes the same height everywhere.
        axes.set_yscale("logit")
        axes.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
        axes.set_yticks([], minor=True)
        axes.set(xlabel="minutes of training", ylabel=title, xlim=(0, None), ylim=(0.5, 0.99))
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(curves))
    figure.savefig(path, metadata={"Software": None})


def format_table(minutes: Sequence[float], curves: dict[str, np.ndarray]) -> str:
    """A row for each whole minute, as Markdown."""
    lines = [f"| minutes | {' | '.join(curves)} |", "| --- " * (len(curves) + 1) + "|"]
    for at, minute in enumerate(minutes):
        if minute >= 1 and minute == round(minute):
            cells = [" / ".join(f"{value:.4f}" for value in one[:, at]) for one in curves.values()]
            lines.append(f"| {minute:g} | {' | '.join(cells).replace('nan', '-')} |")
    return "\n".join(lines)


def main() -> None:
    """Train all, draw and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stacks", type=Path, default=Path("data"), help="images and labels")
    parser.add_argument("--minutes", type=float, default=6, help="of each course and fold")
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 2, 3], help="numbers, from 0")
    parser.add_argument("--output", type=Path, default=Path("work/time-to-quality"))
    options = parser.parse_args()
    blocks = split(prepare(options.stacks, options.output), FOLDS)
    for number in options.folds:
        fold = options.output / str(number)
        train(fold, options.output / "augmented", blocks[number], options.minutes)
    minutes = np.arange(0, options.minutes + GRID, GRID).tolist()
    curves = {}
    for name in COURSES:
        folds = [read_curve(options.output / str(n) / name, minutes) for n in options.folds]
        # A mean of the folds, where all of them have ended an epoch.
        curves[name] = np.mean(folds, axis=0)
    draw(options.output / "time-to-quality.png", minutes, curves)
    print(format_table(minutes, curves))


if __name__ == "__main__":
    main()
