"""`unetseg crossvalidate`: every slice predicted by a network that never saw it.

Above the stages: it runs preprocess, train and evaluate once for every fold. Each fold is a folder
of ordinary stages, so a run that dies can be resumed, and anything can be inspected with the
ordinary commands.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from unetseg.artifacts.manifest import MANIFEST, Manifest, open_stage
from unetseg.artifacts.writer import StageWriter
from unetseg.errors import InputError
from unetseg.options import (
    CrossvalidateOptions,
    EvaluateOptions,
    PreprocessOptions,
    TrainOptions,
)
from unetseg.progress import Progress, StageResult
from unetseg.stacks.labels import find_counted
from unetseg.stacks.opening import open_volume
from unetseg.stacks.volume import name_slices
from unetseg.stages.evaluate import evaluate
from unetseg.stages.preprocess import preprocess, volumes_of
from unetseg.stages.train import train

TABLE = "table.md"
SCORES = "scores.csv"
MEASURES = {"v_rand": "V_Rand", "v_info": "V_Info", "pixel_error": "pixel error"}


@dataclass(frozen=True)
class Fold:
    """A block of source slices, and the scores on them of a network trained on the others.

    Attributes
    ----------
    block : range
        The slices that were held out.
    numbers : list of int
        Those of them in which any pixel counts.
    scores : dict
        As in scores.json of `unetseg evaluate`.
    minutes : float
        Duration of training.
    """

    block: range
    numbers: list[int]
    scores: dict[str, Any]
    minutes: float

    def __str__(self) -> str:
        """First and last slice."""
        return _name(self.block)


def crossvalidate(options: CrossvalidateOptions, progress: Progress) -> StageResult:
    """Train on all folds but one and score that one, for each fold in turn.

    Parameters
    ----------
    options : CrossvalidateOptions
    progress : Progress

    Returns
    -------
    StageResult
        Its `data` are the scores of each fold, their mean and their standard deviation.

    Raises
    ------
    InputError
        If the input folder is incomplete or stale, or holds fewer source slices than folds.
    TrainingError
        If a loss or weight becomes infinite or NaN.
    """
    manifest, blocks = _plan(options)
    with StageWriter(
        options.output,
        stage="crossvalidate",
        options=options.recorded(),
        inputs=[manifest],
        names=(TABLE, SCORES),
    ) as writer:
        _warn_of_earlier(options, blocks, progress)
        folds: list[Fold] = []
        for number, block in enumerate(blocks, start=1):
            name = f"fold {number} of {len(blocks)}"
            progress.say(f"{name}: {name_slices(block)} held out")
            fold = _run_fold(options, block, progress)
            scores = (f"{title} {fold.scores[m]:.4f}" for m, title in MEASURES.items())
            progress.say(f"{name}: {'  '.join(scores)}")
            folds.append(fold)
            writer.check_inputs()  # all folds are of the same slices
        summary = summarise(folds)
        writer.details["summary"] = summary
        writer.path(TABLE).write_text(format_table(folds, summary), encoding="utf-8")
        _write_scores(writer.path(SCORES), folds, summary)
    return writer.result(
        [f"{options.input}: {blocks[-1].stop} source slices in {len(blocks)} folds"],
        notes=[
            f"{title:12}{mean:.4f} ± {spread:.4f} over {len(folds)} folds"
            for title, (mean, spread) in zip(MEASURES.values(), summary.values(), strict=True)
        ],
        data={"folds": {str(fold): fold.scores for fold in folds}, "summary": summary},
    )


def _plan(options: CrossvalidateOptions) -> tuple[Manifest, list[range]]:
    """Return the input's manifest and the blocks; raise now, not in hours, if scoring will fail."""
    manifest = open_stage(options.input, stage="augment", fresh=True)
    slices = max(manifest.details["sources"]) + 1
    if options.leave_out == "volumes":
        blocks = _volumes(options, manifest)
    elif slices < options.folds:
        raise InputError(
            options.input,
            expected=f"a source slice for each of {options.folds} folds",
            found=f"{slices}",
            remedy="give fewer --folds",
        )
    else:
        blocks = split(slices, options.folds)
    with open_volume(options.input / "labels.tif") as labels:
        remedy = "leave it out of both stacks, and run unetseg augment again"
        for block in blocks:
            find_counted(labels, block, remedy=remedy)
    return manifest, blocks


