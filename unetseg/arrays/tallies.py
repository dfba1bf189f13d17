"""Counts on cells that are additive: counts of the parts of a cell add up to those of the whole.

A tally is an array of int64 with a row for each cell and a column for each of `Count`. Rows of
parts are merged without rounding, in any order.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tiles import Box

Tally = npt.NDArray[np.int64]

OUTSIDE = -1  # what lies beside a slice


class Count(IntEnum):
    """Columns of a tally; rows and columns of pixels are those of the slice.

    The outline of a cell consists of its pixels next to anything that is not the cell. Each of them
    is straight, diagonal or mixed, depending on its neighbours on the outline, as in
    `skimage.measure.perimeter`.
    """

    NUMBER = 0
    AREA = 1
    SUM_Y = 2
    SUM_X = 3
    STRAIGHT = 4
    DIAGONAL = 5
    MIXED = 6
    BORDER = 7
    FIRST_Y = 8
    FIRST_X = 9
    LAST_Y = 10
    LAST_X = 11


FIRSTS = [Count.FIRST_Y, Count.FIRST_X]
LASTS = [Count.LAST_Y, Count.LAST_X]
SUMS = slice(Count.AREA, Count.FIRST_Y)

# Length that a pixel of each kind stands for, after K. Benkrid and D. Crookes, "Design and FPGA
# implementation of a perimeter estimator", as in scikit-image.
LENGTHS = {Count.STRAIGHT: 1.0, Count.DIAGONAL: math.sqrt(2), Count.MIXED: (1 + math.sqrt(2)) / 2}
# Kinds by the sum over neighbours on the outline: 2 for each at a side, 10 for each at a corner.
KINDS = {
    Count.STRAIGHT: (4, 6, 14, 16, 24, 26),
    Count.DIAGONAL: (20, 32),
    Count.MIXED: (12, 22),
}
AT_SIDE, AT_CORNER = 2, 10

# Width of the margin, in pixels, that must be known around the pixels that are counted.
APRON = 2


def tally_cells(cells: npt.NDArray[Any], *, core: Box, origin: tuple[int, int]) -> Tally:
    """Count the cells in a part of a slice.

    Parameters
    ----------
    cells : (H, W) integer
        0 between cells.
    core : Box
        The part that is counted: all but APRON pixels or more at sides where the slice continues.
    origin : (row, column)
        Position of the first pixel of `cells` in the slice.

    Returns
    -------
    Tally
        A row for each cell that has a pixel in the core, in ascending order of numbers.
    """
    inner = cells[core]
    at = np.flatnonzero(inner)
    if not len(at):
        return np.empty((0, len(Count)), np.int64)
    owner = inner.ravel()[at]
    lowest = int(owner.min())
    rows = int(owner.max()) - lowest + 1
    tally = np.zeros((rows, len(Count)), np.int64)
    tally[:, Count.NUMBER] = np.arange(lowest, lowest + rows)
    tally[:, FIRSTS] = np.iinfo(np.int64).max
    tally[:, LASTS] = -1
    owner = (owner - lowest).astype(np.int64)
    tally[:, Count.AREA] = np.bincount(owner, minlength=rows)
    y, x = np.divmod(at, inner.shape[1])
    corner = [side.start + start for side, start in zip(core, origin, strict=True)]
    for column, place, start in zip((Count.SUM_Y, Count.SUM_X), (y, x), corner, strict=True):
        # The sums are whole numbers that a float64 holds exactly.
        tally[:, column] = np.bincount(owner, place, minlength=rows)
        tally[:, column] += start * tally[:, Count.AREA]
    _tally_outlines(tally, cells, core, corner, lowest)
    return tally[tally[:, Count.AREA] > 0]


def _tally_outlines(
    tally: Tally, cells: npt.NDArray[Any], core: Box, corner: list[int], lowest: int
) -> None:
    """Fill in the columns of a tally that depend on the outlines of cells."""
    around = np.pad(cells, 1, constant_values=OUTSIDE)
    edges = np.zeros(cells.shape, np.uint8)
    outline = np.zeros(cells.shape, bool)
    for side in (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]):
        other = side != cells
        outline |= other
        edges += other & (side != OUTSIDE)
    outline &= cells > 0
    ring = np.pad(np.where(outline, cells, 0), 1)
    y, x = np.nonzero(outline[core])
    top, left = core[0].start, core[1].start
    owner = cells[core][y, x]
    kind = np.zeros(len(owner), np.int64)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            weight = (0, AT_SIDE, AT_CORNER)[abs(down) + abs(right)]
            if weight:
                kind += weight * (ring[y + top + 1 + down, x + left + 1 + right] == owner)
    owner = (owner - lowest).astype(np.int64)
    for column, kinds in KINDS.items():
        tally[:, column] = np.bincount(owner[np.isin(kind, kinds)], minlength=len(tally))
    tally[:, Count.BORDER] = np.bincount(owner, edges[core][y, x], minlength=len(tally))
    # The first and last rows and columns of a cell are on its outline.
    for first, last, place, start in zip(FIRSTS, LASTS, (y, x), corner, strict=True):
        np.minimum.at(tally[:, first], owner, place + start)
        np.maximum.at(tally[:, last], owner, place + start)


def merge_tallies(tallies: list[Tally]) -> Tally:
    """Merge the counts of parts of cells to one row for each cell, in ascending order."""
    rows = np.concatenate([np.empty((0, len(Count)), np.int64), *tallies])
    if not len(rows):
        return rows
    rows = rows[np.argsort(rows[:, Count.NUMBER], kind="stable")]
    numbers, starts = np.unique(rows[:, Count.NUMBER], return_index=True)
    merged = np.empty((len(numbers), len(Count)), np.int64)
    merged[:, Count.NUMBER] = numbers
    merged[:, SUMS] = np.add.reduceat(rows[:, SUMS], starts)
    merged[:, FIRSTS] = np.minimum.reduceat(rows[:, FIRSTS], starts)
    merged[:, LASTS] = np.maximum.reduceat(rows[:, LASTS], starts)
    return merged


def centroids_of(tally: Tally) -> npt.NDArray[np.float64]:
    """Mean row and column of every cell, (N, 2), rounded to two decimals as in tables."""
    exact = (tally[:, [Count.SUM_Y, Count.SUM_X]] / tally[:, [Count.AREA]]).tolist()
    # NumPy rounds some numbers differently from `round`.
    return np.array([[round(y, 2), round(x, 2)] for y, x in exact]).reshape(-1, 2)


def perimeters_of(tally: Tally) -> npt.NDArray[np.float64]:
    """Length of the outline of every cell in pixels, (N,)."""
    return np.asarray(sum(length * tally[:, kind] for kind, length in LENGTHS.items()), np.float64)
