"""Scores of the numbered cells of a volume, as the CREMI and SNEMI3D challenges define them.

All are computed from a table of overlaps (`unetseg.arrays.contingency`). Of the voxels that count,
p_ij is the share in cell i of the truth and cell j of the proposal, a_i is the sum of p_ij over j,
and b_j the sum over i. Logarithms are to the base 2: entropies are in bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.contingency import Overlaps
from unetseg.arrays.metrics import FScore


@dataclass(frozen=True)
class Information:
    """Variation of information of two segmentations, in bits; 0 if they are the same.

    Attributes
    ----------
    split : float
        H(proposal | truth): grows when the proposal cuts a cell of the truth to pieces.
    merge : float
        H(truth | proposal): grows when the proposal joins cells that are apart in the truth.
    split_at_zero, merge_at_zero : float
        The parts of `split` and `merge` due to voxels where the proposal has no cell. Together
        these count as one more segment, which cuts a piece off each cell and joins the pieces.
    """

    split: float
    merge: float
    split_at_zero: float
    merge_at_zero: float

    @property
    def total(self) -> float:
        """Sum of `split` and `merge`."""
        return self.split + self.merge


@dataclass(frozen=True)
class Part:
    """Overlap of a divided cell with one of the cells that it is divided among.

    Attributes
    ----------
    number : int
        Of the other cell.
    voxels : int
        Voxels that they share.
    place : int
        The slice in which they share most.
    """

    number: int
    voxels: int
    place: int


@dataclass(frozen=True)
class Division:
    """A cell of one segmentation that lies in several cells of the other.

    Attributes
    ----------
    number : int
    voxels : int
        Size of the cell, without voxels where the proposal has no cell.
    parts : int
        Number of cells of the other segmentation that it lies in.
    bits : float
        What it adds to the variation of information.
    largest : tuple of Part
        The largest first.
    """

    number: int
    voxels: int
    parts: int
    bits: float
    largest: tuple[Part, ...]


def variation_of_information(overlaps: Overlaps) -> Information:
    """Return the variation of information, its two sides, and the part due to missing cells.

    split = -sum p_ij log2(p_ij / a_i),  merge = -sum p_ij log2(p_ij / b_j). As in CREMI's
    evaluation (cremi_python, evaluation/voi.py), voxels where the truth is 0 are not in the table,
    and j = 0 is a segment like any other.

    Parameters
    ----------
    overlaps : Overlaps
        One pair at least.

    References
    ----------
    Meila 2007, "Comparing clusterings - an information based distance", Journal of Multivariate
    Analysis 98(5), section 3, doi 10.1016/j.jmva.2006.11.013.
    """
    count = int(overlaps.voxels.sum())
    cells = overlaps.where(overlaps.proposal > 0)
    split, merge, split_of_cells, merge_of_cells = (
        float(_bits(wholes, table.voxels, count=count).sum())
        for table in (overlaps, cells)
        for wholes in (table.truth, table.proposal)
    )
    # The entropy is the sum of two steps: whether the proposal has a cell at all, and which one.
    # The second is that of the cells alone, relative to all voxels; the rest is the first.
    return Information(
        split, merge, max(0.0, split - split_of_cells), max(0.0, merge - merge_of_cells)
    )


def adapted_rand(overlaps: Overlaps) -> FScore:
    """Return the Rand F-score of a volume; SNEMI3D's adapted Rand error is 1 minus its `value`.

    The same score as in `unetseg.arrays.metrics.segmentation_scores`; for SNEMI3D, `merge` is
    precision and `split` is recall. Voxels where the truth is 0 are not in the table; each voxel
    where the proposal is 0 counts as a segment of its own.

    Parameters
    ----------
    overlaps : Overlaps
        One pair at least.

    References
    ----------
    Arganda-Carreras et al. 2015, Frontiers in Neuroanatomy 9:142, section 2.4, doi
    10.3389/fnana.2015.00142.
    """
    cells = overlaps.where(overlaps.proposal > 0)
    alone = float(overlaps.voxels.sum() - cells.voxels.sum())
    # As floating-point numbers: squares of voxels of a large volume exceed 64 bits when summed.
    both = np.sum(cells.voxels.astype(np.float64) ** 2) + alone
    of_truth = np.sum(_sizes(overlaps.truth, overlaps.voxels)[0] ** 2)
    of_proposal = np.sum(_sizes(cells.proposal, cells.voxels)[0] ** 2) + alone
    return FScore(
        value=float(2 * both / (of_truth + of_proposal)),
        merge=float(both / of_proposal),
        split=float(both / of_truth),
    )


def worst_splits(overlaps: Overlaps, *, most: int, parts: int) -> list[Division]:
    """Find the cells of the truth whose pieces add most to the variation of information.

    Parameters
    ----------
    overlaps : Overlaps
    most : int
        How many to find.
    parts : int
        How many parts of each to name.

    Returns
    -------
    list of Division
        The worst first. Over all cells, `bits` sum up to `split` minus `split_at_zero`.
    """
    cells = overlaps.where(overlaps.proposal > 0)
    count = int(overlaps.voxels.sum())
    return _worst(cells.truth, cells.proposal, cells, count=count, most=most, parts=parts)


def worst_merges(overlaps: Overlaps, *, most: int, parts: int) -> list[Division]:
    """Find the worst merged cells of the proposal, as `worst_splits` with the roles exchanged."""
    cells = overlaps.where(overlaps.proposal > 0)
    count = int(overlaps.voxels.sum())
    return _worst(cells.proposal, cells.truth, cells, count=count, most=most, parts=parts)


def find_inside(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return row and column of the pixel deepest inside a mask, (H, W).

    Of several equally deep ones it is the one nearest to their mean.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    (box,) = ndimage.find_objects(mask.astype(np.uint8)) or (None,)
    if box is None:
        raise ValueError("the mask is empty")
    depths = ndimage.distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1]
    rows, columns = np.nonzero(depths == depths.max())
    middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(rows[middle]) + box[0].start, int(columns[middle]) + box[1].start


def _sizes(
    numbers: npt.NDArray[np.uint64], voxels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Return the voxels of each distinct number, and the index of each row's number in these."""
    places = np.unique(numbers, return_inverse=True)[1]
    return np.bincount(places, voxels.astype(np.float64)).astype(np.float64), places


