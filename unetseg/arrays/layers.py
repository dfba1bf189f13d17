"""Slices as linking sees them, and how far two of them lie apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

# Pixels that a slice may have moved against another, along each axis.
MOST_DRIFT = 16
# Between the lowest and the highest probability of a slice that shows nothing.
FLAT = 1e-6


@dataclass(frozen=True)
class Layer:
    """A slice, as linking sees it.

    Attributes
    ----------
    z : int
        Where it is in the stack.
    sections : (H, W) integer
        0 between sections; their numbers, different in every slice.
    probability : (H, W) float
        Of interior, 0..1.
    tissue : (H, W) bool
        False where tissue is missing.
    """

    z: int
    sections: npt.NDArray[np.integer]
    probability: npt.NDArray[np.floating]
    tissue: npt.NDArray[np.bool_]


def find_drift(before: Layer, after: Layer) -> tuple[int, int]:
    """By how many rows and columns a slice has to be moved to lie best on another.

    The highest cross-correlation of the two predictions, at most MOST_DRIFT pixels away.

    Parameters
    ----------
    before, after : Layer

    Returns
    -------
    rows, columns : int
        What is at (y, x) in `before` is at (y + rows, x + columns) in `after`.
    """
    near, (height, width) = _near(_correlate(before, after))
    # Where nothing is clearly better, as on slices of one value, nothing has moved.
    if near.max() <= near[height, width] + 1e-6 * abs(near).max():
        return 0, 0
    row, column = np.unravel_index(np.argmax(near), near.shape)
    return int(row) - height, int(column) - width


def lie_together(before: Layer, after: Layer) -> bool:
    """Whether two slices look like neighbours: nowhere does one fit the other better than near by.

    Of all displacements, the one of the highest cross-correlation is at most MOST_DRIFT pixels
    long. Between images that have nothing to do with each other it may be any: it is that short by
    chance in (2 * MOST_DRIFT + 1) ** 2 of H * W cases, so that of small slices this says nothing.

    Parameters
    ----------
    before, after : Layer

    Returns
    -------
    bool
        False, too, where a slice is of one value, and fits everywhere.
    """
    if any(np.ptp(layer.probability[layer.tissue]) < FLAT for layer in (before, after)):
        return False
    correlation = _correlate(before, after)
    return bool(_near(correlation)[0].max() >= correlation.max())


def _correlate(before: Layer, after: Layer) -> npt.NDArray[Any]:
    """Cross-correlation at every displacement, that of none first, (H, W)."""
    one, other = (_spectrum(layer) for layer in (before, after))
    return np.asarray(fft.irfft2(np.conj(one) * other, before.probability.shape))


def _near(correlation: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[int, int]]:
    """What of it is of short displacements, and where in it there is none."""
    height, width = (min(MOST_DRIFT, (size - 1) // 2) for size in correlation.shape)
    rolled = np.roll(correlation, (height, width), axis=(0, 1))
    return rolled[: 2 * height + 1, : 2 * width + 1], (height, width)


def _spectrum(layer: Layer) -> npt.NDArray[np.complexfloating]:
    """Fourier transform of what differs from the mean of the tissue."""
    tissue = layer.tissue
    away = np.where(tissue, layer.probability - layer.probability[tissue].mean(), 0)
    return np.asarray(fft.rfft2(away))
