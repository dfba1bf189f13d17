"""Random patches of the training slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

# A patch in which few pixels count teaches little: up to TRIES places are tried, until at least the
# share ENOUGH of the pixels counts. In a fully labelled slice this is so at the first place.
ENOUGH, TRIES = 0.5, 4

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Slices:
    """Stacks of equal shape (Z, Y, X): arrays, or objects that read parts of files when indexed.

    Attributes
    ----------
    images : float32
        Normalised.
    labels : uint8
        1 inside cells, 0 on membrane.
    weights : float32
        Weights of the loss; pixels of weight 0 do not count.
    numbers : sequence of int, optional
        Numbers of the slices to use, if not all.
    weighted : bool
        Whether to use the weights as they are; if not, all that are not 0 become 1.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float32]
    numbers: Sequence[int] | None = None
    weighted: bool = True

    def __len__(self) -> int:
        return len(self.images) if self.numbers is None else len(self.numbers)

    def only(self, numbers: Sequence[int]) -> Slices:
        """Return only some slices of the stacks."""
        return replace(self, numbers=numbers)

    def unweighted(self) -> Slices:
        """Return the same slices with weight 1 for all pixels that count."""
        return replace(self, weighted=False)

    def cut(self, index: int, part: tuple[slice, slice]) -> tuple[npt.NDArray[Any], ...]:
        """Return image, label and weights of a part of one slice; only this is read from files."""
        place = (index if self.numbers is None else self.numbers[index], *part)
        weights = self.weights[place]
        return (
            self.images[place],
            self.labels[place],
            weights if self.weighted else (weights > 0).astype(np.float32),
        )


def patch_shape(slice_shape: tuple[int, ...], *, patch: int, multiple: int) -> tuple[int, int]:
    """Height and width of patches: `patch`, or less for small slices, divisible by `multiple`."""
    height, width = (math.ceil(min(patch, size) / multiple) * multiple for size in slice_shape)
    return height, width


class Patches:
    """Random patches, randomly flipped and turned, of slices that take turns in random order.

    At any time, no slice has given more than one patch more than any other.

    Patches overhang a larger slice a little and see its mirror image there, as the network does
    around a slice that it predicts. Without overhang, patches of 256 px would show the outermost
    pixel a 256th as often as the middle; with an overhang of 32 px it is a quarter.

    Parameters
    ----------
    slices : Slices
    shape : (height, width)
        Of the patches. Slices that are no larger are used whole, and mirrored to this size.
    count : int
        Number of patches in an epoch.
    batch_size : int
    overhang : int
        The most that a patch reaches beyond a slice, in pixels.
    seed : int
    """

    def __init__(
        self,
        slices: Slices,
        *,
        shape: tuple[int, int],
        count: int,
        batch_size: int,
        overhang: int,
        seed: int,
    ) -> None:
        self._slices = slices
        self._shape = shape
        self._count = count
        self._batch_size = batch_size
        self._overhang = overhang
        self._seed = seed

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return math.ceil(self._count / self._batch_size)

    def batch(self, epoch: int, index: int) -> Batch:
        """Images (N, H, W, 1), labels (N, H, W, 1) and weights (N, H, W) of one batch.

        They depend only on seed, epoch and index, not on earlier calls.
        """
        first = index * self._batch_size
        last = min(first + self._batch_size, self._count)
        rng = np.random.default_rng([self._seed, epoch, index])
        places = [
            divmod(epoch * self._count + number, len(self._slices)) for number in range(first, last)
        ]
        orders = {turn: self._order(turn) for turn in {turn for turn, _ in places}}
        patches = [self._patch(int(orders[turn][place]), rng) for turn, place in places]
        images, labels, weights = (np.stack(parts) for parts in zip(*patches, strict=True))
        return images[..., None], labels[..., None].astype(np.float32), weights

    def _order(self, turn: int) -> npt.NDArray[np.intp]:
        """Order in which the slices give a patch each; turns are counted through all epochs."""
        return np.random.default_rng([self._seed, turn]).permutation(len(self._slices))

    def _patch(self, index: int, rng: np.random.Generator) -> list[npt.NDArray[Any]]:
        pieces = self._cut(index, rng)
        turns = int(rng.integers(4)) if self._shape[0] == self._shape[1] else 0
        flip_rows, flip_columns = rng.integers(2, size=2)
        return [
            np.rot90(piece, turns)[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
            for piece in pieces
        ]

    def _cut(self, index: int, rng: np.random.Generator) -> list[npt.NDArray[Any]]:
        """Image, label and weights at a random place: of a few, the one where most pixels count."""
        size = self._slices.images.shape[1:]
        best: list[npt.NDArray[Any]] = []
        most = -1.0
        for _ in range(TRIES):
            rows, columns = (
                _draw_places(n, p, self._overhang, rng)
                for n, p in zip(size, self._shape, strict=True)
            )
            top, left = rows.min(), columns.min()
            part = np.s_[top : rows.max() + 1, left : columns.max() + 1]
            places = np.ix_(rows - top, columns - left)
            pieces = [piece[places] for piece in self._slices.cut(index, part)]
            counted = float(np.mean(pieces[-1] > 0))
            if counted > most:
                best, most = pieces, counted
            if counted >= ENOUGH:
                break
        return best


def _draw_places(
    size: int, length: int, overhang: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Where the pixels of a patch lie along one axis of a slice, which is mirrored at its ends."""
    # A slice that is no larger than a patch is used whole.
    first, last = (-overhang, size - length + overhang) if size > length else (0, 0)
    places = (rng.integers(first, last + 1) + np.arange(length)) % (2 * size)
    mirrored: npt.NDArray[np.intp] = np.minimum(places, 2 * size - 1 - places)
    return mirrored
