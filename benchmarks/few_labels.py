"""V_Rand and V_Info against the number of labelled slices, from nothing and from a model.

    python benchmarks/few_labels.py --stacks data/isbi2012 --epochs 2

A choice is a block of slices to score, one of the folds of `unetseg crossvalidate` but the first,
on which settings are chosen, and an order of the other slices: its first 1, 2, 3, ... are those
that are labelled. Every number of them is trained on in equally many steps, from nothing and from
the model; with no labelled slice, the model predicts as it is. An epoch has as many steps whatever
is labelled, so what else the machine does changes no score. Writes table.md, scores.csv and
few-labels.png. A run that died goes on with the same command.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from unetseg.artifacts.finding import STARTER
from unetseg.cli.terminal import Terminal
from unetseg.options import (
    NOTHING,
    AugmentOptions,
    EvaluateOptions,
    PredictOptions,
    PreprocessOptions,
    TrainOptions,
)
from unetseg.running import run_stage
from unetseg.stages.crossvalidate import split

FOLDS = 5
MEASURES = {"v_rand": "V_Rand", "v_info": "V_Info"}
RANDOM, MODEL = "from nothing", "from the model"

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Choice:
    """Slices to score, and the order in which others are labelled."""

    number: int
    scored: range
    order: list[int]

    @classmethod
    def draw(cls, number: int, slices: int) -> Choice:
        """A choice by its number, of a stack of so many slices."""
        blocks = split(slices, FOLDS)[1:]
        scored = blocks[number % len(blocks)]
        others = [index for index in range(slices) if index not in scored]
        order = np.random.default_rng([0, number]).permutation(others)
        return cls(number, scored, order.tolist())


class Trials:
    """Trains and scores, in a folder.

    Parameters
    ----------
    stacks : Path
        Folder of train-volume.tif and train-labels.tif.
    starts : mapping of str to Path
        What to begin with: RANDOM, MODEL or both.
    epochs : int, optional
        Of training; None for the default course of each.
    copies : int
        Augmented copies of every labelled slice.
    output : Path
    """

    def __init__(
        self,
        stacks: Path,
        starts: Mapping[str, Path],
        *,
        epochs: int | None,
        copies: int,
        output: Path,
    ) -> None:
        self._volume, self._labels = (
            tifffile.imread(stacks / f"train-{kind}.tif") for kind in ("volume", "labels")
        )
        self._starts, self._epochs, self._copies = starts, epochs, copies
        self._output = output

    def __len__(self) -> int:
        """Slices of the stack."""
        return len(self._volume)

    def run(self, choice: Choice, labelled: int) -> Iterator[tuple[str, Scores]]:
        """Scores of a choice with so many labelled slices, by what training began with."""
        folder = self._output / f"{choice.number}-{labelled}"
        chosen = [*choice.order[:labelled], *choice.scored]
        stacks = {
            kind: write_stack(folder / f"train-{kind}.tif", whole[chosen])
            for kind, whole in (("volume", self._volume), ("labels", self._labels))
        }
        if labelled:
            held_out = f"{labelled}-{len(chosen) - 1}"
            prepared = prepare(stacks, folder, held_out=held_out, copies=self._copies)
            for name, start in self._starts.items():
                model = folder / name.replace(" ", "-")
                yield name, train_and_score(prepared, model, start=start, epochs=self._epochs)
        elif MODEL in self._starts:
            yield MODEL, self._predict(stacks, folder)

    def _predict(self, stacks: Mapping[str, Path], folder: Path) -> Scores:
        prediction = folder / "prediction"
        options = PredictOptions(
            model=(self._starts[MODEL],), volume=stacks["volume"], output=prediction
        )
        run_stage("predict", options, Terminal())
        scored = EvaluateOptions(
            prediction=prediction, labels=stacks["labels"], output=folder / "scores"
        )
        return run_stage("evaluate", scored, Terminal()).data


def write_stack(path: Path, stack: npt.NDArray[np.uint8]) -> Path:
    """Write slices as a TIFF stack; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "ZYX"})
    return path


def prepare(
    stacks: Mapping[str, Path],
    folder: Path,
    *,
    held_out: str,
    copies: int = AugmentOptions.copies,
) -> Path:
    """Augment and preprocess "volume" and "labels"; the folder to train on."""
    augmented, preprocessed = folder / "augmented", folder / "preprocessed"
    given = {kind: (path,) for kind, path in stacks.items()}
    altered = AugmentOptions(**given, output=augmented, copies=copies, preview=False)
    run_stage("augment", altered, Terminal())
    options = PreprocessOptions(input=augmented, output=preprocessed, held_out=held_out)
    run_stage("preprocess", options, Terminal())
    return preprocessed


