"""Train a U-Net on patches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from unetseg.errors import TrainingError
from unetseg.network.backend import jit
from unetseg.network.batches import PatchDataset
from unetseg.network.unet import with_logits


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to.

    Attributes
    ----------
    number : int
        Counted from 1.
    loss : float
        Weighted cross-entropy over the epoch's patches.
    learning_rate : float
    seconds : float
        Since training began.
    progress : float
        0..1: share of the epochs or of the time, whichever is further.
    """

    number: int
    loss: float
    learning_rate: float
    seconds: float
    progress: float


def train_unet(
    model: keras.Model,
    patches: PatchDataset,
    *,
    epochs: int,
    minutes: float,
    learning_rate: float,
    after_epoch: Callable[[Epoch], None],
) -> None:
    """Train in place, with Adam and a learning rate that falls to 0 on half a cosine.

    Parameters
    ----------
    model : keras.Model
        As from `unetseg.network.unet.build_unet`.
    patches : PatchDataset
    epochs : int
    minutes : float
        Wall-clock limit, 0 for none. The learning rate then follows the clock where that is ahead
        of the epochs, so that it is near 0 when time is up.
    learning_rate : float
        At the start.
    after_epoch : callable
        Called after every epoch; the model has that epoch's weights.

    Raises
    ------
    TrainingError
        If the loss or a weight is not finite.
    """
    trained = with_logits(model)
    trained.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=jit(),
    )
    course = _Course(
        epochs=epochs, minutes=minutes, learning_rate=learning_rate, after_epoch=after_epoch
    )
    trained.fit(patches, epochs=epochs, verbose=0, shuffle=False, callbacks=[course])


class _Course(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Sets the learning rate, keeps to the time, and stops when numbers are no longer finite."""

    def __init__(
        self,
        *,
        epochs: int,
        minutes: float,
        learning_rate: float,
        after_epoch: Callable[[Epoch], None],
    ) -> None:
        super().__init__()
        self._epochs = epochs
        self._limit = minutes * 60
        self._learning_rate = learning_rate
        self._after_epoch = after_epoch
        self._start = time.monotonic()
        self._current = learning_rate

    def _seconds(self) -> float:
        return time.monotonic() - self._start

    def _progress(self, epochs: int) -> float:
        by_time = self._seconds() / self._limit if self._limit else 0.0
        return min(1.0, max(epochs / self._epochs, by_time))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        cosine = math.cos(math.pi * self._progress(epoch))
        self._current = self._learning_rate * (1 + cosine) / 2
        self.model.optimizer.learning_rate = self._current

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not math.isfinite((logs or {})["loss"]):
            raise TrainingError(
                f"training: the loss is not finite since batch {batch + 1}; "
                "lower --learning-rate and run unetseg train again"
            )
        if self._limit and self._seconds() > self._limit:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not all(np.isfinite(np.asarray(w)).all() for w in self.model.get_weights()):
            raise TrainingError(
                f"training: weights are not finite since epoch {epoch + 1}; "
                "lower --learning-rate and run unetseg train again"
            )
        last = self.model.stop_training or epoch + 1 == self._epochs
        self._after_epoch(
            Epoch(
                number=epoch + 1,
                loss=float((logs or {})["loss"]),
                learning_rate=self._current,
                seconds=self._seconds(),
                progress=1.0 if last else self._progress(epoch + 1),
            )
        )
