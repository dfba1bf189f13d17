"""From the probability of interior to single cells, and what there is to measure on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import regionprops
from skimage.segmentation import watershed

from unetseg.arrays.segments import FOUR_CONNECTED, label_cells

# Where a cell ends when it is not to grow into the membrane.
INTERIOR = 0.5


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
        Edges of pixels between the cell and what is not the cell, the edge of the slice not
        counted.
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
) -> npt.NDArray[np.int32]:
    """Flood a slice from the places that are surely inside a cell, until the floods meet.

    The watershed of Vincent and Soille (IEEE PAMI 13(6), 1991) from markers, on the probability of
    membrane.

    Parameters
    ----------
    probability : (H, W) float
        Of interior, 0..1.
    smoothing : float
        Standard deviation of a Gaussian, in pixels, applied first; 0 for none.
    seed_threshold : float
        Each 4-connected region above it becomes a cell.
    smallest : int
        Regions of fewer pixels become no cell of their own: a neighbour floods them.
    grow : bool
        Flood the membrane too, so that only a line one pixel wide is left between two cells.
    zero_is_missing : bool
        Where the probability is exactly 0 there is no tissue, and cells do not grow.

    Returns
    -------
    (H, W) int32
        0 between cells, 1, 2, ... inside them.
    """
    tissue = probability > 0 if zero_is_missing else np.ones(probability.shape, bool)
    smooth = _smooth(probability, tissue, smoothing) if smoothing else probability
    regions = label_cells((smooth > seed_threshold) & tissue)
    sizes = np.bincount(regions.ravel())
    sizes[0] = 0
    kept = np.flatnonzero(sizes >= max(1, smallest))
    number = np.zeros(len(sizes), np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    interior = smooth > min(INTERIOR, seed_threshold)
    cells: npt.NDArray[np.int32] = watershed(
        -smooth,
        number[regions],
        connectivity=FOUR_CONNECTED,
        mask=tissue if grow else tissue & interior,
        watershed_line=True,
    )
    return cells


def _smooth(
    probability: npt.NDArray[np.floating], tissue: npt.NDArray[np.bool_], sigma: float
) -> npt.NDArray[np.floating]:
    """The Gaussian mean of the tissue around every pixel."""
    mean: npt.NDArray[np.floating] = ndimage.gaussian_filter(probability, sigma)
    if not tissue.all():
        share = ndimage.gaussian_filter(tissue.astype(mean.dtype), sigma)
        np.divide(mean, share, out=mean, where=tissue)
    return mean


def measure_cells(cells: npt.NDArray[np.int32]) -> Iterator[Cell]:
    """Measure every cell of a slice, in the order of the labels."""
    borders = _borders(cells)
    for region in regionprops(cells):
        yield Cell(
            label=int(region.label),
            area=int(region.area),
            perimeter=round(float(region.perimeter), 2),
            border=int(borders[region.label]),
            centroid_y=round(float(region.centroid[0]), 2),
            centroid_x=round(float(region.centroid[1]), 2),
        )


def _borders(cells: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
    """For each label, edges of pixels between it and another value."""
    count = np.zeros(cells.max(initial=0) + 1, np.intp)
    for one, other in ((cells[1:], cells[:-1]), (cells[:, 1:], cells[:, :-1])):
        differ = one != other
        for side in (one, other):
            count += np.bincount(side[differ], minlength=len(count))
    return count
