"""`unetseg train`: a network, its learning curves, and its prediction of the held-out slices."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from unetseg.arrays.labelling import INTERIOR, UNCOUNTED
from unetseg.arrays.metrics import THRESHOLDS, StackScores
from unetseg.artifacts.ancestry import describe_model, held_out_seen, line_of
from unetseg.artifacts.finding import HELD_OUT_LABELS, HELD_OUT_PREDICTION
from unetseg.artifacts.forms import of_the_stack
from unetseg.artifacts.manifest import MANIFEST, Manifest, open_stage
from unetseg.artifacts.prepared import open_slices
from unetseg.artifacts.wishes import CHECKPOINT, HISTORY, Wishes
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.course import MEMORY, PREDICTION, Course, score_slices
from unetseg.engine.onlooker import Onlooker
from unetseg.engine.prediction import Predictor
from unetseg.engine.start import Parent, begin, find_parent, recipe_of
from unetseg.errors import InputError, TrainingError, UsageError
from unetseg.figures.curves import draw_curves
from unetseg.figures.triptych import draw_triptych
from unetseg.network.backend import describe_backend, require_tensorflow
from unetseg.network.batches import Slices
from unetseg.network.precision import FLOAT32, choose_precision, has_bfloat16
from unetseg.network.saving import hash_weights, save_model
from unetseg.options import TrainOptions
from unetseg.progress import Progress, StageResult
from unetseg.running import command_line
from unetseg.stacks.files import replacing
from unetseg.stacks.tiff import Stack
from unetseg.stacks.volume import describe, name_slices
from unetseg.stacks.voxel import Voxel

# Hidden, so that they are not published.
PRECISION = ".precision"
EVENTS = "events.out.tfevents"  # as TensorBoard looks for them
NAMES = (
    "model.keras",
    HISTORY,
    "curves.png",
    "held-out.png",
    HELD_OUT_PREDICTION,
    HELD_OUT_LABELS,
    EVENTS,
)


def train(options: TrainOptions, progress: Progress) -> StageResult:
    """Train a U-Net and predict the held-out slices with it.

    The state of training is saved after every epoch; the same call resumes from there.

    Parameters
    ----------
    options : TrainOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If the input folder is incomplete or stale, or the output folder holds an unfinished run
        of other options.
    TrainingError
        If the loss or the weights become infinite or NaN.
    UsageError
        If the options are not possible with these slices or on this backend.
    """
    if options.tensorboard:
        require_tensorflow("--tensorboard")
    manifest = open_stage(options.input, stage="preprocess", fresh=True)
    parent = find_parent(options, manifest.details)
    training = open_slices(options.input, manifest, "train")
    held_out = None
    if manifest.details["held_out"]:
        held_out = open_slices(options.input, manifest, "held-out")
    if options.select == "best" and held_out is None:
        raise UsageError("--select best: expected held-out slices to choose by, found none")
    with StageWriter(
        options.output,
        stage="train",
        options={**options.recorded(), "epochs": recipe_of(options, parent).epochs},
        inputs=[manifest, *([parent.manifest] if parent else [])],
        names=NAMES,
        resumable=True,
        conditions=describe_backend(),
        next_command=command_line("predict", model=options.output),
    ) as writer:
        if options.force:
            writer.begin_anew()
        elif writer.is_current():
            return _nothing_to_do(writer, options)
        _warn_of_earlier(options.output, progress)
        if parent is not None:
            _warn_of_parent(parent, manifest.details, progress)
        sources = manifest.details["train_sources"]
        start = begin(options, parent)
        precision = _recorded_precision(writer.path(PRECISION), options)
        if not options.tensorboard:  # the run being resumed may have written it
            writer.path(EVENTS).unlink(missing_ok=True)
        course = Course(
            options,
            start,
            training,
            sources,
            held_out,
            writer.path(CHECKPOINT),
            progress,
            onlooker=_onlooker(options.output, manifest),
            precision=precision,
            events=writer.path(EVENTS) if options.tensorboard else None,
        )
        try:
            course.run()
        except TrainingError:
            writer.begin_anew()  # resuming from there would end in the same way
            raise
        save_model(course.model, writer.path("model.keras"))
        _write_history(writer.path(HISTORY), course.history)
        draw_curves(writer.path("curves.png"), course.history)
        writer.details.update(_describe_model(course, manifest, parent), precision=precision)
        if held_out is not None:
            _write_held_out(writer, course.predictor, held_out, progress)
            writer.details["scores"] = _score_held_out(writer, held_out, progress)
    return writer.result(
        [
            *([f"{parent.name}: {describe_model(parent.manifest)}"] if parent else []),
            f"{options.input}: {describe(training.images.shape)} to train on",
        ],
        notes=[
            *([] if parent else ["began with random weights"]),
            *_notes(course, writer.details.get("scores")),
        ],
    )


def _onlooker(folder: Path, preprocessed: Manifest) -> Onlooker:
    """Return what lets others follow, and see slices as `unetseg predict` will show them."""
    details = preprocessed.details
    voxel = Voxel.recorded(details)
    return Onlooker(Wishes(folder), details["normalisation"], voxel, memory=MEMORY)


def _nothing_to_do(writer: StageWriter, options: TrainOptions) -> StageResult:
    """Return the result for a finished model; it is not trained again just for --tensorboard."""
    result = writer.nothing_to_do()
    if options.tensorboard and not (options.output / EVENTS).exists():
        result.notes.append(f"{options.output / EVENTS} comes with --force alone")
    return result


def _recorded_precision(path: Path, options: TrainOptions) -> str:
    """Precision of the run being resumed, or else what `choose_precision` finds here."""
    if not path.exists():
        with replacing(path) as file:
            file.write(choose_precision(options.precision).encode())
    precision = path.read_text()
    if precision != FLOAT32 and not has_bfloat16():
        raise InputError(
            options.output,
            expected="a processor with bfloat16, to go on with what began on one",
            found="none",
            remedy="resume it where it began, or start over with --force",
        )
    return precision


def _warn_of_parent(parent: Parent, details: dict[str, Any], progress: Progress) -> None:
    """Warn if the parent was trained on other pixel sizes, or on held-out slices."""
    differ = parent.other_pixels(details)
    if differ is not None:
        progress.warn(f"{parent.name}: {differ}: it will have more to learn")
    seen = held_out_seen(line_of(parent.manifest), details)
    if seen:
        progress.warn(
            f"{parent.name}: it or a model before it was trained on held-out {name_slices(seen)}: "
            "their score will be too good"
        )


def _warn_of_earlier(folder: Path, progress: Progress) -> None:
    """Warn that a model will be replaced, while it can still be kept."""
    if not (folder / MANIFEST).is_file():
        return
    scores = Manifest.read(folder / MANIFEST).details.get("scores")
    score = f", with V_Rand {scores['v_rand']:.4f}," if scores else ""
    progress.warn(
        f"{folder}: the present model{score} is replaced when this run is finished; to keep it, "
        "press Ctrl-C and choose another --output"
    )


def _notes(course: Course, scores: dict[str, Any] | None) -> list[str]:
    """Lines on the result, for people."""
    done = len(course.history)
    kept = f"kept the weights of epoch {course.kept_epoch} of {done}"
    if done < course.recipe.epochs:
        by = "it was stopped, in a" if course.stopped else "--minutes ended the"
        kept += f": {by} course of {course.recipe.epochs}"
    if scores is None:
        return [kept]
    return [
        kept,
        f"held-out V_Rand {scores['v_rand']:.4f} V_Info {scores['v_info']:.4f} (best threshold, "
        "8 symmetries; epochs are scored without)",
    ]


def _write_held_out(
    writer: StageWriter, predictor: Predictor, held_out: Slices, progress: Progress
) -> None:
    """Write the stacks that `unetseg evaluate` scores by default, and draw the first slice."""
    predictions = progress.track(
        (
            predictor.predict_slice(image, tta=PREDICTION.tta, memory=MEMORY)
            for image in held_out.images
        ),
        total=len(held_out.images),
        label="predict held-out",
        unit="slice",
    )
    labels = (
        np.where(weights > 0, label * INTERIOR, UNCOUNTED)
        for label, weights in zip(held_out.labels, held_out.weights, strict=True)
    )
    slices, height, width = held_out.images.shape
    shape = (slices, height, width)
    writer.write_stack(
        HELD_OUT_PREDICTION, predictions, shape=shape, dtype=np.float32, display_range=(0.0, 1.0)
    )
    writer.write_stack(HELD_OUT_LABELS, labels, shape=shape, dtype=np.uint8)
    with Stack(writer.path(HELD_OUT_PREDICTION)) as written:
        draw_triptych(
            writer.path("held-out.png"),
            image=held_out.images[0],
            label=held_out.labels[0],
            prediction=written[0],
            title="First of the held-out slices",
        )


def _score_held_out(writer: StageWriter, held_out: Slices, progress: Progress) -> dict[str, float]:
    """Compute the scores that `unetseg evaluate` will give, for the model's manifest."""
    with Stack(writer.path(HELD_OUT_PREDICTION)) as predictions:
        scored = score_slices(predictions, held_out, thresholds=THRESHOLDS)
        total = len(predictions)
        slices = list(progress.track(scored, total=total, label="score held-out", unit="slice"))
    return StackScores.from_slices(slices).best()


def _write_history(path: Path, history: list[dict[str, Any]]) -> None:
    names = ("epoch", "loss", "learning_rate", "seconds", "v_rand", "v_info")
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names, extrasaction="ignore")
        table.writeheader()
        table.writerows(history)


def _describe_model(
    course: Course, preprocessed: Manifest, parent: Parent | None
) -> dict[str, Any]:
    """Details for the manifest: what `unetseg predict` needs, and what a reader wants to know."""
    return {
        "data": preprocessed.details["data"],
        "synthetic": preprocessed.details.get("synthetic", False),
        "train_slices": course.trained_on,
        "network": dataclasses.asdict(course.network),
        "recipe": dataclasses.asdict(course.recipe),
        "normalisation": preprocessed.details["normalisation"],
        **of_the_stack(preprocessed),
        "ancestors": [] if parent is None else line_of(parent.manifest),
        "held_out": preprocessed.details["held_out"],
        "epochs_run": len(course.history),
        "kept_epoch": course.kept_epoch,
        "calibration": course.calibrator and course.calibrator.describe(),
        "minutes_trained": round(course.history[-1]["seconds"] / 60, 2),
        "tta": PREDICTION.tta,
        **describe_backend(),
        "weights_sha256": hash_weights(course.model),
    }
