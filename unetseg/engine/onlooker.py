"""Follow a training run from outside: watch a slice change, or ask for an early end."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from unetseg.artifacts.wishes import Wish, Wishes
from unetseg.engine.ensemble import Ensemble, Member, Treatment
from unetseg.engine.prediction import Predictor
from unetseg.errors import UnetsegError
from unetseg.progress import Progress
from unetseg.stacks.opening import open_volume
from unetseg.stacks.volume import Volume
from unetseg.stacks.voxel import Voxel

# Share of the time: a slice may be so large that predicting it takes longer than an epoch.
MOST = 0.1


class Onlooker:
    """Answer requests to a training run, between two epochs.

    Parameters
    ----------
    wishes : Wishes
        Requests in the model's folder.
    normalisation : str
        Name of the normalisation of its images.
    voxel : Voxel or None
        Voxel size that it is trained with, if known.
    memory : float
        Memory for predicting, in bytes.
    """

    def __init__(
        self, wishes: Wishes, normalisation: str, voxel: Voxel | None, *, memory: float
    ) -> None:
        self._wishes = wishes
        self._normalisation = normalisation
        self._voxel = voxel
        self._memory = memory
        self._spent = 0.0

    @property
    def wants_end(self) -> bool:
        """Whether somebody has asked training to end now."""
        return self._wishes.stop

    def leave(self) -> None:
        """Remove all requests when training ends: they do not apply to the next run."""
        self._wishes.forget()

    def wants_to_see(self, seconds: float) -> bool:
        """Whether to show a slice now, after so many seconds of training."""
        return self._spent <= MOST * seconds and self._wishes.wish is not None

    def show(self, predictor: Predictor, progress: Progress) -> None:
        """Predict the requested slice; if that fails, warn, and training goes on."""
        began = time.monotonic()
        wish = self._wishes.wish
        try:
            if wish is not None:
                self._show(wish, predictor)
        except (UnetsegError, OSError, ValueError, TypeError) as error:
            progress.warn(f"slice {wish and wish.index} cannot be watched ({error})")
        self._spent += time.monotonic() - began

    def _show(self, wish: Wish, predictor: Predictor) -> None:
        voxel = None if wish.voxel is None else Voxel(*wish.voxel)
        # Without the 8 symmetries, to show it sooner.
        treatment = Treatment(tta=False, invert=wish.invert, rescale=True, voxel=voxel)
        ensemble = Ensemble([Member(predictor, self._normalisation, self._voxel)], treatment)
        with open_volume(Path(wish.volume)) as volume:
            self._wishes.show(wish.index, self._predict(ensemble, volume, wish.index))

    def _predict(self, ensemble: Ensemble, volume: Volume, index: int) -> npt.NDArray[np.float32]:
        if not 0 <= index < len(volume):
            raise ValueError(f"there are {len(volume)} slices")
        result = np.empty(volume.shape[1:], np.float32)
        edge = ensemble.largest_box(memory=self._memory, overhead=volume.overhead)
        for piece in ensemble.plan(volume, edge=edge, multiple=1):
            if piece.index == index:
                result[piece.box] = ensemble.predict(volume, piece)
        return result
