"""Splits and merges, on segmentations small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetseg.arrays.disagreement import Disagreement, find_merges, find_splits
from unetseg.arrays.segments import label_cells, thin_borders

DEPTH = 3.0


def compare(
    truth: npt.NDArray[np.bool_], interior: npt.NDArray[np.bool_]
) -> tuple[list[Disagreement], list[Disagreement]]:
    """Splits and merges of a binary proposal, as the report finds them."""
    cells, segments = label_cells(truth), thin_borders(interior)
    return (
        find_splits(cells, segments, depth=DEPTH),
        find_merges(cells, segments, interior=interior, depth=DEPTH),
    )


def two_cells() -> npt.NDArray[np.bool_]:
    """Columns 0-9 and 13-32 of 12 rows, three columns of membrane between them."""
    truth = np.ones((12, 33), np.bool_)
    truth[:, 10:13] = False
    return truth


def test_equal_segmentations_do_not_disagree():
    assert compare(two_cells(), two_cells()) == ([], [])


def test_a_gap_in_the_membrane_is_a_merge():
    interior = two_cells()
    interior[4:6, 10:13] = True
    splits, (merge,) = compare(two_cells(), interior)
    assert splits == []
    assert merge.pixels == 12 * 10  # the smaller cell, whole
    assert merge.parts == (1, 2)
    # Midway in the gap: column 11 and its neighbours, and only the two rows of the gap.
    assert set(merge.rows.tolist()) == {4, 5}
    assert 11 in merge.columns
    assert set(merge.columns.tolist()) <= {10, 11, 12}
    assert merge.row in (4, 5)
    assert merge.column in merge.columns


def test_a_wall_inside_a_cell_is_a_split():
    interior = two_cells()
    interior[:, 20] = False
    (split,), merges = compare(two_cells(), interior)
    assert merges == []
    assert split.whole == 2
    assert split.pixels == 12 * 7  # columns 13-19; columns 21-32 are more, 20 is the wall
    assert set(split.rows.tolist()) == set(range(12))
    assert 20 in split.columns
    assert split.row in (5, 6)


def test_a_wall_with_a_hole_is_no_split():
    interior = two_cells()
    interior[:, 20] = False
    interior[6, 20] = True
    assert compare(two_cells(), interior) == ([], [])


def test_borders_drawn_beside_the_true_ones_are_neither():
    interior = np.ones((12, 33), np.bool_)
    interior[:, 14:17] = False  # thinned to one column, 15: segment 1 reaches two into cell 2
    assert compare(two_cells(), interior) == ([], [])
    interior[:, 14:17], interior[:, 19:22] = True, False  # thinned to 20: seven columns into it
    (split,), (merge,) = compare(two_cells(), interior)
    assert split.pixels == merge.pixels == 12 * 7


def test_three_cells_in_a_row_are_two_merges_and_each_weighs_what_hangs_on_it():
    truth = np.ones((10, 50), np.bool_)
    truth[:, 20:22] = truth[:, 28:30] = False  # cells of 200, 60 and 200 pixels
    interior = truth.copy()
    interior[3, 20:22] = interior[7, 28:30] = True
    splits, merges = compare(truth, interior)
    assert splits == []
    # Closing either gap would free an outer cell of 200: the small one in the middle hides nothing.
    assert [merge.pixels for merge in merges] == [200, 200]
    assert sorted(merge.row for merge in merges) == [3, 7]


def test_a_merge_is_where_the_leak_is_not_where_the_cells_touch_most():
    truth = np.ones((33, 33), np.bool_)
    truth[20:23] = truth[:20, 15:18] = False  # two cells above one
    interior = truth.copy()
    interior[20:23, 5:7] = interior[20:23, 26:28] = True
    # The wall between the upper two is whole, but all around it is one segment: thinning fills it.
    assert len(np.unique(thin_borders(interior))) == 1
    _, merges = compare(truth, interior)
    assert len(merges) == 2
    assert all(20 <= merge.row <= 22 for merge in merges)
    assert sorted(merge.column in (5, 6) for merge in merges) == [False, True]


def test_cells_that_meet_in_one_place_give_no_merge_too_many():
    truth = np.ones((21, 21), np.bool_)
    truth[10, :] = truth[:, 10] = False  # four cells of 100
    _, merges = compare(truth, np.ones((21, 21), np.bool_))
    assert len(merges) == 3
    assert {merge.pixels for merge in merges} <= {100, 200}  # a corner alone, or two of them


def test_a_cell_that_was_lost_is_merged_into_what_flooded_it():
    truth = np.ones((15, 30), np.bool_)
    truth[:, 14] = False
    truth[4:13, 18:28] = False
    truth[5:12, 19:27] = True  # 7 x 8 pixels, all alone in the second cell
    interior = np.ones((15, 30), np.bool_)
    interior[:, 14] = False
    interior[4:13, 18:28] = False  # membrane all over
    splits, (merge,) = compare(truth, interior)
    assert splits == []
    assert merge.pixels == 56
    assert 4 <= merge.row <= 12
    assert 18 <= merge.column <= 27


def test_the_worst_come_first():
    interior = two_cells()
    interior[:, 18] = interior[:, 26] = False
    splits, _ = compare(two_cells(), interior)
    # Columns 13-17 and 27-32 are cut off from 19-25.
    assert [split.pixels for split in splits] == [12 * 6, 12 * 5]
    assert 26 in splits[0].columns


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.02, 0.1, 0.3]))
def test_n_parts_are_held_together_by_n_minus_1_borders(seed: int, share: float):
    rng = np.random.default_rng(seed)
    truth, interior = (
        np.kron(rng.random((6, 7)) > share, np.ones((6, 6))).astype(np.bool_) for _ in range(2)
    )
    truth[::12], interior[:, ::9] = False, False
    cells, segments = label_cells(truth), thin_borders(interior)
    splits = find_splits(cells, segments, depth=DEPTH)
    for cell in np.unique(cells[cells > 0]):
        deep = slow_deep_parts(np.where(cells == cell, segments, 0))
        mine = [split for split in splits if split.whole == cell]
        assert len(mine) == max(0, len(deep) - 1)
        assert {part for split in mine for part in split.parts} == (deep if mine else set())
        for split in mine:
            assert (cells[split.rows, split.columns] == cell).all()
            assert split.pixels <= np.count_nonzero(cells == cell) / 2


def slow_deep_parts(inside: npt.NDArray[np.int32]) -> set[int]:
    """Parts in which some pixel has only its own within the depth, tried pixel by pixel."""
    reach = int(DEPTH)
    disc = [
        (y, x)
        for y in range(-reach, reach + 1)
        for x in range(-reach, reach + 1)
        if y * y + x * x < DEPTH * DEPTH
    ]
    height, width = inside.shape
    deep = set()
    for y, x in np.argwhere(inside > 0).tolist():
        around = [(y + dy, x + dx) for dy, dx in disc]
        if all(
            inside[v, u] == inside[y, x] for v, u in around if 0 <= v < height and 0 <= u < width
        ):
            deep.add(int(inside[y, x]))
    return deep


@pytest.mark.parametrize("level", [False, True])
def test_a_proposal_without_any_border_or_cell_is_fine(level: bool):
    _, merges = compare(two_cells(), np.full((12, 33), level))
    assert [merge.pixels for merge in merges] == [120]
