"""Changes of grey levels. Labels never come here."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]

# A slice whose grey levels vary less than this has nothing to show (in units of the pixels).
FLAT = 1e-6


def gaussian_noise(image: Image, rng: np.random.Generator, *, deviation: float) -> Image:
    """Add Gaussian noise of the given standard deviation, in the units of the pixels."""
    return image + np.float32(deviation) * rng.standard_normal(image.shape, np.float32)


def uniform_noise(image: Image, rng: np.random.Generator, *, amplitude: float) -> Image:
    """Add noise that is uniform in -amplitude..amplitude, in the units of the pixels."""
    return image + np.float32(amplitude) * (2 * rng.random(image.shape, np.float32) - 1)


def brighten(image: Image, *, shift: float) -> Image:
    """Add the same shift to every pixel."""
    return image + np.float32(shift)


def adjust_contrast(image: Image, *, factor: float, low: float, high: float) -> Image:
    """Stretch (factor above 1) or compress grey levels around the middle of low..high."""
    middle = np.float32((low + high) / 2)
    return (image - middle) * np.float32(factor) + middle


def adjust_gamma(image: Image, *, exponent: float, low: float, high: float) -> Image:
    """Bend grey levels by a power law that keeps low and high where they are."""
    span = np.float32(high - low)
    unit = np.clip((image - np.float32(low)) / span, 0, 1)
    bent: Image = unit ** np.float32(exponent) * span + np.float32(low)
    return bent


def to_dtype(image: Image, dtype: npt.DTypeLike, *, low: float, high: float) -> npt.NDArray[Any]:
    """Round and clip to an integer type's range, or clip floating-point pixels to low..high.

    Clipped, never wrapped: 260 becomes 255 in uint8, not 4.
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return np.clip(image, low, high).astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(image), limits.min, limits.max).astype(dtype)


@dataclass(frozen=True)
class Standardisation:
    """Shift and scale of a slice's pixels to mean 0 and standard deviation 1.

    For each slice by itself, so that 8- and 16-bit stacks, and slices of uneven brightness, look
    alike to the network.

    Attributes
    ----------
    mean, deviation : float
        Of the whole slice, in the units of its pixels.
    words : str
        What it does, for who must do it elsewhere.
    """

    words: ClassVar = (
        "of every slice as a whole, subtract the mean and divide by the standard deviation"
    )
    mean: float
    deviation: float

    @classmethod
    def of(cls, parts: Iterable[npt.NDArray[Any]]) -> Standardisation:
        """Measure a slice, given in parts of uint8, uint16 or float32.

        Moments of parts are merged as in Chan, Golub and LeVeque 1979 (equations 2.1): one look
        at each pixel, and no difference of large sums.
        """
        count, mean, squares = 0, 0.0, 0.0
        for part in parts:
            shift = float(part.mean(dtype=np.float64)) - mean
            count += part.size
            share = part.size / count
            squares += float(part.var(dtype=np.float64)) * part.size
            squares += shift**2 * (1 - share) * part.size
            mean += shift * share
        return cls(mean, math.sqrt(squares / count))

    def __call__(self, image: npt.NDArray[Any]) -> Image:
        """Standardise pixels of that slice; all 0 where the slice is constant."""
        standard: Image = ((image - self.mean) / max(self.deviation, FLAT)).astype(np.float32)
        return standard


# What a model folder may name as the way its images were normalised.
NORMALISATIONS = {"slice-standard": Standardisation}
