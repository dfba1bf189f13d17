"""Cells as integer labels: connected components, and growing them until they meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import measure

# Four neighbours, as everywhere in the challenge: two cells that touch at a corner stay two.
FOUR_CONNECTED = ndimage.generate_binary_structure(2, 1)

# States of a pixel while the flood runs. Positive numbers are cells.
DAM = 0
MARKED = -1
QUEUED = -2
OUTSIDE = -3


def label_cells(interior: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Number the 4-connected components of the interior.

    Parameters
    ----------
    interior : (H, W) bool
        True inside a cell, False on membrane.

    Returns
    -------
    (H, W) int32
        0 on membrane, 1, 2, ... inside cells.
    """
    cells: npt.NDArray[np.int32] = ndimage.label(interior, FOUR_CONNECTED, output=np.int32)[0]
    return cells


def label_sections(numbers: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Number the sections of numbered cells: the 4-connected pieces with the same number.

    Parameters
    ----------
    numbers : (H, W) int
        Numbers of cells, 0 or more, of any integer type; 0 where there is none.

    Returns
    -------
    (H, W) int32
        0 where there is no cell, 1, 2, ... on sections.
    """
    # Positions in the sorted numbers, for any integer type; from 1 on, so that none is background.
    places = np.unique(numbers, return_inverse=True)[1].reshape(numbers.shape) + 1
    places[numbers == 0] = 0
    sections = measure.label(places, background=0, connectivity=1)  # type: ignore[no-untyped-call]  # has none
    return sections.astype(np.int32)  # type: ignore[no-any-return]  # of an untyped call


def thin_borders(
    interior: npt.NDArray[np.bool_], *, counted: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.int32]:
    """Grow the cells into the membrane until only one-pixel dams are left between them.

    The flooding by immersion of Vincent & Soille (IEEE PAMI 13(6), 1991, section IV) on an image
    of two levels, in the variant and the pixel order of the ISBI 2012 challenge's own evaluation
    (Arganda-Carreras et al. 2015, doi 10.3389/fnana.2015.00142, "after border thinning"). The
    order decides where a dam falls, so it is part of the definition: columns from left to right,
    each from top to bottom.

    Parameters
    ----------
    interior : (H, W) bool
        True inside a cell, False on membrane.
    counted : (H, W) bool, optional
        False on pixels that do not count: cells do not grow into them.

    Returns
    -------
    (H, W) int32
        0 on dams and on pixels that do not count, a positive number on every other pixel. Membrane
        that no cell can reach becomes a segment of its own.
    """
    # Transposed, so that "x outer, y inner" is plain memory order; a frame of OUTSIDE spares the
    # loop its bounds checks. Lists, because indexing one costs a third of indexing an array.
    outside = np.zeros(interior.shape, np.bool_) if counted is None else ~counted
    cells = label_cells(interior & ~outside).T
    grid = np.where(cells > 0, cells, MARKED)
    grid[outside.T] = OUTSIDE
    grid = np.pad(grid, 1, constant_values=OUTSIDE)
    width = grid.shape[1]
    shores = (grid == MARKED) & ndimage.binary_dilation(grid > 0, FOUR_CONNECTED)
    queue: list[int] = np.flatnonzero(shores).tolist()
    grid[shores] = QUEUED
    flooded = _flood(grid.ravel().tolist(), queue, width=width)
    thinned = np.array(flooded, np.int32).reshape(grid.shape)[1:-1, 1:-1]

    islands = label_cells(thinned == MARKED)
    numbered = np.where(islands > 0, islands + cells.max(initial=0), thinned)
    numbered[outside.T] = DAM
    return np.ascontiguousarray(numbered.T)


def _flood(grid: list[int], queue: list[int], *, width: int) -> list[int]:
    """Decide the queued pixels in order, and queue the marked pixels that they touch."""
    for pixel in queue:  # grows while it is read: first in, first out
        state = QUEUED
        beside_dam = False  # a dam that only continues another one gives way to a cell
        for neighbour in (pixel - width, pixel - 1, pixel + width, pixel + 1):
            other = grid[neighbour]
            if other > 0:
                if state == QUEUED or (state == DAM and beside_dam):
                    state = other
                elif state > 0 and state != other:
                    state = DAM
                    beside_dam = False
            elif other == DAM:
                if state == QUEUED:
                    state = DAM
                    beside_dam = True
            elif other == MARKED:
                grid[neighbour] = QUEUED
                queue.append(neighbour)
        grid[pixel] = state
    return grid
