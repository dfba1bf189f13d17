"""Measure cells that extend through several slices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tallies import Count, Tally, centroids_of


@dataclass(frozen=True)
class WholeCell:
    """Measures of a cell through all its slices; places in slices and pixels, from 0.

    Attributes
    ----------
    cell : int
    sections : int
        Number of its sections, of which several may lie in one slice.
    voxels : int
        Sum of the areas of the sections; lost slices between them add nothing.
    volume_nm3 : float or None
        Volume in cubic nanometres; None if the size of a voxel is not known.
    z_first, z_last, y_first, y_last, x_first, x_last : int
        Bounding box, the last ones included.
    centroid_z, centroid_y, centroid_x : float
        Mean slice, row and column of its voxels.
    at_border : bool
        Whether it touches the border of the stack, so that more of it may lie outside.
    """

    cell: int
    sections: int
    voxels: int
    volume_nm3: float | None
    z_first: int
    z_last: int
    y_first: int
    y_last: int
    x_first: int
    x_last: int
    centroid_z: float
    centroid_y: float
    centroid_x: float
    at_border: bool


def describe_sections(tally: Tally, *, z: int) -> npt.NDArray[np.float64]:
    """Return what the measures of whole cells require of the sections in a slice.

    Parameters
    ----------
    tally : Tally
        Of the sections.
    z : int
        Number of the slice.

    Returns
    -------
    (sections, 8) float64
        Slice, first and last row, first and last column, area, mean row and mean column.
    """
    columns = [Count.FIRST_Y, Count.LAST_Y, Count.FIRST_X, Count.LAST_X, Count.AREA]
    places = np.full((len(tally), 1), z)
    return np.hstack([places, tally[:, columns], centroids_of(tally)])


def measure_whole_cells(
    sections: npt.NDArray[np.float64],
    numbers: npt.NDArray[np.int64],
    *,
    shape: tuple[int, int, int],
    voxel: float | None,
) -> Iterator[WholeCell]:
    """Measure every cell, in the order of their numbers.

    Parameters
    ----------
    sections : (N, 8) float64
        Rows of `describe_sections`, of all slices.
    numbers : (N,) int64
        The cell of each section, numbered consecutively from 1.
    shape : (Z, Y, X)
        Of the stack.
    voxel : float or None
        Volume of a voxel in cubic nanometres.
    """
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=1)[1:])
    for number, own in enumerate(np.split(sections[order], ends[:-1]), start=1):
        if len(own):
            yield _measure(number, own, shape=shape, voxel=voxel)


def _measure(
    number: int,
    own: npt.NDArray[np.float64],
    *,
    shape: tuple[int, int, int],
    voxel: float | None,
) -> WholeCell:
    z, top, bottom, left, right, area, _, _ = own.T
    first = [int(low.min()) for low in (z, top, left)]
    last = [int(high.max()) for high in (z, bottom, right)]
    voxels = int(area.sum())
    centroid = (area @ own[:, [0, 6, 7]] / voxels).round(2).tolist()
    ends = [size - 1 for size in shape]
    return WholeCell(
        cell=number,
        sections=len(own),
        voxels=voxels,
        volume_nm3=None if voxel is None else round(voxels * voxel, 3),
        z_first=first[0],
        z_last=last[0],
        y_first=first[1],
        y_last=last[1],
        x_first=first[2],
        x_last=last[2],
        centroid_z=centroid[0],
        centroid_y=centroid[1],
        centroid_x=centroid[2],
        at_border=0 in first or any(a == b for a, b in zip(last, ends, strict=True)),
    )
