"""Tables of what cells share, slice by slice, against counting voxel by voxel."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from unetseg.arrays import contingency
from unetseg.arrays.contingency import OverlapSum, count_overlaps, count_shared, sum_overlaps


def pairs(truth: np.ndarray, proposal: np.ndarray) -> Counter[tuple[int, int]]:
    """The same by counting each voxel."""
    voxels = zip(truth.ravel().tolist(), proposal.ravel().tolist(), strict=True)
    return Counter(pair for pair in voxels if pair[0])


def as_dict(table: contingency.Overlaps) -> dict[tuple[int, int], int]:
    rows = zip(table.truth.tolist(), table.proposal.tolist(), table.voxels.tolist(), strict=True)
    return {(cell, number): voxels for cell, number, voxels in rows}


def summed(truth: np.ndarray, proposal: np.ndarray) -> OverlapSum:
    overlaps = OverlapSum()
    for place, (here, there) in enumerate(zip(truth, proposal, strict=True)):
        overlaps.add(count_overlaps(here, there, place=place))
    return overlaps


@pytest.mark.parametrize("waiting", [0, 5, 2**18])
def test_slices_add_up_to_what_a_count_of_voxels_gives(
    waiting: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(contingency, "NOT_SUMMED", waiting)
    rng = np.random.default_rng(0)
    truth, proposal = rng.integers(0, 9, (2, 12, 7, 5))
    table = summed(truth, proposal).total()
    assert as_dict(table) == pairs(truth, proposal)
    assert sorted(as_dict(table)) == list(as_dict(table))
    for cell, number, place, most in zip(
        table.truth, table.proposal, table.place, table.most, strict=True
    ):
        here = np.count_nonzero((truth == cell) & (proposal == number), axis=(1, 2))
        assert (place, most) == (np.argmax(here), here.max())  # of several the first


def test_numbers_of_64_bits_stay_apart():
    # As floating-point numbers these three would be one.
    high = np.array([[2**64 - 1, 2**64 - 2, 2**64 - 3, 0]], np.uint64)
    low = np.array([[2**62, 2**62 + 1, 70_000, 1]], np.int64)
    table = count_overlaps(high, low, place=0)
    assert as_dict(table) == {
        (2**64 - 3, 70_000): 1,
        (2**64 - 2, 2**62 + 1): 1,
        (2**64 - 1, 2**62): 1,
    }
    again = sum_overlaps([table, count_overlaps(high.astype(np.uint64), low, place=1)])
    assert set(as_dict(again).values()) == {2}


def test_memory_is_bounded_by_pairs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(contingency, "NOT_SUMMED", 10)
    truth = np.tile(np.arange(1, 5), (1000, 3, 1))
    overlaps = OverlapSum()
    for place, here in enumerate(truth):
        overlaps.add(count_overlaps(here, here, place=place))
        assert sum(len(table) for table in overlaps._tables) <= 2 * 4 + 10
    assert as_dict(overlaps.total()) == {(n, n): 3000 for n in range(1, 5)}


def test_a_slice_without_cells_adds_nothing():
    empty, full = np.zeros((2, 3), int), np.ones((2, 3), int)
    assert len(summed(np.stack([empty, empty]), np.stack([full, full])).total()) == 0
    overlaps = summed(np.stack([empty, full]), np.stack([full, empty]))
    assert as_dict(overlaps.total()) == {(1, 0): 6}
    assert (overlaps.slices, overlaps.truth_sections, overlaps.proposal_sections) == (2, 1, 0)


def test_numbers_that_go_on_lie_over_each_other():
    first = np.array([[1, 1, 2, 3, 0]])
    second = np.array([[1, 2, 3, 3, 0]])
    # 2 is in both, but nowhere over itself; 0 is no number.
    assert count_shared(first, second) == (3, 2)
