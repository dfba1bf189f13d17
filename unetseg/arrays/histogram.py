"""Percentiles of the grey levels of a slice that is read part by part."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Most floating-point pixels that are kept: all of a 2048 x 2048 slice, a sample of larger ones.
MOST_KEPT = 2**22


class Histogram:
    """Grey levels of a slice.

    Exact for uint8 and uint16. For float32, every pixel counts in slices of up to 4 million pixels,
    and every n-th pixel in larger ones.

    Parameters
    ----------
    pixels : int
        Of the whole slice.
    dtype : numpy.dtype
        uint8, uint16 or float32.

    Attributes
    ----------
    count : int
        Pixels that were added.
    """

    def __init__(self, pixels: int, dtype: npt.DTypeLike) -> None:
        self.count = 0
        self._step = -(-pixels // MOST_KEPT)
        dtype = np.dtype(dtype)
        self._levels = np.zeros(np.iinfo(dtype).max + 1, np.int64) if dtype.kind == "u" else None
        self._kept: list[npt.NDArray[Any]] = []

    def add(self, pixels: npt.NDArray[Any]) -> None:
        """Add some pixels, in any shape."""
        if self._levels is None:
            # Continue to count every n-th pixel where the previous part ended.
            self._kept.append(pixels.ravel()[-self.count % self._step :: self._step])
        else:
            self._levels += np.bincount(pixels.ravel(), minlength=len(self._levels))
        self.count += pixels.size

    def percentiles(self, *shares: float) -> list[float]:
        """Percentiles (0 to 100) with linear interpolation, as NumPy's."""
        if self._levels is None:
            return [float(p) for p in np.percentile(np.concatenate(self._kept), shares)]
        sums = np.cumsum(self._levels)
        places = np.asarray(shares) / 100 * (self.count - 1)
        below, above = (
            np.searchsorted(sums, np.minimum(whole, self.count - 1), side="right")
            for whole in (np.floor(places), np.floor(places) + 1)
        )
        return [float(p) for p in below + (above - below) * (places - np.floor(places))]
