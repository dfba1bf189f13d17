"""Membrane that is drawn between numbered cells: its width, and what it leaves of thin ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unetseg.arrays import membranes
from unetseg.arrays.labelling import INTERIOR, MEMBRANE
from unetseg.arrays.membranes import reach_of
from unetseg.arrays.segments import label_cells


def draw_membranes(numbers: np.ndarray, *, width: float, close: bool = True) -> np.ndarray:
    """As training sees them."""
    return membranes.draw_membranes(numbers, width=width, close=close)


def halves(width: int) -> np.ndarray:
    """Cell 1 on the left, cell 2 on the right."""
    numbers = np.ones((3, width), np.uint16)
    numbers[:, width // 2 :] = 2
    return numbers


@pytest.mark.parametrize(
    ("width", "drawn"), [(1, 2), (2, 2), (2.9, 2), (3, 4), (4, 4), (5, 6), (5.5, 6), (7, 8)]
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_line_is_as_wide_as_said_and_symmetric(width: float, drawn: int, turned: bool):
    numbers = halves(40).T if turned else halves(40)
    label = draw_membranes(numbers, width=width)
    row = [255] * (20 - drawn // 2) + [0] * drawn + [255] * (20 - drawn // 2)
    assert (label.T if turned else label).tolist() == [row] * 3


def test_a_corner_by_hand():
    # Cell 2 has the lower right quarter. Up and left of its corner, pixels are half a diagonal
    # (0.71 px) away, and knight's moves off (1.58 px).
    numbers = np.ones((8, 8), np.uint8)
    numbers[4:, 4:] = 2
    label = draw_membranes(numbers, width=3)
    assert (label // 255).tolist() == [
        [1, 1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 1, 1],
        [1, 1, 0, 0, 0, 0, 1, 1],
    ]


def closed(numbers: np.ndarray) -> np.ndarray:
    """Lines of 0 with a cell on either side, pixel by pixel."""
    found, padded = numbers.copy(), np.pad(numbers, 1)
    for y, x in np.argwhere(numbers == 0):
        around = padded[y : y + 3, x : x + 3].ravel()
        for one, other in zip(around[:4], around[:4:-1], strict=True):
            if 0 < one != other > 0:
                found[y, x] = max(found[y, x], one, other)
    return found


def by_the_definition(numbers: np.ndarray, width: float) -> np.ndarray:
    """Where a side at which the pixel's own cell meets another is near; pixel by pixel."""
    height, columns = numbers.shape
    line = np.zeros(numbers.shape, bool)
    for y, x in np.ndindex(height, columns):
        for v, u in np.ndindex(height, columns):
            for dv, du in ((0, 1), (0, -1), (1, 0), (-1, 0)):
                if not (0 <= v + dv < height and 0 <= u + du < columns):
                    continue
                here, there = numbers[v, u], numbers[v + dv, u + du]
                if not (here == numbers[y, x] > 0 < there != here):
                    continue
                # The side is a piece of line, of length 1, around the middle of these two.
                beside = [abs(y - v - dv / 2), abs(x - u - du / 2)]
                along = 0 if dv == 0 else 1
                beside[along] = max(0.0, beside[along] - 0.5)
                line[y, x] |= math.hypot(*beside) <= width / 2
    return line


@given(
    arrays.arrays(np.int64, (7, 8), elements=st.integers(0, 2)), st.sampled_from([1.0, 2, 3.2, 4])
)
def test_lines_are_where_the_definition_says_but_for_thin_cells(numbers: np.ndarray, width: float):
    label = draw_membranes(numbers, width=width)
    line = by_the_definition(closed(numbers), width)
    assert (label[numbers == 0] == MEMBRANE).all()
    assert (label[(numbers > 0) & ~line] == INTERIOR).all()
    for number in (1, 2):
        cell = closed(numbers) == number
        # What stays of the line is far from where the same cell is thick.
        kept, thick = np.argwhere(cell & line & (label == INTERIOR)), np.argwhere(cell & ~line)
        away = np.hypot(*(kept[:, None] - thick[None]).transpose(2, 0, 1))
        assert (away > max(3, width)).all()


@given(arrays.arrays(np.int64, (9, 11), elements=st.integers(0, 4)), st.floats(1, 9))
def test_no_two_cells_are_joined(numbers: np.ndarray, width: float):
    label = draw_membranes(numbers, width=width)
    cells = label_cells(label == INTERIOR)
    for cell in range(1, cells.max() + 1):
        assert len(np.unique(numbers[cells == cell])) == 1
    assert (label[numbers == 0] == MEMBRANE).all()


