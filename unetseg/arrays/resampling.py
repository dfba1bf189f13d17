"""Resample slices to another pixel size, with the same result whatever part is resampled."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Taps:
    """Old pixels that each new one is computed from, along one axis, and their weights.

    Linear interpolation where pixels become smaller. Where they become larger, the triangle is
    widened by the same factor, so that nothing is left out and fine structure does not turn into
    moire (Turkowski 1990, Filters for common resampling tasks). Both grids cover the same tissue
    from edge to edge.

    Attributes
    ----------
    seen : slice
        The range of old pixels that is needed.
    indices : (N, K) int
        Old pixels of each new one, counted from the beginning of `seen`.
    weights : (N, K) float32
        Each row sums to 1.
    """

    seen: slice
    indices: npt.NDArray[np.intp]
    weights: npt.NDArray[np.float32]

    @classmethod
    def of(cls, side: slice, *, old: int, new: int) -> Taps:
        """Compute the taps of some new pixels.

        Parameters
        ----------
        side : slice
            The new pixels.
        old, new : int
            How many pixels the whole axis has.
        """
        step = old / new
        reach = max(1.0, step)
        centres = (np.arange(side.start, side.stop) + 0.5) * step - 0.5
        first = np.floor(centres - reach).astype(np.intp) + 1
        indices = first[:, None] + np.arange(math.ceil(2 * reach))
        weights = np.maximum(0, 1 - np.abs(indices - centres[:, None]) / reach)
        weights /= weights.sum(1, keepdims=True)
        # Beyond an edge the outermost pixel is repeated.
        indices = np.clip(indices, 0, old - 1)
        low, high = int(indices.min()), int(indices.max())
        return cls(slice(low, high + 1), indices - low, weights.astype(np.float32))


def resample(pixels: npt.NDArray[np.float32], rows: Taps, columns: Taps) -> npt.NDArray[np.float32]:
    """Compute new pixels from old ones, first along columns of pixels, then along rows.

    Taps are always summed in the same order, so that a part comes out exactly as in the whole.

    Parameters
    ----------
    pixels : (rows.seen, columns.seen) float32
    rows, columns : Taps
    """
    for axis, taps in enumerate((rows, columns)):
        shape = [1, 1]
        shape[axis] = -1
        made = [pixels.shape[0], pixels.shape[1]]
        made[axis] = len(taps.indices)
        total = np.zeros(made, np.float32)
        for indices, weights in zip(taps.indices.T, taps.weights.T, strict=True):
            total += pixels.take(indices, axis) * weights.reshape(shape)
        pixels = total
    return pixels
