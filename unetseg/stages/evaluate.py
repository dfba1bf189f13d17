"""`unetseg evaluate`: the challenge's scores of a prediction, or those of numbered cells."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.checks import interior_contrast
from unetseg.arrays.labelling import INTERIOR, UNCOUNTED
from unetseg.arrays.metrics import (
    THRESHOLDS,
    SliceScores,
    StackScores,
    name_scores,
    score_slice,
)
from unetseg.artifacts.ancestry import held_out_seen, line_of
from unetseg.artifacts.finding import (
    find_cells,
    find_held_out,
    find_prediction,
    find_writer,
    zero_is_missing,
)
from unetseg.artifacts.forms import DETAILS, require
from unetseg.artifacts.manifest import MANIFEST, Seen, find_manifest
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.parallel import ordered_map
from unetseg.errors import UsageError
from unetseg.options import EvaluateOptions, LabelOptions, flag_of
from unetseg.progress import Progress, StageResult
from unetseg.stacks.labels import LabelsOfTissue, find_counted, open_labels
from unetseg.stacks.location import locate
from unetseg.stacks.opening import find_stack, open_numbers, open_volume
from unetseg.stacks.understanding import understand
from unetseg.stacks.volume import (
    Volume,
    check_probabilities,
    check_same_shape,
    name_in,
    name_slices,
)
from unetseg.stages.cellscoring import check_cells, holds_cells, score_cells
from unetseg.stages.stackchecks import say_remarks

NAME = "scores.json"
# What stages write to their folders, as a value of --prediction-as.
KINDS = {"train": "probabilities", "predict": "probabilities", "segment": "cells"}
# Smaller differences may be chance: of probabilities, in standard deviations of a slice, and of
# V_Rand.
CLEARLY_LOWER, CLEARLY_BETTER = 0.1, 0.01


def evaluate(options: EvaluateOptions, progress: Progress) -> StageResult:
    """Score a prediction against labels.

    Parameters
    ----------
    options : EvaluateOptions
    progress : Progress

    Returns
    -------
    StageResult
        Its `data` are the contents of scores.json.

    Raises
    ------
    InputError
        If prediction and labels do not fit each other or cannot be read.
    UsageError
        If labels are needed and not given, or the options that describe them make no sense.
    """
    prediction_path, labels_path, are_cells = _find(options)
    seen = [Seen.of(prediction_path), Seen.of(labels_path)]
    with (
        (open_numbers if are_cells else open_volume)(prediction_path) as prediction,
        open_labels(labels_path, understand(options, prediction.voxel)) as labels,
    ):
        say_remarks(progress, prediction, labels.source)
        check_same_shape(prediction, labels)
        if are_cells:
            check_cells(prediction)
        else:
            _check_probabilities(prediction)
        missing = not are_cells and zero_is_missing(prediction_path)
        truth = LabelsOfTissue(labels, prediction) if missing else labels
        counted = find_counted(
            truth,
            range(len(truth)),
            remedy="name the slices that nobody has labelled with --unlabelled-slices",
        )
        _warn_of_training(prediction_path, counted, progress)
        with StageWriter(
            options.output,
            stage="evaluate",
            options=options.recorded(),
            inputs=seen,
            names=[NAME],
        ) as writer:
            data, scores = (
                score_cells(prediction, labels, counted, jobs=options.jobs, progress=progress)
                if are_cells
                else _score_probabilities(
                    prediction, truth, counted, jobs=options.jobs, progress=progress
                )
            )
            if labels.separate:
                data["names"] = list(labels.names)
            writer.path(NAME).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        read = [str(prediction), str(labels)]
    notes = [labels.note] if labels.note else []
    left_out = sorted(set(range(len(labels))) - set(counted))
    if left_out:
        notes.append(f"nothing counts in {name_in(labels, left_out)}: left out of the scores")
    return writer.result(read, notes=notes + scores, data=data)


def _find(options: EvaluateOptions) -> tuple[Path, Path, bool]:
    """Return the paths of prediction and labels, and whether the prediction holds cells.

    If the prediction is the folder of a model, the stacks are those of its held-out slices.
    """
    path, labels = options.prediction, options.labels
    is_folder = path.suffix.lower() not in (".tif", ".tiff", ".zarr") and not (
        locate(path)[0].is_file()
    )
    known = find_manifest(path) if is_folder else None
    stage = "" if known is None else known.stage
    said = options.prediction_as
    if stage in KINDS and said not in ("auto", KINDS[stage]):
        raise UsageError(
            f"--prediction-as: expected {KINDS[stage]} with {path}, the results of unetseg "
            f"{stage}, found {said}; leave it out"
        )
    is_slices = is_folder and not stage and said == "cells"
    if is_folder and stage not in ("predict", "segment") and not is_slices:
        held_out = find_held_out(path)
        if labels is not None:
            raise UsageError(
                f"--labels: {path} holds its own labels; give --prediction a prediction "
                "to score against others"
            )
        _check_nothing_said(options, path)
        return *held_out, False
    if stage:
        path = find_prediction(path) if stage == "predict" else find_cells(path)
    if labels is None:
        raise UsageError("--labels: needed with --prediction, to know what is right")
    if is_slices:
        path = find_stack(path, "labels.tif")
    are_cells = stage == "segment" or holds_cells(path, said=said)
    return path, find_stack(labels, "test-labels.tif"), are_cells


def _check_probabilities(prediction: Volume) -> None:
    """Raise an InputError unless pixels may be probabilities; integers may be numbers of cells."""
    remedy = "divide the pixels by their largest value"
    if prediction.dtype.kind in "iu":
        remedy += ", or give --prediction-as cells if they are numbers of cells"
    check_probabilities(prediction, remedy=remedy)


def _warn_of_training(prediction: Path, counted: list[int], progress: Progress) -> None:
    """Warn of slices that the model has learned from, according to the prediction's manifest."""
    manifest = find_writer(prediction)
    if manifest is not None and manifest.stage == "segment" and manifest.inputs:
        # For cells, what the model of their prediction has learned from matters.
        prediction = manifest.inputs[0].seen_from(prediction.parent)
        manifest = find_writer(prediction)
    if manifest is None:
        return
    require(manifest, prediction.parent / MANIFEST, details=DETAILS.get(manifest.stage, {}))
    if manifest.stage == "train":
        seen = held_out_seen(line_of(manifest), manifest.details)
        scored, remedy = {manifest.details["held_out"][index] for index in counted}, ""
    else:
        seen, scored = manifest.details.get("trained_on", []), set(counted)
        remedy = "; --unlabelled-slices leaves slices out"
    if told := [index for index in seen if index in scored]:
        progress.warn(
            f"{prediction}: the model, or one that it was trained from, has learned from "
            f"{name_slices(told)}: scores of these are too good{remedy}"
        )


