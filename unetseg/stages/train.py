"""`unetseg train`: a network, its learning curves, and what it makes of the held-out slices."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.labelling import INTERIOR, UNCOUNTED
from unetseg.arrays.metrics import THRESHOLDS, SliceScores, StackScores, score_slice
from unetseg.artifacts.checkpoint import load_checkpoint, save_checkpoint
from unetseg.artifacts.finding import HELD_OUT_LABELS, HELD_OUT_PREDICTION
from unetseg.artifacts.forms import of_the_stack
from unetseg.artifacts.manifest import MANIFEST, Manifest, open_stage
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.calibrator import NOT_CALIBRATED, Calibrator
from unetseg.engine.machine import parse_memory
from unetseg.engine.prediction import Predictor, build_network
from unetseg.errors import TrainingError, UsageError
from unetseg.figures.curves import draw_curves
from unetseg.figures.triptych import draw_triptych
from unetseg.network.backend import describe_backend, make_deterministic, precision
from unetseg.network.batches import Patches, Slices, patch_shape
from unetseg.network.recipes import NETWORKS, RECIPES
from unetseg.network.saving import hash_weights, save_model
from unetseg.network.training import Epoch, Trainer
from unetseg.options import PredictOptions, TrainOptions
from unetseg.progress import Progress, StageResult
from unetseg.running import command_line
from unetseg.stacks.npy import open_npy
from unetseg.stacks.tiff import Stack
from unetseg.stacks.volume import describe

CHECKPOINT = ".checkpoint.npz"  # hidden, so that it is not published
NAMES = (
    "model.keras",
    "history.csv",
    "curves.png",
    "held-out.png",
    HELD_OUT_PREDICTION,
    HELD_OUT_LABELS,
)

# Scores on the way are those of the network as it would be delivered then, calibrated. Where it is,
# cells run together below 0.5: the best of the challenge's eleven thresholds is one of these.
PROGRESS_THRESHOLDS = THRESHOLDS[5:10]

# The held-out slices are predicted as a user would predict hers.
PREDICTION = PredictOptions()
MEMORY = parse_memory(PREDICTION.memory)


def train(options: TrainOptions, progress: Progress) -> StageResult:
    """Train a U-Net and predict the held-out slices with it.

    What training has come to is kept after every epoch; the same call goes on from there.

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
    """
    manifest = open_stage(options.input, stage="preprocess", fresh=True)
    training = _open(options.input, "train")
    held_out = _open(options.input, "held-out") if manifest.details["held_out"] else None
    if options.select == "best" and held_out is None:
        raise UsageError("--select best: expected held-out slices to choose by, found none")
    with StageWriter(
        options.output,
        stage="train",
        options=options.recorded(),
        inputs=[manifest],
        names=NAMES,
        resumable=True,
        conditions=describe_backend(),
        next_command=command_line("predict", model=options.output),
    ) as writer:
        if options.force:
            writer.begin_anew()
        elif writer.is_current():
            return writer.nothing_to_do()
        _warn_of_earlier(options.output, progress)
        sources = manifest.details["train_sources"]
        course = _Course(options, training, sources, held_out, writer.path(CHECKPOINT), progress)
        course.run()
        save_model(course.model, writer.path("model.keras"))
        _write_history(writer.path("history.csv"), course.history)
        draw_curves(writer.path("curves.png"), course.history)
        writer.details.update(_describe_model(course, manifest))
        if held_out is not None:
            _write_held_out(writer, course.predictor, held_out, progress)
            writer.details["scores"] = _score_held_out(writer, held_out, progress)
    return writer.result(
        [f"{options.input}: {describe(training.images.shape)} to train on"],
        notes=_notes(course, writer.details.get("scores")),
    )


def _warn_of_earlier(folder: Path, progress: Progress) -> None:
    """Say that a model will be replaced, as long as it can be kept."""
    if not (folder / MANIFEST).is_file():
        return
    scores = Manifest.read(folder / MANIFEST).details.get("scores")
    score = f", with V_Rand {scores['v_rand']:.4f}," if scores else ""
    progress.warn(
        f"{folder}: the model that is there{score} is replaced when this one is finished; to keep "
        "it press Ctrl-C, and name another --output"
    )


def _notes(course: _Course, scores: dict[str, Any] | None) -> list[str]:
    """What came out, for people."""
    done = len(course.history)
    kept = f"kept the weights of epoch {course.kept_epoch} of {done}"
    if done < course.options.epochs:
        kept += f": --minutes ended the course of {course.options.epochs}"
    if scores is None:
        return [kept]
    return [
        kept,
        f"held-out V_Rand {scores['v_rand']:.4f} V_Info {scores['v_info']:.4f} (best threshold, "
        "8 symmetries; epochs are scored without)",
    ]


class _Course:
    """A training run: the network, what it has been through, and how it does on the way."""

    def __init__(
        self,
        options: TrainOptions,
        training: Slices,
        sources: list[int],
        held_out: Slices | None,
        checkpoint: Path,
        progress: Progress,
    ) -> None:
        self.options = options
        self.recipe = RECIPES[options.recipe]
        if options.learning_rate is not None:
            self.recipe = replace(self.recipe, learning_rate=options.learning_rate)
        network = NETWORKS[options.network]
        self.network = replace(network, batch_norm=network.batch_norm and self.recipe.batch_norm)
        self.history: list[dict[str, Any]] = []
        self._held_out = held_out
        self._checkpoint = checkpoint
        self._progress = progress
        self.calibrator = None
        if self.recipe.weighted:
            self.calibrator = Calibrator(training, sources, memory=MEMORY)
            training = self.calibrator.training
        self.trained_on = self.calibrator.trained_on if self.calibrator else sorted(set(sources))
        self._best: list[npt.NDArray[Any]] = []
        make_deterministic(options.seed)
        self.model = build_network(self.network, seed=options.seed)
        self.predictor = Predictor(self.model, self.network)
        patches = Patches(
            training if self.recipe.weighted else training.unweighted(),
            shape=patch_shape(
                training.images.shape[1:], patch=options.patch, multiple=self.network.multiple
            ),
            batch_size=options.batch_size,
            overhang=self.network.border,  # what prediction mirrors
            seed=options.seed,
        )
        self._trainer = Trainer(
            self.model,
            patches,
            epochs=options.epochs,
            minutes=options.minutes,
            **self.recipe.for_trainer(),
            precision=precision(),
        )

    def run(self) -> None:
        """Train, and leave the chosen weights in the model, its outputs calibrated."""
        self._resume()
        try:
            self._trainer.run(self._after_epoch)
        except TrainingError:
            # Going on from there would end in the same way.
            self._checkpoint.unlink(missing_ok=True)
            raise
        except KeyboardInterrupt:
            if self.history:
                self._progress.say(f"the same command goes on after epoch {len(self.history)}")
            raise
        if self.options.select == "best":
            self.model.set_weights(self._best)
        self._prepare()
        if self.calibrator is not None:
            self.calibrator.finish(self.model)
            if self.calibrator.found is None:
                # The weights are as good as any, and may have taken hours.
                self._progress.warn(NOT_CALIBRATED)

    def _prepare(self) -> None:
        """Predict with the weights that the model has now."""
        if self.calibrator is None:
            self.predictor.take_weights()
        else:
            self.calibrator.prepare(self.predictor)

    @property
    def kept_epoch(self) -> int:
        """Whose weights the model has at the end."""
        if self.options.select == "last":
            return len(self.history)
        return int(np.argmax([row["v_rand"] or -1.0 for row in self.history])) + 1

    def _resume(self) -> None:
        """Take up where a run that died has left off."""
        kept = load_checkpoint(self._checkpoint)
        if kept is None:
            return
        arrays, self.history = kept
        self._best = arrays.get("best", [])
        seconds = self.history[-1]["seconds"]
        self._trainer.restore(arrays["state"], epochs=len(self.history), seconds=seconds)
        self._progress.say(f"going on after epoch {len(self.history)}, {_clock(seconds)}")

    def _after_epoch(self, epoch: Epoch) -> None:
        row = {**dataclasses.asdict(epoch), "v_rand": None, "v_info": None}
        row["epoch"] = row.pop("number")
        line = f"epoch {epoch.number}/{self.options.epochs}  loss {epoch.loss:.4f}"
        due = epoch.number % self.options.score_every == 0 or epoch.progress == 1
        if self._held_out is not None and due:
            row["v_rand"], row["v_info"] = self._score(self._held_out)
            line += f"  held-out V_Rand {row['v_rand']:.4f} V_Info {row['v_info']:.4f}"
        self.history.append(row)
        if self.options.select == "best" and self.kept_epoch == epoch.number:
            self._best = self.model.get_weights()
        state = {"state": self._trainer.state(), "best": self._best}
        save_checkpoint(self._checkpoint, state, self.history)
        left = epoch.seconds * (1 - epoch.progress) / epoch.progress
        self._progress.say(f"{line}  {_clock(epoch.seconds)}, {_clock(left)} left")

    def _score(self, held_out: Slices) -> tuple[float, float]:
        """V_Rand and V_Info of the held-out slices, quickly: no averaging, fewer thresholds."""
        self._prepare()
        predictions = (
            self.predictor.predict_slice(image, tta=False, memory=MEMORY)
            for image in held_out.images
        )
        scored = _score_slices(predictions, held_out, thresholds=PROGRESS_THRESHOLDS)
        scores = StackScores.from_slices(list(scored))
        return max(scores.v_rand), max(scores.v_info)


def _open(folder: Path, part: str) -> Slices:
    return Slices(
        images=open_npy(folder / f"{part}-images.npy", dtype=np.float32),
        labels=open_npy(folder / f"{part}-labels.npy", dtype=np.uint8),
        weights=open_npy(folder / f"{part}-weights.npy", dtype=np.float32),
    )


def _write_held_out(
    writer: StageWriter, predictor: Predictor, held_out: Slices, progress: Progress
) -> None:
    """Leave what `unetseg evaluate` scores when it is given nothing."""
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


def _score_slices(
    predictions: Iterable[npt.NDArray[np.float32]], held_out: Slices, *, thresholds: Sequence[float]
) -> Iterator[list[SliceScores]]:
    """Scores of what counts in the held-out slices, one after the other."""
    for prediction, label, weights in zip(
        predictions, held_out.labels, held_out.weights, strict=True
    ):
        yield score_slice(prediction, label, counted=weights > 0, thresholds=thresholds)


def _score_held_out(writer: StageWriter, held_out: Slices, progress: Progress) -> dict[str, float]:
    """What `unetseg evaluate` will say, for the model's manifest."""
    with Stack(writer.path(HELD_OUT_PREDICTION)) as predictions:
        scored = _score_slices(predictions, held_out, thresholds=THRESHOLDS)
        total = len(predictions)
        slices = list(progress.track(scored, total=total, label="score held-out", unit="slice"))
    return StackScores.from_slices(slices).best()


def _write_history(path: Path, history: list[dict[str, Any]]) -> None:
    names = ("epoch", "loss", "learning_rate", "seconds", "v_rand", "v_info")
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, names, extrasaction="ignore")
        table.writeheader()
        table.writerows(history)


def _describe_model(course: _Course, preprocessed: Manifest) -> dict[str, Any]:
    """What `unetseg predict` must know, and what a reader wants to know."""
    return {
        "data": preprocessed.details["data"],
        "synthetic": preprocessed.details.get("synthetic", False),
        "train_slices": course.trained_on,
        "network": dataclasses.asdict(course.network),
        "recipe": dataclasses.asdict(course.recipe),
        "normalisation": preprocessed.details["normalisation"],
        **of_the_stack(preprocessed),
        "held_out": preprocessed.details["held_out"],
        "epochs_run": len(course.history),
        "kept_epoch": course.kept_epoch,
        "calibration": course.calibrator and course.calibrator.describe(),
        "minutes_trained": round(course.history[-1]["seconds"] / 60, 2),
        "tta": PREDICTION.tta,
        **describe_backend(),
        "precision": precision(),
        "weights_sha256": hash_weights(course.model),
    }


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
