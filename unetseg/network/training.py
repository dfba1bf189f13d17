"""Train a U-Net on patches."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.errors import TrainingError
from unetseg.network.backend import jit
from unetseg.network.batches import Patches
from unetseg.network.convolution import Conv2D, can_stand_in, is_cheaper
from unetseg.network.precision import FLOAT32
from unetseg.network.startup import keras
from unetseg.network.unet import LOGITS, with_logits


@dataclass(frozen=True)
class Epoch:
    """Results of an epoch.

    Attributes
    ----------
    number : int
        Counted from 1.
    loss : float
        Weighted cross-entropy over the epoch's patches.
    learning_rate : float
        At the end of the epoch.
    seconds : float
        Since training began, not counting the time between stopping and resuming.
    progress : float
        0..1: share of the epochs or of the time, whichever is further.
    """

    number: int
    loss: float
    learning_rate: float
    seconds: float
    progress: float


class Trainer:
    """A training run that can stop after any epoch and resume from there later.

    Parameters
    ----------
    model : keras.Model
        As from `unetseg.network.unet.build_unet`. A copy is trained, and its weights are copied to
        this one after every epoch.
    patches : Patches
    epochs : int
    minutes : float
        Limit of the training time, 0 for none. If a larger share of the time than of the epochs is
        over, the learning rate follows the time, so that it is near 0 when time is up.
    learning_rate : float
        The highest learning rate.
    warm_up : float
        Share of the training in which the learning rate rises linearly from 0.
    decay : bool
        Whether it falls to 0 afterwards, along half a cosine.
    weight_decay : float
        Of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), which is Adam where this is 0.
    clip_norm : float
        Longer gradients are shortened to this norm over all weights, 0 for never.
    precision : str
        As from `unetseg.network.precision.choose_precision`. The weights are float32 in any case.
    """

    def __init__(
        self,
        model: keras.Model,
        patches: Patches,
        *,
        epochs: int,
        minutes: float,
        learning_rate: float,
        warm_up: float,
        decay: bool,
        weight_decay: float,
        clip_norm: float,
        precision: str,
    ) -> None:
        self._model = model
        self._patches = patches
        self._epochs = epochs
        self._limit = minutes * 60
        self._learning_rate = learning_rate
        self._warm_up = warm_up
        self._decay = decay
        self._twin = _convert(model, precision)
        self._trained = with_logits(self._twin)
        self._optimizer = keras.optimizers.AdamW(
            learning_rate, weight_decay=weight_decay, global_clipnorm=clip_norm or None
        )
        self._optimizer.build(self._trained.trainable_variables)
        self._trained.compile(
            optimizer=self._optimizer,
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            jit_compile=jit(),
        )
        self._epochs_done = 0
        self._stopped = False
        self._seconds_before = 0.0
        self._began = time.monotonic()

    def state(self) -> list[npt.NDArray[Any]]:
        """Return all that a step changes: weights, statistics, random states, optimiser moments."""
        return [keras.ops.convert_to_numpy(variable) for variable in self._variables()]

    def restore(self, state: list[npt.NDArray[Any]], *, epochs: int, seconds: float) -> None:
        """Resume from a `state` that was reached after so many epochs and seconds."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)
        self._update_model()
        self._epochs_done = epochs
        self._seconds_before = seconds

    def stop(self) -> None:
        """Train no further epoch; to be called by `after_epoch`."""
        self._stopped = True

    def run(self, after_epoch: Callable[[Epoch], None]) -> None:
        """Train to the end; call `after_epoch` once the model has the weights of each epoch.

        Raises
        ------
        TrainingError
            If the loss or a weight is not finite.
        """
        self._began = time.monotonic()
        with ThreadPoolExecutor(max_workers=1) as reader:
            progress = self._progress(self._epochs_done)
            while progress < 1 and not self._stopped:
                loss = self._train_epoch(reader)
                self._update_model()
                self._epochs_done += 1
                # Read the clock once: where `after_epoch` sees progress below 1, an epoch follows.
                progress = self._progress(self._epochs_done)
                epoch = Epoch(
                    number=self._epochs_done,
                    loss=loss,
                    learning_rate=float(self._optimizer.learning_rate),
                    seconds=self._seconds(),
                    progress=progress,
                )
                after_epoch(epoch)

    def _train_epoch(self, reader: ThreadPoolExecutor) -> float:
        """Train on every batch, or until time is up; return the mean loss."""
        number, steps = self._epochs_done + 1, len(self._patches)
        losses: list[float] = []
        following = reader.submit(self._patches.batch, number, 0)
        for step in range(steps):
            # At the middle of the step: the rate of the first one would be 0, and waste it.
            progress = self._progress(self._epochs_done + (step + 0.5) / steps)
            if step and progress == 1:
                break
            self._optimizer.learning_rate = self._rate_at(progress)
            images, labels, weights = following.result()
            # Cut the next batch meanwhile: neither cores nor accelerators wait for data.
            following = reader.submit(self._patches.batch, number, (step + 1) % steps)
            # Only some versions of Keras discard the loss of the previous batches by themselves.
            self._trained.reset_metrics()
            loss = self._trained.train_on_batch(images, labels, sample_weight=weights)
            losses.append(float(loss))
            if not math.isfinite(losses[-1]):
                raise _diverged("the loss is", f"batch {step + 1} of epoch {number}")
        if not all(np.isfinite(weight).all() for weight in self._trained.get_weights()):
            raise _diverged("weights are", f"epoch {number}")
        return statistics.mean(losses)

    def _update_model(self) -> None:
        self._model.set_weights(self._twin.get_weights())

    def _variables(self) -> list[keras.Variable]:
        return [*self._trained.variables, *self._optimizer.variables]

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._began

    def _progress(self, epochs: float) -> float:
        """Share of the training that is done, by epochs or by the time now, if that is more."""
        by_time = self._seconds() / self._limit if self._limit else 0.0
        return min(1.0, max(epochs / self._epochs, by_time))

    def _rate_at(self, progress: float) -> float:
        """Learning rate after a share of the training."""
        if progress < self._warm_up:
            return self._learning_rate * progress / self._warm_up
        if not self._decay:
            return self._learning_rate
        fallen = (progress - self._warm_up) / (1 - self._warm_up)
        return self._learning_rate * (1 + math.cos(math.pi * fallen)) / 2


def _convert(model: keras.Model, precision: str) -> keras.Model:
    """Copy a network to compute in another precision (not its logits) or with cheaper gradients."""
    cheaper = precision == FLOAT32 and is_cheaper()

    def convert(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if cheaper and can_stand_in(layer):
            return Conv2D.from_config(config)
        if precision != FLOAT32 and layer.name != LOGITS:
            config["dtype"] = precision
        return type(layer).from_config(config)

    twin = keras.models.clone_model(model, clone_function=convert)
    twin.set_weights(model.get_weights())
    return twin


def _diverged(what: str, since: str) -> TrainingError:
    return TrainingError(
        f"training: {what} not finite since {since}; lower --learning-rate and run unetseg train "
        "again; earlier results are unchanged"
    )
