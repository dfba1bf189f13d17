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

    Parameters
    ----------
    slices : Slices
    shape : (height, width)
        Of the patches. Slices that are smaller are mirrored outwards.
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
        corner = [
            int(rng.integers(max(n - p, 0) + 1)) for n, p in zip(size, self._shape, strict=True)
        ]
        turns = int(rng.integers(4)) if self._shape[0] == self._shape[1] else 0
        flip_rows, flip_columns = rng.integers(2, size=2)
        patch = []
        for stack in (self._slices.images, self._slices.labels, self._slices.weights):
            (top, left), (height, width) = corner, self._shape
            piece = stack[z, top : top + height, left : left + width]
            missing = [(0, p - n) for p, n in zip(self._shape, piece.shape, strict=True)]
            piece = np.rot90(np.pad(piece, missing, mode="symmetric"), turns)
            patch.append(piece[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1])
        return patch
