"""Random patches of the training slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
        Normalised.
    labels : uint8
        1 inside cells, 0 on membrane.
    weights : float32
        Of the loss; what weighs 0 does not count.
    numbers : sequence of int, optional
        Those slices of the stacks that are meant, if not all.
    weighted : bool
        Whether the weights are told apart, and not only those that are 0 from all others.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float32]
    numbers: Sequence[int] | None = None
    weighted: bool = True

    def __len__(self) -> int:
        return len(self.images) if self.numbers is None else len(self.numbers)

    def only(self, numbers: Sequence[int]) -> Slices:
        """Some slices of the stacks."""
        return replace(self, numbers=numbers)

    def unweighted(self) -> Slices:
        """The same slices, all of whose pixels weigh 1, but those that do not count."""
        return replace(self, weighted=False)

    def cut(self, index: int, part: tuple[slice, slice]) -> tuple[npt.NDArray[Any], ...]:
        """Image, label and weights of a part of one slice; of files nothing else is read."""
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
    """An epoch: one random patch from every slice, in random order, randomly flipped and turned.

    Patches overhang a larger slice a little and see its mirror image there, as the network does
    around a slice that it predicts. Drawn within the slice, patches of 256 px would show the
    outermost pixel a 256th as often as the middle; with an overhang of 32 px it is a quarter.

    Parameters
    ----------
    slices : Slices
    shape : (height, width)
        Of the patches. Slices that are no larger are used whole, and mirrored to this size.
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
        batch_size: int,
        overhang: int,
        seed: int,
    ) -> None:
        self._slices = slices
        self._shape = shape
        self._batch_size = batch_size
        self._overhang = overhang
        self._seed = seed

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self._slices) / self._batch_size)

    def batch(self, epoch: int, index: int) -> Batch:
        """Images (N, H, W, 1), labels (N, H, W, 1) and weights (N, H, W) of one batch.

        They depend on seed, epoch and index alone, not on what was asked for before.
        """
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._slices))
        rng = np.random.default_rng([self._seed, epoch, index])
        chosen = order[index * self._batch_size :][: self._batch_size]
        patches = [self._patch(int(one), rng) for one in chosen]
        images, labels, weights = (np.stack(parts) for parts in zip(*patches, strict=True))
        return images[..., None], labels[..., None].astype(np.float32), weights

    def _patch(self, index: int, rng: np.random.Generator) -> list[npt.NDArray[Any]]:
        size = self._slices.images.shape[1:]
        rows, columns = (
            _draw_places(n, p, self._overhang, rng) for n, p in zip(size, self._shape, strict=True)
        )
        turns = int(rng.integers(4)) if self._shape[0] == self._shape[1] else 0
        flip_rows, flip_columns = rng.integers(2, size=2)
        top, left = rows.min(), columns.min()
        part = np.s_[top : rows.max() + 1, left : columns.max() + 1]
        patch = []
        for piece in self._slices.cut(index, part):
            turned = np.rot90(piece[np.ix_(rows - top, columns - left)], turns)
            patch.append(turned[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1])
        return patch


def _draw_places(
    size: int, length: int, overhang: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Where the pixels of a patch lie along one axis of a slice, which is mirrored at its ends."""
    # What is no larger than a patch is used whole.
    first, last = (-overhang, size - length + overhang) if size > length else (0, 0)
    places = (rng.integers(first, last + 1) + np.arange(length)) % (2 * size)
    mirrored: npt.NDArray[np.intp] = np.minimum(places, 2 * size - 1 - places)
    return mirrored