def test_what_0_keeps_apart_keeps_its_width():
    # Cells 1 and 2 meet above; below lies a line of 0, and cell 3 beyond it.
    numbers = np.full((10, 20), 3)
    numbers[:4, :10], numbers[:4, 10:], numbers[4:6] = 1, 2, 0
    label = draw_membranes(numbers, width=6)
    assert (label[6:] == INTERIOR).all()
    assert (label[:4] // 255).tolist() == [[1] * 7 + [0] * 6 + [1] * 7] * 4
    np.testing.assert_array_equal(
        draw_membranes(np.where(numbers == 2, 1, numbers), width=6), np.where(numbers == 0, 0, 255)
    )


@pytest.mark.parametrize("turned", [False, True])
def test_a_line_of_one_pixel_is_where_two_cells_meet(turned: bool):
    """What a watershed leaves between cells is as wide as other membrane then."""
    numbers = halves(21)
    numbers[:, 10] = 0
    label = draw_membranes(numbers.T if turned else numbers, width=4)
    # The line has the larger number: two pixels on either side of where that begins.
    row = [255] * 8 + [0] * 4 + [255] * 9
    assert (label.T if turned else label).tolist() == [row] * 3
    # Where cells are compared, it stays as it is.
    found = draw_membranes(numbers, width=4, close=False)
    assert (found == np.where(numbers, INTERIOR, MEMBRANE)).all()
    # Around a single cell, 0 is only outside.
    numbers[numbers == 2] = 1
    assert (draw_membranes(numbers, width=4) == np.where(numbers, INTERIOR, MEMBRANE)).all()


def test_cells_of_a_watershed_get_membranes():
    """A slanting line, as `segment` leaves it, has no gap and no thin place."""
    y, x = np.mgrid[:40, :40]
    numbers = np.where(x > 0.7 * y + 6, 2, 1)
    numbers[(x > 0.7 * y + 5) & (x <= 0.7 * y + 6)] = 0
    label = draw_membranes(numbers, width=5)
    across = (label == MEMBRANE).sum(axis=1)[5:35]
    assert across.min() >= 5
    assert label_cells(label == INTERIOR).max() == 2


@pytest.mark.parametrize("thickness", [2, 3, 4, 5])
@pytest.mark.parametrize("width", [2, 5, 8])
def test_cells_thinner_than_the_line_stay_as_their_middle(thickness: int, width: int):
    numbers = np.repeat(np.arange(1, 9), thickness)[:, None].repeat(30, 1)
    label = draw_membranes(numbers, width=width)
    for number in range(2, 8):
        cell = label[numbers == number].reshape(thickness, 30)
        assert (cell == INTERIOR).any(0).all()  # all along
    if thickness == 5:
        rows = (label[numbers == 4].reshape(5, 30)[:, 0] // 255).tolist()
        assert rows == ([0, 1, 1, 1, 0] if width == 2 else [0, 0, 1, 0, 0])


@given(arrays.arrays(np.int64, (5, 6), elements=st.integers(1, 3)), st.sampled_from([1.0, 3, 5, 8]))
def test_no_cell_of_2_by_2_pixels_is_lost(numbers: np.ndarray, width: float):
    large = numbers.repeat(2, 0).repeat(2, 1)
    label = draw_membranes(large, width=width)
    assert set(np.unique(large[label == INTERIOR])) == set(np.unique(numbers))


@pytest.mark.parametrize("width", [1, 2, 4, 6])
def test_nothing_decides_beyond_the_reach(width: int):
    rng, reach = np.random.default_rng(0), reach_of(width)
    for edge in (1, 2, 3) * 60:
        numbers = rng.integers(0, 3, (30 // edge, 18 // edge)).repeat(edge, 0).repeat(edge, 1)
        whole = draw_membranes(numbers, width=width)
        below = draw_membranes(numbers[15 - reach :], width=width)
        np.testing.assert_array_equal(below[reach:], whole[15:])
        beside = draw_membranes(numbers[:, : 5 + reach], width=width)
        np.testing.assert_array_equal(beside[:, :5], whole[:, :5])


@pytest.mark.parametrize("first", [2**53, 2**63 - 1, 2**64 - 2])
def test_numbers_of_any_size_are_told_apart(first: int):
    numbers = np.full((4, 8), first, np.uint64)
    numbers[:, 4:] = first + 1
    assert (draw_membranes(numbers, width=2) // 255).tolist() == [[1, 1, 1, 0, 0, 1, 1, 1]] * 4