def _bits(
    wholes: npt.NDArray[np.uint64], voxels: npt.NDArray[np.int64], *, count: int
) -> npt.NDArray[np.float64]:
    """Return what each row adds to the conditional entropy of the parts given the whole."""
    sizes, places = _sizes(wholes, voxels)
    bits: npt.NDArray[np.float64] = voxels / count * np.log2(sizes[places] / voxels)
    return bits


def _worst(
    wholes: npt.NDArray[np.uint64],
    others: npt.NDArray[np.uint64],
    cells: Overlaps,
    *,
    count: int,
    most: int,
    parts: int,
) -> list[Division]:
    """Find the wholes that are divided worst among the others."""
    sizes, places = _sizes(wholes, cells.voxels)
    bits = np.bincount(places, _bits(wholes, cells.voxels, count=count))
    pieces = np.bincount(places)
    # Equally bad ones are in the order of their numbers, as `sizes` is.
    worst = [int(whole) for whole in np.argsort(-bits, kind="stable") if pieces[whole] > 1][:most]
    found = []
    for whole in worst:
        rows = np.flatnonzero(places == whole)
        rows = rows[np.argsort(-cells.voxels[rows], kind="stable")]
        largest = tuple(
            Part(int(others[row]), int(cells.voxels[row]), int(cells.place[row]))
            for row in rows[:parts]
        )
        number, voxels = int(wholes[rows[0]]), int(sizes[whole])
        found.append(Division(number, voxels, len(rows), float(bits[whole]), largest))
    return found
