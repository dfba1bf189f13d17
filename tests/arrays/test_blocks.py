"""The grid of blocks, and what makes cells of two blocks one."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.arrays.blocks import (
    Grid,
    find_same,
    number_cells,
    overlap,
    part_at_seams,
    sure_pixels,
    within,
)


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (2048, 2048), (2049, 700), (5000, 9001)])
def test_cores_cover_a_slice_once(size: tuple[int, int]):
    grid = Grid.of(size, edge=2048, multiple=512)
    times = np.zeros(size, np.uint8)
    for place in grid.places:
        rows, columns = core = grid.around(place)
        times[core] += 1
        assert rows.stop - rows.start <= 2048
        assert all(side.start % 512 == 0 for side in core)
        top, bottom, left, right = grid.goes_on(core)
        assert (top, left) == (rows.start > 0, columns.start > 0)
        assert (bottom, right) == (rows.stop < size[0], columns.stop < size[1])
    assert (times == 1).all()
    assert (len(grid.places) == 1) == (max(size) <= 2048)


def test_places_and_seams_of_a_box():
    grid = Grid.of((60, 100), edge=20, multiple=10)
    box = (slice(15, 25), slice(20, 61))
    assert grid.within(box) == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    # Where the box itself begins is none of its seams.
    assert grid.seams(box) == ([5], [20, 40])
    assert grid.around((1, 1), 7) == (slice(13, 47), slice(13, 47))
    assert grid.around((0, 4), 7) == (slice(0, 27), slice(73, 100))
    assert overlap(box, grid.around((0, 1))) == (slice(15, 20), slice(20, 40))
    assert within((slice(15, 20), slice(20, 40)), box) == (slice(0, 5), slice(0, 20))


def test_a_fork_is_one_cell_with_both_its_branches():
    one, other = np.zeros((40, 30), int), np.zeros((40, 30), int)
    one[:, 2:10] = one[:, 14:20] = 1  # joined farther up, where only the first block looks
    other[:, 2:10], other[:, 14:20] = 4, 5
    one[:, 22:28], other[:, 22:28] = 3, 2
    assert find_same(one, other, seam=20).tolist() == [[1, 4], [1, 5], [3, 2]]


def test_a_line_that_has_moved_joins_nothing():
    """The few pixels of a cell that reaches into the band are another's in the other block."""
    one, other = np.zeros((40, 30), int), np.zeros((40, 30), int)
    one[0:2], one[3:] = 1, 2
    other[0:1], other[1:] = 8, 9
    other[1], other[0] = 9, 9
    assert find_same(one, other, seam=20).tolist() == [[2, 9]]
    # Half of the smaller one is not more than half.
    one, other = np.ones((40, 2), int), np.ones((40, 2), int)
    other[:, 1] = 0
    other[:20] = 2
    one[20:] = 3
    one[10:20] = 5
    assert [1, 2] not in find_same(one, other, seam=20).tolist()


def test_numbers_have_no_gaps_and_follow_the_blocks():
    sure = [np.array([50, 3, 0, 7]), np.array([9, 4, 4]), np.array([0, 1, 2])]
    # 3 of the first is 1 of the second, and that 2 of the third; what has no pixels joins nothing.
    pairs = [
        (0, 1, np.array([[3, 1], [2, 2]])),
        (1, 2, np.array([[1, 2]])),
        (0, 2, np.array([[2, 1]])),
    ]
    numbers, total = number_cells(sure, pairs)
    assert [own.tolist() for own in numbers] == [[0, 1, 0, 2], [0, 2, 3], [0, 4, 2]]
    assert total == 4
    assert number_cells([np.array([5])], [])[1] == 0


def test_a_seam_parts_what_touches_there():
    cells = np.array(
        [
            [1, 1, 1, 2],
            [1, 1, 1, 2],
            [3, 1, 4, 2],
            [3, 3, 4, 0],
        ]
    )
    part_at_seams(cells, rows=[2], columns=[2, 3])
    assert cells.tolist() == [
        [1, 1, 1, 0],
        [1, 1, 1, 0],
        [0, 1, 0, 0],
        [3, 3, 0, 0],
    ]


def test_sure_pixels_are_behind_no_seam():
    labels = np.array([[9, 9, 9, 9], [9, 1, 2, 2], [9, 1, 2, 3], [9, 1, 1, 3]])
    core = (slice(1, 4), slice(1, 4))
    assert sure_pixels(labels, core, first=(True, True)).tolist() == [0, 4, 3, 2, *[0] * 5, 0]
    assert sure_pixels(labels, core, first=(False, True)).tolist() == [0, 3, 1, 2, *[0] * 5, 0]
    assert sure_pixels(labels, core, first=(True, False)).tolist() == [0, 1, 3, 2, *[0] * 5, 0]
