"""Thinning follows its definition."""

from __future__ import annotations

import numpy as np
import pytest
from challenge import thin
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unetseg.arrays.segments import label_cells, label_sections, thin_borders


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_thinning_follows_the_definition(interior: np.ndarray):
    np.testing.assert_array_equal(thin_borders(interior), thin(interior))


@pytest.mark.parametrize("density", [0.02, 0.1, 0.5])
def test_thinning_follows_the_definition_over_distances(density: float):
    # Few cells and much membrane: here the order of the queue and of the neighbours decides.
    interior = np.random.default_rng(0).random((50, 40)) < density
    np.testing.assert_array_equal(thin_borders(interior), thin(interior))


def test_thick_membrane_thins_to_a_dam():
    interior = np.zeros((1, 9), bool)
    interior[0, :2] = interior[0, -2:] = True
    assert thin_borders(interior).tolist() == [[1, 1, 1, 1, 0, 2, 2, 2, 2]]


def test_cells_do_not_grow_through_what_does_not_count():
    interior, counted = np.array([[1, 0, 0, 0, 0]], bool), np.array([[1, 1, 0, 1, 1]], bool)
    assert thin_borders(interior).tolist() == [[1, 1, 1, 1, 1]]
    assert thin_borders(interior, counted=counted).tolist() == [[1, 1, 0, 2, 2]]


def test_sections_are_pieces_of_one_number():
    high = 2**64 - 1
    numbers = np.array(
        [[high, high, 0, high], [high - 1, 0, high, 0], [high - 1, 5, 5, 5]], np.uint64
    )
    # Pieces that touch at a corner are two; those of two numbers that touch at an edge are two.
    expected = [[1, 1, 0, 2], [3, 0, 4, 0], [3, 5, 5, 5]]
    sections = label_sections(numbers)
    assert sections.dtype == np.int32
    np.testing.assert_array_equal(sections, expected)
    np.testing.assert_array_equal(label_sections(numbers != 0), label_cells(numbers != 0))
    assert not label_sections(np.zeros((2, 3), np.uint16)).any()
