"""A training run: what happens after every epoch, and how an interrupted run resumes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.metrics import THRESHOLDS, SliceScores, StackScores, score_slice
from unetseg.artifacts.checkpoint import load_checkpoint, save_checkpoint
from unetseg.engine.calibrator import NOT_CALIBRATED, Calibrator
from unetseg.engine.machine import parse_memory
from unetseg.engine.onlooker import Onlooker
from unetseg.engine.prediction import Predictor
from unetseg.engine.start import Start
from unetseg.network.backend import make_deterministic
from unetseg.network.batches import Patches, Slices, patch_shape
from unetseg.network.events import write_events
from unetseg.network.training import Epoch, Trainer
from unetseg.options import PredictOptions, TrainOptions
from unetseg.progress import Progress

# During training the network is scored as it would be delivered, with 0.5 as its best known cut:
# the best of the challenge's eleven thresholds is one of these.
PROGRESS_THRESHOLDS = THRESHOLDS[3:8]

# Held-out slices are predicted as a user would predict new ones, with default options.
PREDICTION = PredictOptions()
MEMORY = parse_memory(PREDICTION.memory)


class Course:
    """A training run: the network, its history, and its scores during training.

    Parameters
    ----------
    options : TrainOptions
    start : Start
        The network, trained in place, and the recipe.
    training : Slices
        All slices that are not held out.
    sources : list of int
        The source slice of each of them.
    held_out : Slices, optional
    checkpoint : Path
        File that a later run resumes from.
    progress : Progress
    onlooker : Onlooker, optional
        May end training early.
    precision : str
        As from `unetseg.network.precision.choose_precision`.
    events : Path, optional
        Where to write the learning curves for TensorBoard, after every epoch.

    Attributes
    ----------
    history : list of dict
        A row for each epoch.
    predictor : Predictor
        Predicts with the model, calibrated as it is delivered.
    trained_on : list of int
        Source slices that the network is trained on.
    stopped : bool
        Whether somebody has asked it to end early.
    """

    def __init__(
        self,
        options: TrainOptions,
        start: Start,
        training: Slices,
        sources: list[int],
        held_out: Slices | None,
        checkpoint: Path,
        progress: Progress,
        *,
        onlooker: Onlooker | None,
        precision: str,
        events: Path | None = None,
    ) -> None:
        self.history: list[dict[str, Any]] = []
        self.recipe, self.network, self.model = start.recipe, start.network, start.model
        self._options = options
        self._held_out = held_out
        self._checkpoint = checkpoint
        self._events = events
        self._progress = progress
        self._onlooker = onlooker
        self.stopped = False
        self.calibrator = None
        if self.recipe.weighted:
            self.calibrator = Calibrator(training, sources, memory=MEMORY)
            training = self.calibrator.training
        self.trained_on = self.calibrator.trained_on if self.calibrator else sorted(set(sources))
        self._best: list[npt.NDArray[Any]] = []
        make_deterministic(options.seed)
        self.predictor = Predictor(self.model, self.network)
        patches = Patches(
            training if self.recipe.weighted else training.unweighted(),
            shape=patch_shape(
                training.images.shape[1:], patch=options.patch, multiple=self.network.multiple
            ),
            count=options.epoch_size,
            batch_size=options.batch_size,
            overhang=self.network.border,  # what prediction mirrors
            seed=options.seed,
        )
        self._trainer = Trainer(
            self.model,
            patches,
            minutes=options.minutes,
            **self.recipe.for_trainer(),
            precision=precision,
        )

    def run(self) -> None:
        """Train; at the end the model has the chosen weights, and its outputs are calibrated."""
        self._resume()
        try:
            self._trainer.run(self._after_epoch)
        except KeyboardInterrupt:
            if self.history:
                self._progress.say(
                    f"run the same command to resume after epoch {len(self.history)}"
                )
            raise
        if self._onlooker is not None:
            self._onlooker.leave()
        if self._options.select == "best":
            self.model.set_weights(self._best)
        self._prepare()
        if self.calibrator is not None:
            self.calibrator.finish(self.model)
            if self.calibrator.found is None:
                # No error: the weights can be used, and may have taken hours.
                self._progress.warn(NOT_CALIBRATED)

    def _prepare(self) -> None:
        """Update the predictor to the present weights of the model, calibrated."""
        if self.calibrator is None:
            self.predictor.take_weights()
        else:
            self.calibrator.prepare(self.predictor)

    @property
    def kept_epoch(self) -> int:
        """Epoch whose weights the model has at the end."""
        if self._options.select == "last":
            return len(self.history)
        return int(np.argmax([row["v_rand"] or -1.0 for row in self.history])) + 1

    def _resume(self) -> None:
        """Resume from the checkpoint of an interrupted run, if there is one."""
        kept = load_checkpoint(self._checkpoint)
        if kept is None:
            return
        arrays, self.history = kept
        self._best = arrays.get("best", [])
        seconds = self.history[-1]["seconds"]
        self._trainer.restore(arrays["state"], epochs=len(self.history), seconds=seconds)
        self._show_curves()  # the earlier run may have died before it did, or was not asked to
        self._progress.say(f"resuming after epoch {len(self.history)}, {_clock(seconds)}")

    def _after_epoch(self, epoch: Epoch) -> None:
        row = {**dataclasses.asdict(epoch), "time": time.time(), "v_rand": None, "v_info": None}
        row["epoch"] = row.pop("number")
        line = f"epoch {epoch.number}/{self.recipe.epochs}  loss {epoch.loss:.4f}"
        self.stopped = self._onlooker is not None and self._onlooker.wants_end
        if self.stopped:
            self._trainer.stop()
        last = self.stopped or epoch.progress == 1
        due = last or epoch.number % self._options.score_every == 0
        if self._held_out is not None and due:
            row["v_rand"], row["v_info"] = self._score(self._held_out)
            line += f"  held-out V_Rand {row['v_rand']:.4f} V_Info {row['v_info']:.4f}"
        self.history.append(row)
        if self._options.select == "best" and self.kept_epoch == epoch.number:
            self._best = self.model.get_weights()
        state = {"state": self._trainer.state(), "best": self._best}
        save_checkpoint(self._checkpoint, state, self.history)
        if self._onlooker is not None and self._onlooker.wants_to_see(epoch.seconds):
            self._prepare()
            self._onlooker.show(self.predictor, self._progress)
        self._show_curves()
        left = epoch.seconds * (1 - epoch.progress) / epoch.progress
        end = "stopped" if self.stopped else f"{_clock(left)} left"
        self._progress.say(f"{line}  {_clock(epoch.seconds)}, {end}")

    def _show_curves(self) -> None:
        if self._events is not None:
            write_events(self._events, self.history)

    def _score(self, held_out: Slices) -> tuple[float, float]:
        """V_Rand and V_Info of the held-out slices, quickly: no averaging, fewer thresholds."""
        self._prepare()
        predictions = (
            self.predictor.predict_slice(image, tta=False, memory=MEMORY)
            for image in held_out.images
        )
        scored = score_slices(predictions, held_out, thresholds=PROGRESS_THRESHOLDS)
        scores = StackScores.from_slices(list(scored))
        return max(scores.v_rand), max(scores.v_info)


def score_slices(
    predictions: Iterable[npt.NDArray[np.float32]], held_out: Slices, *, thresholds: Sequence[float]
) -> Iterator[list[SliceScores]]:
    """Yield the scores of each held-out slice, over the pixels that count."""
    for prediction, label, weights in zip(
        predictions, held_out.labels, held_out.weights, strict=True
    ):
        yield score_slice(prediction, label, counted=weights > 0, thresholds=thresholds)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
