"""V_Rand and V_Info with labels where `unetseg suggest` says, against labels at random places.

    python benchmarks/suggest.py --stacks data/isbi2012 --places 1,2,4,8,16 --patch 128

A choice is a block of slices to score, one of the folds of `unetseg crossvalidate` but the first;
in the other slices so many patches are labelled and nothing else. They are those that `unetseg
suggest` names, by the model that training begins with, or as many that do not overlap, drawn at
random, anew for every choice. Both are trained on in equally many steps. Writes table.md and
scores.csv. A run that died goes on with the same command.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from few_labels import (
    FOLDS,
    MEASURES,
    Scores,
    prepare,
    summarise,
    train_and_score,
    write_stack,
)

from unetseg.arrays.labelling import UNCOUNTED
from unetseg.arrays.suggesting import Place
from unetseg.artifacts.finding import STARTER
from unetseg.artifacts.suggestions import read_places
from unetseg.cli.terminal import Terminal
from unetseg.options import SuggestOptions
from unetseg.running import run_stage
from unetseg.stages.crossvalidate import split

SUGGESTED, RANDOM = "suggested", "random"
TRIES = 10_000

Stack = npt.NDArray[np.uint8]


class Trials:
    """Labels, trains and scores, in a folder.

    Parameters
    ----------
    stacks : Path
        Folder of train-volume.tif and train-labels.tif.
    start : Path
        The model.
    patch : int
        Edge of what is labelled at once.
    epochs : int, optional
        Of training; None for the default course.
    output : Path
    """

    def __init__(
        self,
        stacks: Path,
        start: Path,
        *,
        patch: int,
        epochs: int | None,
        output: Path,
    ) -> None:
        self._volume, self._labels = (
            tifffile.imread(stacks / f"train-{kind}.tif") for kind in ("volume", "labels")
        )
        self._start, self._patch = start, patch
        self._epochs, self._output = epochs, output
        self._blocks = split(len(self._volume), FOLDS)[1:]

    def run(self, number: int, counts: Sequence[int]) -> Iterator[tuple[str, int, Scores]]:
        """Scores of a choice by how places were chosen, and how many."""
        scored = self._blocks[number % len(self._blocks)]
        others = [index for index in range(len(self._volume)) if index not in scored]
        folder = self._output / str(number)
        volume = write_stack(folder / "others.tif", self._volume[others])
        options = SuggestOptions(
            model=(self._start,),
            volume=volume,
            patch=self._patch,
            count=max(counts),
            output=folder / "suggestions",
        )
        run_stage("suggest", options, Terminal())
        rng = np.random.default_rng([1, number])
        shape = self._volume[others].shape
        chosen = {
            SUGGESTED: read_places(options.output),
            RANDOM: draw_places(shape, patch=self._patch, count=max(counts), rng=rng),
        }
        if min(map(len, chosen.values())) < max(counts):
            raise SystemExit(f"no room for {max(counts)} places of {self._patch} pixels")
        for count in counts:
            for how, places in chosen.items():
                labels = keep(self._labels[others], places[:count])
                # What is not labelled at all would be augmented for nothing.
                used = np.flatnonzero((labels != UNCOUNTED).any((1, 2)))
                stacks = {
                    "volume": self._volume[[*np.take(others, used), *scored]],
                    "labels": np.concatenate([labels[used], self._labels[scored]]),
                }
                yield how, count, self._score(stacks, len(used), folder / f"{how}-{count}")

    def _score(self, stacks: Mapping[str, Stack], used: int, folder: Path) -> Scores:
        """Train on the first slices, as far as they are labelled, and score the others."""
        paths = {kind: write_stack(folder / f"{kind}.tif", stacks[kind]) for kind in stacks}
        prepared = prepare(paths, folder, held_out=f"{used}-{len(stacks['volume']) - 1}")
        return train_and_score(prepared, folder / "model", start=self._start, epochs=self._epochs)


def draw_places(
    shape: tuple[int, int, int], *, patch: int, count: int, rng: np.random.Generator
) -> list[Place]:
    """Places of which no two overlap, each as likely as any other."""
    height, width = (min(patch, size) for size in shape[1:])
    most = shape[0], shape[1] - height + 1, shape[2] - width + 1
    found: list[Place] = []
    for _ in range(TRIES):
        index, top, left = (int(rng.integers(size)) for size in most)
        if not any(
            index == other.index
            and abs(top - other.top) < height
            and abs(left - other.left) < width
            for other in found
        ):
            found.append(Place(index, top, left, height, width, 0.0))
        if len(found) == count:
            break
    return found


def keep(labels: Stack, places: Sequence[Place]) -> Stack:
    """Labels of which nothing but some places counts: 0 on membrane, 255 inside cells."""
    kept = np.full(labels.shape, UNCOUNTED)
    for place in places:
        part = place.index, *place.box
        kept[part] = np.where(labels[part] > labels.min(), 255, 0)
    return kept


def format_table(found: Mapping[tuple[str, int], Sequence[Scores]]) -> str:
    """Mean and sample standard deviation over the choices, as Markdown."""
    heads = " | ".join(f"{how}: {', '.join(MEASURES.values())}" for how in (SUGGESTED, RANDOM))
    lines = [f"| places | {heads} |", "| --- | --- | --- |"]
    for count in sorted({count for _, count in found}):
        cells = " | ".join(summarise(found[how, count]) for how in (SUGGESTED, RANDOM))
        lines.append(f"| {count} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stacks", type=Path, default=Path("data"), help="images and labels")
    parser.add_argument("--from", dest="start", type=Path, default=STARTER, help="a model")
    parser.add_argument("--places", default="1,2,4,8,16", help="numbers of labelled patches")
    parser.add_argument("--patch", type=int, default=128, help="their edge in pixels")
    parser.add_argument("--choices", type=int, default=8)
    parser.add_argument("--epochs", type=int, help="in place of the default course")
    parser.add_argument("--output", type=Path, default=Path("work/suggest"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    trials = Trials(
        options.stacks,
        options.start,
        patch=options.patch,
        epochs=options.epochs,
        output=options.output,
    )
    found: dict[tuple[str, int], list[Scores]] = {}
    with (options.output / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["choice", "how", "places", *MEASURES])
        for number in range(options.choices):
            counts = [int(count) for count in options.places.split(",")]
            for how, count, scores in trials.run(number, counts):
                found.setdefault((how, count), []).append(scores)
                table.writerow([number, how, count, *(scores[name] for name in MEASURES)])
                file.flush()
    text = format_table(found)
    (options.output / "table.md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
