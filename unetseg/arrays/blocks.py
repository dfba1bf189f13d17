"""Divide slices into a grid of blocks, and join the cells that continue across blocks.

The grid depends only on the size of a slice. Each block is segmented with a halo around it, and
only its core is kept. Near a seam, where two cores meet, both blocks have seen the same pixels: two
cells that mostly overlap there are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from unetseg.arrays.cells import Sides
from unetseg.arrays.tiles import Box, cut_side

Labels = npt.NDArray[np.integer[Any]]
Numbers = npt.NDArray[np.int64]

BAND = 32
"""Pixels on either side of a seam in which cells are compared."""
# Pixels on either side of a seam within which two cells must overlap to be the same. Others may
# share a few pixels only because the line between cells is shifted by one.
MIDDLE = 4
SHARE = 0.5  # of the smaller one, in the band


@dataclass(frozen=True)
class Grid:
    """Blocks of a slice, in rows and columns.

    Attributes
    ----------
    size : (H, W)
        Of the slice.
    rows, columns : tuple of slice
        Extents of the cores along each axis.
    """

    size: tuple[int, int]
    rows: tuple[slice, ...]
    columns: tuple[slice, ...]

    @classmethod
    def of(cls, size: tuple[int, int], *, edge: int, multiple: int) -> Grid:
        """Cut a slice into cores of nearly equal size.

        Parameters
        ----------
        size : (H, W)
        edge : int
            Side of the largest core, in pixels.
        multiple : int
            Cores end at multiples of this, in pixels, or at the end of the slice.
        """
        rows, columns = (tuple(cut_side(side, most=edge, multiple=multiple)) for side in size)
        return cls(size, rows, columns)

    @property
    def places(self) -> list[tuple[int, int]]:
        """Row and column of every block, row by row."""
        return list(product(range(len(self.rows)), range(len(self.columns))))

    def around(self, place: tuple[int, int], by: int = 0) -> Box:
        """Return the core of a block, widened by so many pixels but not beyond the slice."""
        return widen((self.rows[place[0]], self.columns[place[1]]), by, self.size)

    def goes_on(self, box: Box) -> Sides:
        """Whether the slice continues beyond each side of a box."""
        rows, columns = box
        height, width = self.size
        return rows.start > 0, rows.stop < height, columns.start > 0, columns.stop < width

    def within(self, box: Box) -> list[tuple[int, int]]:
        """Return the blocks whose cores overlap a box."""
        rows, columns = (
            [i for i, core in enumerate(cores) if core.start < side.stop and core.stop > side.start]
            for cores, side in zip((self.rows, self.columns), box, strict=True)
        )
        return list(product(rows, columns))

    def seams(self, box: Box) -> tuple[list[int], list[int]]:
        """Return the rows and columns inside a box at which a core begins, relative to the box."""
        rows, columns = (
            [core.start - side.start for core in cores if side.start < core.start < side.stop]
            for cores, side in zip((self.rows, self.columns), box, strict=True)
        )
        return rows, columns


def widen(box: Box, by: int, size: tuple[int, int]) -> Box:
    """Widen a box by so many pixels on every side, but not beyond the slice."""
    rows, columns = (
        slice(max(0, side.start - by), min(most, side.stop + by))
        for side, most in zip(box, size, strict=True)
    )
    return rows, columns


def overlap(box: Box, other: Box) -> Box:
    """Return the intersection of two boxes, which must overlap."""
    rows, columns = (
        slice(max(one.start, two.start), min(one.stop, two.stop))
        for one, two in zip(box, other, strict=True)
    )
    return rows, columns


def within(box: Box, outer: Box) -> Box:
    """Return a box in the coordinates of a larger one around it."""
    rows, columns = (
        slice(side.start - whole.start, side.stop - whole.start)
        for side, whole in zip(box, outer, strict=True)
    )
    return rows, columns


def find_same(one: Labels, other: Labels, *, seam: int) -> npt.NDArray[np.int64]:
    """Find the cells that two blocks have in common near a seam.

    Two labels are the same cell if they share more than half of the smaller one's pixels in the
    band, and overlap in its middle. A fork that is one cell in only one of the blocks is then the
    same as both its branches in the other.

    Parameters
    ----------
    one, other : (H, W) integer
        Labels that each block gives to the same pixels; 0 between cells.
    seam : int
        Row in which the core of the second block begins.

    Returns
    -------
    (N, 2) int64
        Pairs of labels, in ascending order.
    """
    both = (one > 0) & (other > 0)
    base = int(other.max(initial=0)) + 1
    keys = one.astype(np.int64) * base + other
    pairs, shared = np.unique(keys[both], return_counts=True)
    middle = slice(max(0, seam - MIDDLE), seam + MIDDLE)
    meet = np.isin(pairs, keys[middle][both[middle]])
    first, second = np.divmod(pairs, base)
    sizes = np.minimum(np.bincount(one.ravel())[first], np.bincount(other.ravel())[second])
    same = meet & (shared > SHARE * sizes)
    return np.stack([first[same], second[same]], axis=1)


def number_cells(
    sure: Sequence[npt.NDArray[np.integer[Any]]], pairs: Sequence[tuple[int, int, Numbers]]
) -> tuple[list[Numbers], int]:
    """Number the cells of a slice, in the order of their first block and their labels in it.

    Parameters
    ----------
    sure : sequence of (labels + 1,) integer
        For each block, how many pixels each of its labels, and 0, keeps for certain in its core;
        see `sure_pixels`. A label without any gets no number.
    pairs : sequence of (block, block, (N, 2) int64)
        Labels of two blocks that are the same cell. Labels without a number are ignored.

    Returns
    -------
    numbers : list of (labels + 1,) int64
        For each block, the cell of each label; 0 for none. Over all blocks, cells are numbered
        consecutively from 1.
    total : int
        Number of cells.
    """
    starts = np.cumsum([0, *map(len, sure)])
    pixels = np.concatenate([np.empty(0, np.int64), *sure])
    pixels[starts[:-1]] = 0
    edges = [np.empty((0, 2), np.int64)]
    for one, other, labels in pairs:
        nodes = labels + starts[[one, other]]
        edges.append(nodes[(pixels[nodes] > 0).all(axis=1)])
    first, second = np.concatenate(edges).T
    graph = coo_matrix((np.ones(len(first), bool), (first, second)), (len(pixels), len(pixels)))
    _, root = connected_components(graph, directed=False)
    present = np.flatnonzero(pixels)
    roots, begins = np.unique(root[present], return_index=True)
    number = np.zeros(len(pixels) + 1, np.int64)
    number[roots[np.argsort(begins)]] = np.arange(1, len(roots) + 1)
    numbers = np.where(pixels > 0, number[root], 0)
    return np.split(numbers, starts[1:-1]), len(roots)


def part_at_seams(cells: Labels, *, rows: Sequence[int], columns: Sequence[int]) -> None:
    """Separate different cells that touch across a seam, by clearing the pixels just after it.

    Each block draws its own line between two cells. Where each block's line falls in the core of
    the other block, none would be left.

    Parameters
    ----------
    cells : (H, W) integer
        Numbers of cells, changed in place.
    rows, columns : sequence of int
        Those at which the core of a block begins.
    """
    taken = []
    for view, seams in ((cells, rows), (cells.T, columns)):
        for seam in seams:
            before, after = view[seam - 1], view[seam]
            taken.append((after, (before > 0) & (after > 0) & (before != after)))
    for line, touching in taken:  # only after all are found, also where seams cross
        line[touching] = 0


def sure_pixels(labels: Labels, core: Box, *, first: tuple[bool, bool]) -> Numbers:
    """Count the pixels that each label of a block keeps for certain in the block's core.

    These are all but the ones that `part_at_seams` may clear.

    Parameters
    ----------
    labels : (H, W) integer
    core : Box
    first : (bool, bool)
        Whether the block is in the first row, and in the first column: it has no seam there.
    """
    rows, columns = (
        slice(side.start if begins else side.start + 1, side.stop)
        for side, begins in zip(core, first, strict=True)
    )
    counts = np.bincount(labels[rows, columns].ravel(), minlength=int(labels.max(initial=0)) + 1)
    return counts.astype(np.int64)