def train_and_score(prepared: Path, model: Path, *, start: Path, epochs: int | None) -> Scores:
    """Train into the folder `model`; scores of the slices held out."""
    course = TrainOptions(
        input=prepared, output=model, from_=start, epochs=epochs, score_every=100_000
    )
    run_stage("train", course, Terminal())
    scored = EvaluateOptions(prediction=model, output=model.with_name(f"{model.name}-scores"))
    return run_stage("evaluate", scored, Terminal()).data


def format_table(found: Mapping[tuple[str, int], Sequence[Scores]]) -> str:
    """Mean and sample standard deviation over the choices, as Markdown."""
    starts = [RANDOM, MODEL]
    lines = [
        f"| labelled slices | {' | '.join(f'{start}: V_Rand, V_Info' for start in starts)} |",
        "| --- | --- | --- |",
    ]
    for labelled in sorted({number for _, number in found}):
        cells = [summarise(found.get((start, labelled), ())) for start in starts]
        lines.append(f"| {labelled} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def summarise(scores: Sequence[Scores]) -> str:
    """Mean and sample standard deviation of every measure, in words."""
    if not scores:
        return ""
    values = np.array([[one[name] for name in MEASURES] for one in scores])
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(MEASURES))
    return ", ".join(f"{m:.4f} ± {s:.4f}" for m, s in zip(values.mean(axis=0), spread, strict=True))


def draw(found: Mapping[tuple[str, int], Sequence[Scores]], path: Path) -> None:
    """One panel a score: means, and bars from the worst choice to the best."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, (measure, title) in zip(figure.subplots(1, 2), MEASURES.items(), strict=True):
        for start, mark in ((RANDOM, "o-"), (MODEL, "s-")):
            numbers = sorted(number for name, number in found if name == start)
            values = [[one[measure] for one in found[start, number]] for number in numbers]
            means = np.array([np.mean(row) for row in values])
            bars = [means - [min(row) for row in values], [max(row) for row in values] - means]
            axes.errorbar(numbers, means, yerr=bars, fmt=mark, capsize=3, label=start)
        axes.set_xscale("symlog", linthresh=1)
        ticks = sorted({number for _, number in found})
        axes.set_xticks(ticks, [str(number) for number in ticks])
        axes.set(xlabel="labelled slices", ylabel=title)
        axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stacks", type=Path, default=Path("data"), help="images and labels")
    parser.add_argument("--from", dest="start", type=Path, default=STARTER, help="a model")
    parser.add_argument("--labelled", default="0,1,2,3,6,12,24", help="numbers of slices")
    parser.add_argument("--choices", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="of both, instead of the default courses")
    parser.add_argument("--copies", type=int, default=AugmentOptions.copies, help="of each slice")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--model-only", action="store_true", help="do not train from nothing")
    only.add_argument("--nothing-only", action="store_true", help="do not train from the model")
    parser.add_argument("--output", type=Path, default=Path("work/few-labels"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    starts = {RANDOM: NOTHING, MODEL: options.start}
    if options.model_only:
        del starts[RANDOM]
    if options.nothing_only:
        del starts[MODEL]
    trials = Trials(
        options.stacks,
        starts,
        epochs=options.epochs,
        copies=options.copies,
        output=options.output,
    )
    found: dict[tuple[str, int], list[Scores]] = {}
    with (options.output / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["choice", "scored", "labelled", "start", *MEASURES])
        for number in range(options.choices):
            choice = Choice.draw(number, len(trials))
            for labelled in map(int, options.labelled.split(",")):
                for start, scores in trials.run(choice, labelled):
                    found.setdefault((start, labelled), []).append(scores)
                    scored = f"{choice.scored.start}-{choice.scored.stop - 1}"
                    values = [scores[name] for name in MEASURES]
                    table.writerow([number, scored, labelled, start, *values])
                    file.flush()
    text = format_table(found)
    (options.output / "table.md").write_text(text, encoding="utf-8")
    draw(found, options.output / "few-labels.png")
    print(text, end="")


if __name__ == "__main__":
    main()