def _volumes(options: CrossvalidateOptions, manifest: Manifest) -> list[range]:
    """The slices of each volume."""
    volumes = volumes_of(manifest)
    if len(volumes) < 2:
        raise InputError(
            options.input,
            expected="several volumes, for --leave-out volumes",
            found="one",
            remedy="give unetseg augment several --volume and --labels, or leave out blocks",
        )
    return list(volumes.values())


def _warn_of_earlier(
    options: CrossvalidateOptions, blocks: list[range], progress: Progress
) -> None:
    """Warn of what in the output folder is not from this run."""
    path = options.output / MANIFEST
    # By way of JSON, as they were written.
    if path.is_file() and Manifest.read(path).options != json.loads(json.dumps(options.recorded())):
        progress.warn(
            f"{options.output / TABLE}: from a run with other options, outdated as soon as folds "
            "are replaced; to keep all of it, press Ctrl-C and choose another --output"
        )
    folders = {_folder(options, block) for block in blocks}
    for folder in sorted(set(options.output.glob("held-out-*")) - folders):
        progress.warn(f"{folder}: from a run with other folds, not part of this one")


def split(slices: int, folds: int) -> list[range]:
    """Return contiguous blocks of nearly equal length, because neighbouring slices look alike."""
    return [range(k * slices // folds, (k + 1) * slices // folds) for k in range(folds)]


def _name(block: range) -> str:
    return f"{block.start}-{block.stop - 1}"


def _folder(options: CrossvalidateOptions, block: range) -> Path:
    return options.output / f"held-out-{_name(block)}"


def _run_fold(options: CrossvalidateOptions, block: range, progress: Progress) -> Fold:
    """Run the stages of a fold that are not done yet."""
    folder = _folder(options, block)
    preprocess(
        PreprocessOptions(
            input=options.input,
            output=folder / "preprocessed",
            held_out=_name(block),
            force=options.force,
        ),
        progress,
    )
    settings = {field.name: getattr(options, field.name) for field in fields(TrainOptions)}
    settings.update(input=folder / "preprocessed", output=folder / "model")
    train(TrainOptions(**settings), progress)
    scored = evaluate(
        EvaluateOptions(prediction=folder / "model", output=folder / "evaluation"), progress
    )
    details = Manifest.read(folder / "model" / MANIFEST).details
    return Fold(block, details["held_out"], scored.data, details["minutes_trained"])


def summarise(folds: Sequence[Fold]) -> dict[str, tuple[float, float]]:
    """Mean and sample standard deviation over the folds, by measure."""
    values = {measure: [fold.scores[measure] for fold in folds] for measure in MEASURES}
    return {m: (statistics.mean(v), statistics.stdev(v)) for m, v in values.items()}


def format_table(folds: Sequence[Fold], summary: dict[str, tuple[float, float]]) -> str:
    """Format folds with mean and spread, then single slices, as Markdown."""
    lines = [
        f"| held out | {' | '.join(MEASURES.values())} | minutes |",
        "| --- " * (len(MEASURES) + 2) + "|",
    ]
    for fold in folds:
        scores = " | ".join(f"{fold.scores[measure]:.4f}" for measure in MEASURES)
        lines.append(f"| {fold} | {scores} | {fold.minutes:.1f} |")
    for index, name in enumerate(("mean", "standard deviation")):
        scores = " | ".join(f"{summary[measure][index]:.4f}" for measure in MEASURES)
        lines.append(f"| {name} | {scores} | |")
    lines += ["", "| slice | V_Rand | V_Info |", "| --- | --- | --- |"]
    for number, scores_of in _slices(folds):
        lines.append(f"| {number} | {scores_of['v_rand']:.4f} | {scores_of['v_info']:.4f} |")
    return "\n".join(lines) + "\n"


def _slices(folds: Sequence[Fold]) -> list[tuple[int, dict[str, float]]]:
    """Number and scores of every slice, at its fold's threshold."""
    return [
        pair for fold in folds for pair in zip(fold.numbers, fold.scores["slices"], strict=True)
    ]


def _write_scores(
    path: Path, folds: Sequence[Fold], summary: dict[str, tuple[float, float]]
) -> None:
    """Write the same as CSV: a row for each fold, mean, standard deviation and slice."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["of", *MEASURES, "minutes"], extrasaction="ignore")
        table.writeheader()
        for fold in folds:
            table.writerow({"of": f"fold {fold}", "minutes": fold.minutes, **fold.scores})
        for index, name in enumerate(("mean", "standard deviation")):
            table.writerow({"of": name, **{m: pair[index] for m, pair in summary.items()}})
        for number, scores in _slices(folds):
            table.writerow({"of": f"slice {number}", **scores})
