"""Contingency table of two segmentations, built slice by slice: voxels that their cells share.

Only pairs of cells that overlap are kept, so that memory depends on how many of these there are,
and not on the size of the volume nor on its largest number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[Any]  # of any integer type

NOT_SUMMED = 2**18  # rows that may wait: sorting the whole table for every slice would take longer


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Voxels that cells of a truth share with cells of a proposal, a row for each such pair.

    Attributes
    ----------
    truth, proposal : (N,) uint64
        Numbers of the two cells; 0 in the proposal means no cell. Sorted by the first, then by the
        second; each pair occurs once.
    voxels : (N,) int64
        Voxels that they share.
    place : (N,) int64
        The slice in which they share most; the first one of several.
    most : (N,) int64
        Voxels that they share in that slice.
    """

    truth: npt.NDArray[np.uint64]
    proposal: npt.NDArray[np.uint64]
    voxels: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    most: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.voxels)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Overlaps:
        """Return the rows that a mask, (N,) bool, selects."""
        return Overlaps(*(getattr(self, field.name)[chosen] for field in fields(self)))


def count_overlaps(truth: IntArray, proposal: IntArray, *, place: int) -> Overlaps:
    """Count the pixels that cells share in one slice.

    Parameters
    ----------
    truth, proposal : (H, W) int
        Numbers of cells, 0 or more, of any integer type. Pixels where the truth is 0 are left out.
    place : int
        Number of the slice.

    Returns
    -------
    Overlaps
    """
    inside = truth > 0
    cells, of_truth = np.unique(truth[inside], return_inverse=True)
    others, of_proposal = np.unique(proposal[inside], return_inverse=True)
    # Positions in place of the numbers: the product of two numbers may exceed 64 bits, that of two
    # positions in one slice does not.
    width = max(1, len(others))
    pairs, voxels = np.unique(of_truth * width + of_proposal, return_counts=True)
    return Overlaps(
        cells.astype(np.uint64)[pairs // width],
        others.astype(np.uint64)[pairs % width],
        voxels.astype(np.int64),
        np.full(len(pairs), place, np.int64),
        voxels.astype(np.int64),
    )


def sum_overlaps(tables: Sequence[Overlaps]) -> Overlaps:
    """Add up the tables of different slices.

    Parameters
    ----------
    tables : sequence of Overlaps
        At least one.
    """
    truth, proposal, voxels, place, most = (
        np.concatenate([getattr(table, field.name) for table in tables])
        for field in fields(Overlaps)
    )
    # Within each pair, the slice with most voxels comes last; of several such slices, the first.
    order = np.lexsort((-place, most, proposal, truth))
    truth, proposal = truth[order], proposal[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (truth[1:] != truth[:-1]) | (proposal[1:] != proposal[:-1])
    starts = np.flatnonzero(begins)
    last = order[np.append(starts, len(order))[1:] - 1]
    return Overlaps(
        truth[starts],
        proposal[starts],
        np.add.reduceat(voxels[order], starts) if len(starts) else voxels,
        place[last],
        most[last],
    )


class OverlapSum:
    """Running sum of the tables of slices.

    Attributes
    ----------
    slices : int
        How many were added.
    truth_sections, proposal_sections : int
        Count of distinct numbers in each slice, summed over slices: if this is no more than the
        count of distinct numbers in the volume, no number occurs in two slices.
    """

    def __init__(self) -> None:
        self.slices = self.truth_sections = self.proposal_sections = 0
        self._tables: list[Overlaps] = []
        self._rows = 0

    def add(self, table: Overlaps) -> None:
        """Add the table of one slice."""
        self.slices += 1
        self.truth_sections += len(np.unique(table.truth))
        self.proposal_sections += int(np.count_nonzero(np.unique(table.proposal)))
        self._tables.append(table)
        self._rows += len(table)
        if self._rows > 2 * len(self._tables[0]) + NOT_SUMMED:
            self._tables = [self.total()]
            self._rows = len(self._tables[0])

    def total(self) -> Overlaps:
        """Return the table of all slices so far; at least one must have been added."""
        return sum_overlaps(self._tables)


def count_shared(first: IntArray, second: IntArray) -> tuple[int, int]:
    """Count the numbers of cells that continue from a slice to the next one.

    Parameters
    ----------
    first, second : (H, W) int
        Numbers of cells, 0 where there is none.

    Returns
    -------
    shared : int
        Numbers that occur in both slices.
    lying_over : int
        Those of them that some pixel has in both slices.
    """
    shared = np.intersect1d(first[first > 0], second[second > 0])
    return len(shared), len(np.unique(first[(first == second) & (first > 0)]))
