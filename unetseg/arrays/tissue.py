"""Which pixels of a slice show tissue, and the grey levels that tissue has.

Alignment leaves borders of one value, and a lost section is one value or noise. Such pixels are
called missing; they are found here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.histogram import Histogram
from unetseg.arrays.tiles import Box

Mask = npt.NDArray[np.bool_]
Strip = tuple[int, npt.NDArray[Any]]
"""Number of the first row, and the pixels of some rows, all columns of them."""

# Percentiles that stand for dark and bright: dirt, or a fold, may cover a twentieth of a slice.
LOW, HIGH = 5, 95

# Saturated tissue, or tissue as dark as the border, is shorter or less deep than a border.
LEAST_STRETCH = 32  # equal pixels in a row, along an edge of the slice
LEAST_DEPTH = 3
LEAST_BREADTH = 5
# For a border with noise or compression. It must be long, to be told from smooth tissue.
TOLERANCE = 0.01  # of the slice's grey levels
LEAST_SHARE = 0.25  # of an edge

# The variance of the means of blocks is 1 / BLOCK**2 of that of pixels, if these are independent of
# each other. In tissue it is at least 20 times as large, or 5 times if the noise is twice as strong
# as the tissue.
BLOCK = 8
LEAST_STRUCTURE = 1.5
LEAST_BLOCKS = 64
MOST_LOOKED_AT = 2**20  # pixels


@dataclass(frozen=True)
class Edges:
    """First and last pixel of tissue in every row and column; what lies outside is missing.

    Attributes
    ----------
    left, right : (H,) int
        Columns, for every row. Where a row has no tissue, right is before left.
    top, bottom : (W,) int
        Rows, for every column.
    """

    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    top: npt.NDArray[np.int32]
    bottom: npt.NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(side.nbytes for side in (self.left, self.right, self.top, self.bottom))

    def outside(self, box: Box) -> Mask:
        """Which pixels of a box are missing."""
        rows, columns = np.ogrid[box]
        left, right = self.left[box[0], None], self.right[box[0], None]
        top, bottom = self.top[None, box[1]], self.bottom[None, box[1]]
        outside: Mask = (columns < left) | (columns > right) | (rows < top) | (rows > bottom)
        return outside


@dataclass(frozen=True)
class Tissue:
    """Where a slice shows tissue, and how bright that is.

    Attributes
    ----------
    low, high : float
        The 5th and the 95th percentile of its grey levels; 0 if there is none.
    share_missing : float
        How much of the slice shows no tissue; 1 if the slice is lost.
    edges : Edges or None
        None if the tissue extends to the edges of the slice.
    no_data : float or None
        A value that means no data anywhere in the slice.
    """

    low: float
    high: float
    share_missing: float
    edges: Edges | None = None
    no_data: float | None = None

    @property
    def lost(self) -> bool:
        """Whether there is no tissue at all."""
        return self.share_missing == 1

    @property
    def nbytes(self) -> int:
        """Size of its edges in bytes."""
        return 0 if self.edges is None else self.edges.nbytes

    def missing(self, box: Box, pixels: npt.NDArray[Any]) -> Mask:
        """Which of the pixels of a box, given unchanged from the file, show no tissue."""
        if self.lost:
            return np.ones(pixels.shape, bool)
        return _missing(box, pixels, self.edges, self.no_data)

    def padded(self, size: tuple[int, int], shape: tuple[int, int]) -> Tissue:
        """Describe a larger slice with this one at its top left, where the rest is missing."""
        if self.lost or size == shape:
            return self
        (height, width), (rows, columns) = size, shape
        edges = self.edges or Edges(
            np.zeros(height, np.int32),
            np.full(height, width - 1, np.int32),
            np.zeros(width, np.int32),
            np.full(width, height - 1, np.int32),
        )
        more_rows, more_columns = (0, rows - height), (0, columns - width)
        around = Edges(
            # No tissue there: it would begin after the last pixel and end before the first.
            np.pad(edges.left, more_rows, constant_values=columns),
            np.pad(edges.right, more_rows, constant_values=-1),
            np.pad(edges.top, more_columns, constant_values=rows),
            np.pad(edges.bottom, more_columns, constant_values=-1),
        )
        share = 1 - (1 - self.share_missing) * (height * width) / (rows * columns)
        return replace(self, share_missing=share, edges=around)


LOST = Tissue(0.0, 0.0, 1.0)


def all_tissue(pixels: npt.NDArray[Any]) -> Tissue:
    """Describe a slice that is assumed to show tissue everywhere."""
    low, high = np.percentile(pixels, (LOW, HIGH))
    return Tissue(float(low), float(high), 0.0)


def find_tissue(
    strips: Callable[[], Iterable[Strip]],
    *,
    shape: tuple[int, int],
    dtype: npt.DTypeLike,
    no_data: float | None = None,
) -> Tissue:
    """Find the tissue of a slice, which is read once, or three times if it has borders or NaN.

    A pixel is missing if all pixels from it to an edge of the slice, along its row or column, are
    NaN, or have one value that cannot be tissue because the border it makes is long and deep.

    Parameters
    ----------
    strips : callable
        Starts to read the slice, from the first row to the last. All strips but the last have a
        multiple of 8 rows.
    shape : (H, W)
    dtype : numpy.dtype
        uint8, uint16 or float32.
    no_data : float, optional
        A value that the file declares to stand for no data.
    """
    look = _Look(shape)
    grey, share = _measure(strips(), shape, dtype, no_data, None, look.add)
    edges = None
    borders = look.find_borders(grey) if grey.count else []
    if borders or not look.finite:
        edges = _find_edges(strips(), shape, borders)
        grey, share = _measure(strips(), shape, dtype, no_data, edges)
    if not grey.count:
        return LOST
    low, lowest, high, highest = grey.percentiles(LOW, 0, HIGH, 100)
    if low == high:  # of almost all pixels
        low, high = lowest, highest
    tissue = Tissue(low, high, share, edges, no_data)
    return tissue if low < high and look.has_structure(tissue) else LOST


def _measure(
    strips: Iterable[Strip],
    shape: tuple[int, int],
    dtype: npt.DTypeLike,
    no_data: float | None,
    edges: Edges | None,
    look: Callable[[int, npt.NDArray[Any]], None] | None = None,
) -> tuple[Histogram, float]:
    """Return the grey levels of pixels that are not missing, and the share of those that are."""
    grey, count = Histogram(shape[0] * shape[1], dtype), 0
    for top, pixels in strips:
        missing = _missing(_rows(top, pixels), pixels, edges, no_data)
        count += int(np.count_nonzero(missing))
        if look is not None:
            look(top, pixels)
        grey.add(pixels[~missing & np.isfinite(pixels)])
    return grey, count / (shape[0] * shape[1])


def _rows(top: int, pixels: npt.NDArray[Any]) -> Box:
    return slice(top, top + pixels.shape[0]), slice(0, pixels.shape[1])


def _missing(
    box: Box, pixels: npt.NDArray[Any], edges: Edges | None, no_data: float | None
) -> Mask:
    missing = np.zeros(pixels.shape, bool) if edges is None else edges.outside(box)
    if no_data is not None:
        missing |= pixels == no_data
    return missing


def _find_flat(line: npt.NDArray[np.float64], tolerance: float) -> tuple[float, float] | None:
    """Find a long part of a line with one value, or nearly; return its lowest and highest value."""
    for stretch, spread in (
        (min(LEAST_STRETCH, len(line)), 0.0),
        (max(LEAST_STRETCH, round(LEAST_SHARE * len(line))), tolerance),
    ):
        if len(line) >= stretch:
            windows = np.lib.stride_tricks.sliding_window_view(line, stretch)
            low, high = windows.min(1), windows.max(1)
            flat = np.flatnonzero(high - low <= 2 * spread)
            if flat.size:
                value = (low[flat[0]] + high[flat[0]]) / 2
                return value - spread, value + spread
    return None


def _find_edges(
    strips: Iterable[Strip], shape: tuple[int, int], borders: list[tuple[float, float]]
) -> Edges:
    """Find where tissue begins and ends in every row and column."""
    height, width = shape
    # Once if only NaN is skipped, and once if NaN and borders are.
    seen = [
        (np.full(height, width), np.full(height, -1), np.full(width, height), np.full(width, -1))
        for _ in range(2)
    ]
    for top, pixels in strips:
        nan = ~np.isfinite(pixels)
        border = np.logical_or.reduce([nan, *((pixels >= a) & (pixels <= b) for a, b in borders)])
        rows = slice(top, top + len(pixels))
        for (left, right, first, last), see_through in zip(seen, (nan, border), strict=True):
            tissue = ~see_through
            some_row, some_column = tissue.any(1), tissue.any(0)
            left[rows][some_row] = tissue.argmax(1)[some_row]
            right[rows][some_row] = width - 1 - tissue[:, ::-1].argmax(1)[some_row]
            np.minimum(first, np.where(some_column, top + tissue.argmax(0), height), out=first)
            below = top + len(pixels) - 1 - tissue[::-1].argmax(0)
            np.maximum(last, np.where(some_column, below, -1), out=last)
    (left, right, first, last), (far_left, far_right, far_first, far_last) = seen
    return Edges(
        np.maximum(left, _broad(far_left)).astype(np.int32),
        np.minimum(right, width - 1 - _broad(width - 1 - far_right)).astype(np.int32),
        np.maximum(first, _broad(far_first)).astype(np.int32),
        np.minimum(last, height - 1 - _broad(height - 1 - far_last)).astype(np.int32),
    )


def _broad(depths: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return how deep a border is at every place, 0 where it is too narrow or shallow to be one."""
    opened = ndimage.grey_opening(depths, LEAST_BREADTH, mode="nearest")
    return np.where(opened < LEAST_DEPTH, 0, opened)