def _check_nothing_said(options: EvaluateOptions, folder: Path) -> None:
    """Raise a UsageError if options describe labels that augment has interpreted already."""
    for field in dataclasses.fields(LabelOptions):
        if getattr(options, field.name) != field.default:
            raise UsageError(
                f"--{flag_of(field.name)}: {folder} holds its own labels, as unetseg "
                "augment has understood them; leave it out"
            )


def _score_probabilities(
    prediction: Volume, truth: Volume, counted: list[int], *, jobs: int, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """Return the contents of scores.json for probabilities, and lines for people."""
    pairs = ((prediction[index], truth[index]) for index in counted)
    tracked = progress.track(
        ordered_map(_score, pairs, jobs=jobs), total=len(counted), label="evaluate", unit="slice"
    )
    slices, contrasts = zip(*tracked, strict=True)
    data = _tabulate(slices, counted, len(truth))
    _warn_of_labels(truth.path, data, float(np.mean(contrasts)), progress)
    titles = (("v_rand", "V_Rand"), ("v_info", "V_Info"), ("pixel_error", "pixel error"))
    curves = data["curves"]
    middle = curves["threshold"].index(0.5)
    return data, [
        f"{title:12}{data[key]:.4f}  at threshold {data[key + '_threshold']:.1f}, "
        f"{curves[key][middle]:.4f} at 0.5"
        for key, title in titles
    ]


def _score(
    pair: tuple[npt.NDArray[Any], npt.NDArray[np.uint8]],
) -> tuple[list[SliceScores], float]:
    """Scores of a slice, and by how much probabilities are higher inside cells than on membrane."""
    probability, label = pair
    inside, counted = label == INTERIOR, label != UNCOUNTED
    scores = score_slice(probability, inside, counted=counted, thresholds=THRESHOLDS)
    return scores, interior_contrast(probability[counted], inside[counted])


def _warn_of_labels(path: Path, data: dict[str, Any], contrast: float, progress: Progress) -> None:
    """Warn if labels and prediction hardly seem to belong together, whatever the scores are."""
    if contrast < -CLEARLY_LOWER:
        progress.warn(
            f"{path}: labels may be inverted: the prediction sees membrane where they have "
            "interior, their higher value; if so, invert them (in Fiji: Edit > Invert)"
        )
        return
    first, *between, last = data["curves"]["v_rand"]
    for threshold, value in ((THRESHOLDS[0], first), (THRESHOLDS[-1], last)):
        if value > max(between) + CLEARLY_BETTER:
            progress.warn(
                f"{path}: the best threshold is {threshold:.0f}, the end of the scale: see that "
                "these are the labels of the slices that were predicted"
            )


def _tabulate(
    slices: Sequence[Sequence[SliceScores]], counted: list[int], total: int
) -> dict[str, Any]:
    """Return the contents of scores.json, given the scores of the counted slices among all."""
    rows: list[dict[str, float] | None] = [None] * total
    stack = StackScores.from_slices(slices)
    thresholds = [round(t, 1) for t in THRESHOLDS]
    for index, scores in zip(counted, slices, strict=True):
        rand, information = scores[stack.best_v_rand].rand, scores[stack.best_v_info].information
        rows[index] = name_scores(rand, information)
    return {
        **stack.best(),
        "v_rand_threshold": thresholds[stack.best_v_rand],
        "v_info_threshold": thresholds[stack.best_v_info],
        "pixel_error_threshold": thresholds[stack.best_pixel_error],
        "curves": {
            "threshold": thresholds,
            "v_rand": stack.v_rand,
            "v_info": stack.v_info,
            "pixel_error": stack.pixel_error,
            **_parts(slices),
        },
        "slices": rows,
    }


def _parts(slices: Sequence[Sequence[SliceScores]]) -> dict[str, list[float]]:
    """Means over the slices of the merge and split parts of both scores, for each threshold."""
    columns = list(zip(*slices, strict=True))
    return {
        f"{name}_{side}": [
            float(np.mean([getattr(getattr(s, kind), side) for s in column])) for column in columns
        ]
        for name, kind in (("v_rand", "rand"), ("v_info", "information"))
        for side in ("merge", "split")
    }
