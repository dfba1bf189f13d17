"""Numbers of cells, and the labels that are made of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unetseg.arrays.labelling import (
    INTERIOR,
    MEMBRANE,
    UNCOUNTED,
    draw_label,
    looks_numbered,
    number_cells,
)
from unetseg.arrays.segments import label_cells


def test_cells_are_numbered_and_what_does_not_count_is_none():
    label = np.array([[255, 0, 255], [255, 127, 127]], np.uint8)
    assert number_cells(label).tolist() == [[1, 0, 2], [1, -1, -1]]


def test_membrane_is_drawn_where_numbers_meet():
    # 1|2 and 3|2 side by side, 1 above 3, 4 above 6, 5|6; what does not count has no membrane.
    numbers = np.array([[1, 2, 2, 2, -1, 4], [3, 2, 2, 0, 5, 6]])
    expected = [[0, 255, 255, 255, 127, 0], [0, 255, 255, 0, 0, 255]]
    assert draw_label(numbers).tolist() == expected


@given(arrays.arrays(np.int64, (7, 9), elements=st.integers(-1, 4)))
def test_cells_stay_apart(numbers: np.ndarray):
    label = draw_label(numbers)
    cells = label_cells(label == INTERIOR)
    for cell in range(1, cells.max() + 1):
        assert len(np.unique(numbers[cells == cell])) == 1
    np.testing.assert_array_equal(label == UNCOUNTED, numbers < 0)
    assert (label[numbers == 0] == MEMBRANE).all()


def test_a_net_of_membranes_is_no_cell():
    values = np.zeros((40, 40), np.uint8)
    values[4:9, 4:9], values[20:30, 9:30] = 1, 2
    assert looks_numbered(values)  # two cells
    values[:] = 0
    values[::10], values[:, ::10] = 1, 1
    values[11:20, 11:20] = 2
    assert not looks_numbered(values)