class _Look:
    """Samples that are kept of a slice: its outermost pixels, and bands of 8 rows all over it."""

    def __init__(self, shape: tuple[int, int]) -> None:
        most = max(1, MOST_LOOKED_AT // (shape[1] * BLOCK))
        self._step = BLOCK * max(1, -(-(shape[0] // BLOCK) // most))
        self._bands: list[Strip] = []
        self._frame: list[tuple[npt.NDArray[Any], ...]] = []
        self.finite = True

    def add(self, top: int, pixels: npt.NDArray[Any]) -> None:
        """Take samples from the next strip."""
        self.finite = self.finite and bool(np.isfinite(pixels).all())
        outermost = pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]
        self._frame.append(tuple(line.copy() for line in outermost))
        for row in range(-top % self._step, len(pixels) - BLOCK + 1, self._step):
            self._bands.append((top + row, pixels[row : row + BLOCK].copy()))

    def find_borders(self, grey: Histogram) -> list[tuple[float, float]]:
        """Return the lowest and highest value of each border that is long enough."""
        lowest, highest = grey.percentiles(1, 99)
        tolerance = TOLERANCE * (highest - lowest)
        left, right = (np.concatenate([strip[side] for strip in self._frame]) for side in (2, 3))
        found = (
            _find_flat(edge.astype(np.float64), tolerance)
            for edge in (self._frame[0][0], self._frame[-1][1], left, right)
        )
        return [border for border in found if border is not None]

    def has_structure(self, tissue: Tissue) -> bool:
        """Whether neighbouring pixels are alike; True if there are too few to tell."""
        blocks = []
        for top, band in self._bands:
            width = band.shape[1] // BLOCK * BLOCK
            clean = ~tissue.missing(_rows(top, band), band) & np.isfinite(band)
            cut = (
                part[:, :width].reshape(BLOCK, -1, BLOCK).swapaxes(0, 1).reshape(-1, BLOCK**2)
                for part in (band, clean)
            )
            values, whole = cut
            blocks.append(values[whole.all(1)])
        found = np.concatenate(blocks) if blocks else np.empty((0, BLOCK**2))
        if len(found) < LEAST_BLOCKS:
            return True
        # Clipped, as hot pixels would make anything look like noise.
        grey = np.clip(found.astype(np.float64), tissue.low, tissue.high)
        quarters = grey.reshape(-1, 2, BLOCK // 2, 2, BLOCK // 2).mean((2, 4))
        most = max(grey.mean(1).var() * BLOCK**2, quarters.var() * BLOCK**2 / 4)
        return bool(most > LEAST_STRUCTURE * grey.var())
