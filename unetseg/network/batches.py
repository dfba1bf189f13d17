"""Random patches of the training slices."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Slices:
    """Stacks of equal shape (Z, Y, X), usually memory-mapped.

    Attributes
    ----------
    images : float32
        Standardised.
    labels : uint8
        1 inside cells, 0 on membrane.
    weights : float32
        Of the loss.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float32]

    def unweighted(self) -> Slices:
        """The same slices, all of whose pixels weigh 1."""
        return replace(self, weights=np.broadcast_to(np.float32(1), self.weights.shape))


def patch_shape(slice_shape: tuple[int, ...], *, patch: int, multiple: int) -> tuple[int, int]:
    """Height and width of patches: `patch`, or less for small slices, divisible by `multiple`."""
    height, width = (math.ceil(min(patch, size) / multiple) * multiple for size in slice_shape)
    return height, width


class Patches:
    """An epoch: one random patch from every slice, in random order, randomly flipped and turned.

    Patches overhang a larger slice by whatever is drawn, and see its mirror image there, as the
    network does around a slice that it predicts. Each pixel counts the same on average, those at
    the border too: an overhang that stops at the border of prediction, 32 px, would show them a
    quarter as often as the middle (and none, a 256th).

    Parameters
    ----------
    slices : Slices
    shape : (height, width)
        Of the patches. Slices that are no larger are used whole, and mirrored to this size.
    batch_size : int
    seed : int
    """

    def __init__(
        self, slices: Slices, *, shape: tuple[int, int], batch_size: int, seed: int
    ) -> None:
        self._slices = slices
        self._shape = shape
        self._batch_size = batch_size
        self._seed = seed

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self._slices.images) / self._batch_size)

    def batch(self, epoch: int, index: int) -> Batch:
        """Images (N, H, W, 1), labels (N, H, W, 1) and weights (N, H, W) of one batch.

        They depend on seed, epoch and index alone, not on what was asked for before.
        """
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._slices.images))
        rng = np.random.default_rng([self._seed, epoch, index])
        chosen = order[index * self._batch_size :][: self._batch_size]
        patches = [self._patch(int(z), rng) for z in chosen]
        images, labels, weights = (np.stack(parts) for parts in zip(*patches, strict=True))
        return images[..., None], labels[..., None].astype(np.float32), weights

    def _patch(self, z: int, rng: np.random.Generator) -> list[npt.NDArray[Any]]:
        size = self._slices.images.shape[1:]
        rows, columns = (_draw_places(n, p, rng) for n, p in zip(size, self._shape, strict=True))
        turns = int(rng.integers(4)) if self._shape[0] == self._shape[1] else 0
        flip_rows, flip_columns = rng.integers(2, size=2)
        top, left = rows.min(), columns.min()
        patch = []
        for stack in (self._slices.images, self._slices.labels, self._slices.weights):
            # Of a file only these pixels are read.
            part = stack[z, top : rows.max() + 1, left : columns.max() + 1]
            piece = np.rot90(part[np.ix_(rows - top, columns - left)], turns)
            patch.append(piece[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1])
        return patch


def _draw_places(size: int, length: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Where the pixels of a patch lie along one axis of a slice.

    A slice and its mirror image, in turn and without end, make a line that repeats itself after
    two sizes. Begun anywhere in them, a patch covers every place of the line equally often, and
    each pixel has two of them.
    """
    start = int(rng.integers(2 * size)) if size > length else 0
    places = np.arange(start, start + length) % (2 * size)
    return np.minimum(places, 2 * size - 1 - places)
