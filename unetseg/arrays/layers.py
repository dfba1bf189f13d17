"""Slices as linking sees them, and the displacement between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

# Largest displacement of a slice against another, in pixels along each axis.
MOST_DRIFT = 16
# A slice shows nothing if its lowest and highest probability differ by less than this.
FLAT = 1e-6


@dataclass(frozen=True)
class Layer:
    """A slice, as linking sees it.

    Attributes
    ----------
    z : int
        Index of the slice in the stack.
    sections : (H, W) integer
        Numbers of the sections, different in every slice; 0 between sections.
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
    """Find by how many rows and columns a slice is displaced against another.

    The displacement of the highest cross-correlation of the two predictions, of at most MOST_DRIFT
    pixels along each axis.

    Parameters
    ----------
    before, after : Layer

    Returns
    -------
    rows, columns : int
        What is at (y, x) in `before` is at (y + rows, x + columns) in `after`.
    """
    near, (height, width) = _near(_correlate(before, after))
    # If no displacement is clearly better than none, as with slices of one value, it is none.
    if near.max() <= near[height, width] + 1e-6 * abs(near).max():
        return 0, 0
    row, column = np.unravel_index(np.argmax(near), near.shape)
    return int(row) - height, int(column) - width


def lie_together(before: Layer, after: Layer) -> bool:
    """Whether two slices look like neighbours: they fit each other best at a short displacement.

    The displacement of the highest cross-correlation must be at most MOST_DRIFT pixels along each
    axis. For unrelated images it may be any, and is that short by chance in
    (2 * MOST_DRIFT + 1) ** 2 of H * W cases, so that this says nothing about small slices.

    Parameters
    ----------
    before, after : Layer

    Returns
    -------
    bool
        False also if a slice has only one value, and so fits everywhere.
    """
    if any(np.ptp(layer.probability[layer.tissue]) < FLAT for layer in (before, after)):
        return False
    correlation = _correlate(before, after)
    return bool(_near(correlation)[0].max() >= correlation.max())


def _correlate(before: Layer, after: Layer) -> npt.NDArray[Any]:
    """Cross-correlation at every displacement, (H, W); that at no displacement is at [0, 0]."""
    one, other = (_spectrum(layer) for layer in (before, after))
    return np.asarray(fft.irfft2(np.conj(one) * other, before.probability.shape))


def _near(correlation: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[int, int]]:
    """Return the part with short displacements, and the index of no displacement in it."""
    height, width = (min(MOST_DRIFT, (size - 1) // 2) for size in correlation.shape)
    rolled = np.roll(correlation, (height, width), axis=(0, 1))
    return rolled[: 2 * height + 1, : 2 * width + 1], (height, width)


def _spectrum(layer: Layer) -> npt.NDArray[np.complexfloating]:
    """Fourier transform of the probability minus its mean over tissue, 0 where that is missing."""
    tissue = layer.tissue
    away = np.where(tissue, layer.probability - layer.probability[tissue].mean(), 0)
    return np.asarray(fft.rfft2(away))
