"""Apply trained models to stacks, prepared as each model needs them, and average the outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from unetseg.arrays.intensity import NORMALISATIONS
from unetseg.arrays.tiles import Box, plan_boxes
from unetseg.engine.prediction import Predictor, open_model, read_network
from unetseg.network.inference import bytes_of_another
from unetseg.stacks.pieces import Piece
from unetseg.stacks.views import Inverted, Resampled
from unetseg.stacks.volume import Volume
from unetseg.stacks.voxel import Voxel

# Slices whose normalisation is kept: pieces of one follow each other, except on a cluster.
MEASURES = 8
VIEWS = 8

# The least probability of tissue, because 0 means that tissue is missing.
SMALLEST = np.finfo(np.float32).tiny


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """How a stack is predicted.

    Attributes
    ----------
    tta : bool
        Average over the 8 flips and rotations.
    invert : bool
        Invert its contrast.
    rescale : bool
        Resample its slices to the pixel size that a model was trained with, and the probabilities
        back, where both sizes are known and differ by more than a tenth.
    voxel : Voxel or None
        Size of a voxel; None for what the stack records.
    """

    tta: bool
    invert: bool
    rescale: bool
    voxel: Voxel | None

    def voxel_of(self, volume: Volume) -> Voxel | None:
        """Return the voxel size of a stack, if it is known."""
        return self.voxel or volume.voxel

    def view(self, volume: Volume, trained: Voxel | None) -> Volume:
        """Return a stack prepared for a model that was trained with voxels of size `trained`."""
        scale = self.scale(volume, trained) if self.rescale else None
        seen = Inverted(volume) if self.invert else volume
        return seen if scale is None else Resampled(seen, scale)

    def scale(self, volume: Volume, trained: Voxel | None) -> tuple[float, float] | None:
        """Return the size of a stack's pixels in pixels of a model, if both sizes are known.

        Returns
        -------
        (height, width) or None
            None where they are equal to within a tenth, or one size is not known.
        """
        voxel = self.voxel_of(volume)
        if voxel is None or trained is None:
            return None
        return voxel.in_pixels_of(trained)


@dataclass(frozen=True)
class Member:
    """A trained model, ready to predict.

    Attributes
    ----------
    predictor : Predictor
    normalisation : str
        Name of the normalisation of its images.
    voxel : Voxel or None
        Voxel size that it was trained with, if known.
    """

    predictor: Predictor
    normalisation: str
    voxel: Voxel | None

    @classmethod
    def load(cls, folder: Path) -> Member:
        """Load what `unetseg train` wrote to a folder.

        Raises
        ------
        InputError
            If it is not complete, or this version does not know its settings.
        """
        manifest = open_model(folder)
        details = manifest.details
        predictor = Predictor(*read_network(folder, manifest))
        return cls(predictor, details["normalisation"], Voxel.recorded(details))


class Ensemble:
    """Trained models, whose probabilities are averaged.

    Parameters
    ----------
    members : sequence of Member
    treatment : Treatment
    """

    def __init__(self, members: Sequence[Member], treatment: Treatment) -> None:
        self._members = members
        self._treatment = treatment
        self._views: LRUCache[Any, Volume] = LRUCache(VIEWS)
        # Weakly: a volume may hold a whole slice, and must be freed when nothing else uses it.
        self._measures: WeakKeyDictionary[Volume, LRUCache[Any, Any]] = WeakKeyDictionary()

    def _see(self, volume: Volume, trained: Voxel | None) -> Volume:
        """Return a stack prepared for a model; the same object each time."""
        if (volume, trained) in self._views:
            return self._views[volume, trained]
        view = self._treatment.view(volume, trained)
        if view is not volume:  # which must not be kept alive here
            self._views[volume, trained] = view
        return view

    def _normalise(self, view: Volume, index: int, name: str) -> Any:
        """Return the normalisation of one slice, which is measured only once."""
        known = self._measures.setdefault(view, LRUCache(MEASURES))
        if (index, name) not in known:
            # NaN where tissue is missing becomes 0, as in `part`, which refuses NaN within tissue.
            parts = (np.where(np.isfinite(part), part, 0) for _, part in view.strips(index))
            known[index, name] = NORMALISATIONS[name].of(view.tissue(index), parts)
        return known[index, name]

    def largest_box(self, *, memory: float, overhead: float) -> int:
        """Edge of the largest piece that fits, with all networks, into `memory` bytes.

        `overhead` is the part of them that the reader of the pixels takes.
        """
        networks = [bytes_of_another(member.predictor.weights) for member in self._members]
        return min(
            member.predictor.largest_box(memory=memory, overhead=overhead + sum(networks) - own)
            for member, own in zip(self._members, networks, strict=True)
        )

    def plan(self, volume: Volume, *, edge: int, multiple: int) -> list[Piece]:
        """Cut a stack into pieces of at most this edge, in pixels of stack and networks.

        Pieces end at multiples of `multiple`, or at the end of a slice.
        """
        slices, height, width = volume.shape
        largest = [edge, edge]
        for member in self._members:
            seen = self._see(volume, member.voxel).shape
            # Where a network sees the stack enlarged, the piece must be smaller.
            sides = [edge * n // max(n, m) for n, m in zip(volume.shape[1:], seen[1:], strict=True)]
            largest = [min(pair) for pair in zip(largest, sides, strict=True)]
        boxes = plan_boxes((height, width), largest=(largest[0], largest[1]), multiple=multiple)
        return [Piece.of(index, box) for index in range(slices) for box in boxes]

    def predict(self, volume: Volume, piece: Piece) -> npt.NDArray[np.float32]:
        """Return the probability of interior in a piece: 0 only where tissue is missing."""
        total = np.zeros((piece.bottom - piece.top, piece.right - piece.left), np.float32)
        if volume.tissue(piece.index).lost:
            return total
        for pixels in self._outputs(volume, piece, averaged=True):
            total += pixels
        total /= len(self._members)
        np.maximum(total, SMALLEST, out=total)
        total[volume.missing(piece.index, piece.box)] = 0
        return total

    def membrane_and_spread(
        self, volume: Volume, piece: Piece
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return how likely a piece is membrane, and how much models disagree on it.

        These are the mean and the standard deviation (0.5 at most) of the probabilities of membrane
        of all models under all symmetries. Where tissue is missing, both are 0.
        """
        mean, squares = np.zeros(
            (2, piece.bottom - piece.top, piece.right - piece.left), np.float32
        )
        if volume.tissue(piece.index).lost:
            return mean, squares  # all 0
        # One output at a time (Welford 1962, doi 10.1080/00401706.1962.10490022).
        for number, pixels in enumerate(self._outputs(volume, piece, averaged=False), start=1):
            difference = pixels - mean
            mean += difference / number
            squares += difference * (pixels - mean)
        spread: npt.NDArray[np.float32] = np.sqrt(squares / number)
        membrane = 1 - mean
        missing = volume.missing(piece.index, piece.box)
        membrane[missing] = spread[missing] = 0
        return membrane, spread

    def _outputs(
        self, volume: Volume, piece: Piece, *, averaged: bool
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the probability of interior of each model, averaged over symmetries or for each."""
        for member in self._members:
            view = self._see(volume, member.voxel)
            resampled = view if isinstance(view, Resampled) else None
            box = piece.box if resampled is None else resampled.back(piece.box)
            read = self._reader(view, piece.index, member.normalisation)
            settings: dict[str, Any] = {"shape": view.shape[1:], "tta": self._treatment.tta}
            predictor = member.predictor
            found = (
                [predictor.predict(read, box, **settings)]
                if averaged
                else predictor.predict_views(read, box, **settings)
            )
            for pixels in found:
                yield pixels if resampled is None else resampled.resample_back(pixels, piece.box)

    def _reader(
        self, view: Volume, index: int, name: str
    ) -> Callable[[Box], npt.NDArray[np.float32]]:
        """Return a function that reads normalised pixels of a slice, as a model sees it."""
        normalise = self._normalise(view, index, name)

        def read(box: Box) -> npt.NDArray[np.float32]:
            pixels, missing = view.part_and_missing(index, box)
            normalised: npt.NDArray[np.float32] = normalise(pixels)
            normalised[missing] = 0
            return normalised

        return read
