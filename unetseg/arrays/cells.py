"""Segment single cells from the probability of interior, and measure them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.segments import FOUR_CONNECTED, label_cells
from unetseg.arrays.tallies import Count, Tally, centroids_of, perimeters_of

# Probability at which a cell ends if it is not to grow into the membrane.
INTERIOR = 0.5

# Probabilities that differ by less than a step are flooded as if they were equal. Steps are no
# finer than those of bioimage-cpp, which would depend on the range of values in a block.
STEPS = 65_535

Sides = tuple[bool, bool, bool, bool]
"""A flag for each of the top, bottom, left and right sides of a part of a slice."""

WHOLE: Sides = (False, False, False, False)
"""The `Sides` of a whole slice: it continues beyond none of them."""


@dataclass(frozen=True)
class Cell:
    """Measures of the section of a cell through one slice, lengths in pixels.

    Attributes
    ----------
    label : int
    area : int
        Pixels.
    perimeter : float
        Length of the outline through the centres of its pixels (scikit-image).
    border : int
        Number of pixel edges between the cell and anything else, not counting the edge of the
        slice.
    centroid_y, centroid_x : float
        Mean row and column.
    """

    label: int
    area: int
    perimeter: float
    border: int
    centroid_y: float
    centroid_x: float


def segment_cells(
    probability: npt.NDArray[np.floating],
    *,
    smoothing: float,
    seed_threshold: float,
    smallest: int,
    grow: bool,
    zero_is_missing: bool,
    cut: Sides,
) -> npt.NDArray[np.int32]:
    """Segment a slice by flooding it from seeds that are surely inside a cell.

    The watershed of Meyer (Topographic distance and watershed lines, Signal Processing 38(1), 1994)
    from markers, on the probability of membrane.

    Parameters
    ----------
    probability : (H, W) float
        Of interior, 0..1.
    smoothing : float
        Standard deviation of a Gaussian, in pixels, applied first; 0 for none.
    seed_threshold : float
        Each 4-connected region above it becomes a cell.
    smallest : int
        Regions of fewer pixels do not become cells of their own: neighbours flood them.
    grow : bool
        Flood the membrane too, so that only a line one pixel wide is left between two cells.
    zero_is_missing : bool
        Whether a probability of exactly 0 means missing tissue, into which cells do not grow.
    cut : (top, bottom, left, right) of bool
        Sides beyond which the slice continues. A region that reaches such a side may be larger
        than it looks, so it is never too small.

    Returns
    -------
    (H, W) int32
        0 between cells, 1, 2, ... inside them.
    """
    tissue = tissue_of(probability, zero_is_missing=zero_is_missing)
    smooth = _smooth(probability, tissue, smoothing) if smoothing else probability
    regions = label_cells((smooth > seed_threshold) & tissue)
    sizes = np.bincount(regions.ravel())
    for side, goes_on in zip((regions[0], regions[-1], *regions.T[[0, -1]]), cut, strict=True):
        if goes_on:
            sizes[side] = regions.size
    sizes[0] = 0
    kept = np.flatnonzero(sizes >= max(1, smallest))
    number = np.zeros(len(sizes), np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    interior = smooth > min(INTERIOR, seed_threshold)
    markers = number[regions]
    height = np.rint(smooth * np.float32(-STEPS))
    cells = _flood(height, markers, tissue if grow else tissue & interior)
    # The line lies on the higher one of two pixels, and never on a seed.
    height[markers > 0] = -np.inf
    return np.where(_line(cells, height), 0, cells)


def _flood(
    height: npt.NDArray[np.floating],
    markers: npt.NDArray[np.int32],
    mask: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int32]:
    """Give every pixel of a mask the number of the marker that floods it first; (H, W)."""
    cells: npt.NDArray[np.int32]
    try:
        from bioimage_cpp.segmentation import watershed
    except ImportError:  # it has no wheels for some machines; this one takes five times as long
        from skimage.segmentation import watershed as slow_watershed

        cells = slow_watershed(height, markers, connectivity=FOUR_CONNECTED, mask=mask)
    else:
        cells = watershed(height, markers, mask=mask)
    return cells


def _line(cells: npt.NDArray[np.int32], height: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Pixels with the greater height where two cells touch; (H, W)."""
    line = np.zeros(cells.shape, bool)
    for axis in range(2):
        one, other = (
            tuple(side if each == axis else slice(None) for each in range(2))
            for side in (slice(None, -1), slice(1, None))
        )
        touch = (cells[one] != cells[other]) & (cells[one] > 0) & (cells[other] > 0)
        first = height[one] >= height[other]
        line[one] |= touch & first
        line[other] |= touch & ~first
    return line


def tissue_of(
    probability: npt.NDArray[np.floating], *, zero_is_missing: bool
) -> npt.NDArray[np.bool_]:
    """Where a prediction shows tissue: everywhere, or only above 0 if 0 means missing; (H, W)."""
    return probability > 0 if zero_is_missing else np.ones(probability.shape, bool)


def _smooth(
    probability: npt.NDArray[np.floating], tissue: npt.NDArray[np.bool_], sigma: float
) -> npt.NDArray[np.floating]:
    """Smooth the probability with a Gaussian over tissue only."""
    mean: npt.NDArray[np.floating] = ndimage.gaussian_filter(probability, sigma)
    if not tissue.all():
        share = ndimage.gaussian_filter(tissue.astype(mean.dtype), sigma)
        np.divide(mean, share, out=mean, where=tissue)
    return mean


def measure_cells(tally: Tally) -> Iterator[Cell]:
    """Measure every cell of a slice, in the order of a tally."""
    counts = tally[:, [Count.NUMBER, Count.AREA, Count.BORDER]].tolist()
    centroids, perimeters = centroids_of(tally).tolist(), perimeters_of(tally).tolist()
    for (label, area, border), centroid, perimeter in zip(
        counts, centroids, perimeters, strict=True
    ):
        yield Cell(
            label=label,
            area=area,
            perimeter=round(perimeter, 2),
            border=border,
            centroid_y=centroid[0],
            centroid_x=centroid[1],
        )
