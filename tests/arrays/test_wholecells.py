"""Measures of cells that go through several slices."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.arrays.tallies import tally_cells
from unetseg.arrays.wholecells import WholeCell, describe_sections, measure_whole_cells


def describe(stack: list[list[list[int]]]) -> np.ndarray:
    slices = np.array(stack, np.int32)
    core = (slice(0, slices.shape[1]), slice(0, slices.shape[2]))
    return np.concatenate(
        [
            describe_sections(tally_cells(cells, core=core, origin=(0, 0)), z=z)
            for z, cells in enumerate(slices)
        ]
    )


def test_measures_worked_by_hand():
    sections = describe(
        [
            [[0, 0, 0, 0, 0], [0, 1, 1, 0, 2], [0, 0, 0, 0, 2], [0, 0, 0, 0, 0]],
            [[0, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]],
            [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
        ]
    )
    assert sections[0].tolist() == [0, 1, 1, 1, 2, 2, 1, 1.5]
    whole = measure_whole_cells(sections, np.array([1, 2, 1]), shape=(3, 4, 5), voxel=50.0 * 4 * 4)
    # The first: (1, 1), (1, 2) above (1, 2), (2, 2).
    assert list(whole) == [
        WholeCell(1, 2, 4, 3200.0, 0, 1, 1, 2, 1, 2, 0.5, 1.25, 1.75, True),
        WholeCell(2, 1, 2, 1600.0, 0, 0, 1, 2, 4, 4, 0.0, 1.5, 4.0, True),
    ]


@pytest.mark.parametrize(
    ("place", "at_border"),
    [
        ((1, 1, 1), False),
        ((0, 1, 1), True),
        ((2, 1, 1), True),
        ((1, 0, 1), True),
        ((1, 3, 1), True),
        ((1, 1, 0), True),
        ((1, 1, 4), True),
    ],
)
def test_what_touches_the_border_of_the_stack(place: tuple[int, int, int], at_border: bool):
    stack = np.zeros((3, 4, 5), int)
    stack[place] = 1
    (cell,) = measure_whole_cells(
        describe(stack.tolist()), np.array([1]), shape=stack.shape, voxel=None
    )
    assert cell.at_border == at_border
    assert cell.volume_nm3 is None
    assert (cell.z_first, cell.y_first, cell.x_first) == place


def test_no_cells_have_no_measures():
    sections = describe(np.zeros((2, 3, 4), int).tolist())
    assert sections.shape == (0, 8)
    assert not list(
        measure_whole_cells(sections, np.empty(0, np.int64), shape=(2, 3, 4), voxel=None)
    )
