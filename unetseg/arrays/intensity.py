"""Changes of grey levels, applied to images and never to labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tissue import Tissue

Image = npt.NDArray[np.float32]

# A slice whose grey levels vary less than this shows nothing (in units of the pixels).
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


def to_dtype(image: Image, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Round and clip to an integer type's range: 260 becomes 255 in uint8, not 4."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return image.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(image), limits.min, limits.max).astype(dtype)


# Tissue is never darker or brighter than this, on a scale on which the percentiles are 0 and 1.
LEAST, MOST = -1.0, 2.0

# Distance between the percentiles that `Percentiles` uses, in standard deviations of the grey
# levels of tissue: 3.1 to 3.3 in ISBI 2012 and in stacks of `unetseg synthesize`.
DEVIATIONS = 3.2


@dataclass(frozen=True)
class Percentiles:
    """Shift and scale of a slice's pixels so that tissue has mean 0 and deviation 1, or nearly.

    Each slice has its own, so that 8- and 16-bit stacks, and slices of uneven brightness, look
    alike to the network. Unlike mean and deviation themselves, percentiles are not affected by a
    hot pixel, dirt, or a border. Values that are too bright or too dark for tissue are clipped.

    Attributes
    ----------
    low, high : float
        The 5th and the 95th percentile of tissue, in the units of its pixels.
    words : str
        Description for those who must normalise images elsewhere.
    """

    words: ClassVar = (
        "of every slice as a whole, scale linearly so that the 5th percentile becomes 0 and the "
        "95th 1, clip to -1..2, subtract 0.5 and multiply by 3.2"
    )
    low: float
    high: float

    @classmethod
    def of(cls, tissue: Tissue, _parts: Iterable[npt.NDArray[Any]]) -> Percentiles:
        """Use the percentiles that are known of a slice's tissue."""
        return cls(tissue.low, tissue.high)

    def __call__(self, image: npt.NDArray[Any]) -> Image:
        """Normalise pixels of that slice; all 0 if it is lost."""
        if self.low == self.high:
            return np.zeros(image.shape, np.float32)
        # In float64, because grey levels may be far from 0 and close to each other.
        unit = (image - np.float64(self.low)) / (self.high - self.low)
        return ((np.clip(unit, LEAST, MOST) - 0.5) * DEVIATIONS).astype(np.float32)


@dataclass(frozen=True)
class Standardisation:
    """Shift and scale of a slice's pixels to mean 0 and standard deviation 1.

    Models of earlier versions were trained with this.

    Attributes
    ----------
    mean, deviation : float
        Of the whole slice, in the units of its pixels.
    words : str
        Description for those who must normalise images elsewhere.
    """

    words: ClassVar = (
        "of every slice as a whole, subtract the mean and divide by the standard deviation"
    )
    mean: float
    deviation: float

    @classmethod
    def of(cls, _tissue: Tissue, parts: Iterable[npt.NDArray[Any]]) -> Standardisation:
        """Measure a slice, given in parts of uint8, uint16 or float32.

        Moments of parts are merged as in Chan, Golub and LeVeque 1979 (equations 2.1): each pixel
        is read once, and no difference of large sums is taken.
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
        """Standardise pixels of that slice; all 0 if the slice is constant."""
        standard: Image = ((image - self.mean) / max(self.deviation, FLAT)).astype(np.float32)
        return standard


class NormalisedStack:
    """A stack whose slices are normalised when they, or parts of them, are read.

    Parameters
    ----------
    pixels : (Z, Y, X)
        Usually memory-mapped.
    ranges : sequence of (low, high)
        For each slice, as in `Percentiles`.

    Attributes
    ----------
    shape : (int, int, int)
    """

    def __init__(self, pixels: npt.NDArray[Any], ranges: Sequence[Sequence[float]]) -> None:
        self.shape = pixels.shape
        self._pixels = pixels
        self._ranges = ranges

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, place: Any) -> Image:
        """Return a slice, or a part of one: [index] or [index, rows, columns]."""
        index = place[0] if isinstance(place, tuple) else place
        normalise = Percentiles(*self._ranges[index])
        if self._pixels.dtype == np.uint8:  # a lookup table is faster for so few grey levels
            found: Image = normalise(np.arange(256, dtype=np.uint8))[self._pixels[place]]
            return found
        return normalise(self._pixels[place])

    def __iter__(self) -> Iterator[Image]:
        return (self[index] for index in range(len(self)))


# Names that a model folder may give to the way its images were normalised.
NORMALISATIONS: dict[str, type[Percentiles | Standardisation]] = {
    "slice-percentiles": Percentiles,
    "slice-standard": Standardisation,
}
