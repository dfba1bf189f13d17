"""Thinning follows its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unetseg.arrays.segments import label_cells, thin_borders


def literal_flood(interior: np.ndarray) -> np.ndarray:
    """Vincent and Soille's flooding on two levels, word for word, one slow step at a time."""
    height, width = interior.shape
    marked, queued = -1, -2
    labels = np.where(interior, label_cells(interior), -3)
    level = [(x, y) for x in range(width) for y in range(height) if not interior[y, x]]

    def neighbours(x: int, y: int) -> list[tuple[int, int]]:
        around = [(x - 1, y), (x, y - 1), (x + 1, y), (x, y + 1)]
        return [(a, b) for a, b in around if 0 <= a < width and 0 <= b < height]

    for x, y in level:
        labels[y, x] = marked
    queue = []
    for x, y in level:
        if any(labels[b, a] >= 0 for a, b in neighbours(x, y)):
            labels[y, x] = queued
            queue.append((x, y))
    flag = False
    while queue:
        x, y = queue.pop(0)
        for a, b in neighbours(x, y):
            if labels[b, a] > 0:
                if labels[y, x] == queued or (labels[y, x] == 0 and flag):
                    labels[y, x] = labels[b, a]
                elif labels[y, x] > 0 and labels[y, x] != labels[b, a]:
                    labels[y, x] = 0
                    flag = False
            elif labels[b, a] == 0:
                if labels[y, x] == queued:
                    labels[y, x] = 0
                    flag = True
            elif labels[b, a] == marked:
                labels[b, a] = queued
                queue.append((a, b))
    for x, y in level:
        if labels[y, x] == marked:
            number = max(0, labels.max()) + 1
            labels[y, x] = number
            island = [(x, y)]
            while island:
                for a, b in neighbours(*island.pop()):
                    if labels[b, a] == marked:
                        labels[b, a] = number
                        island.append((a, b))
    return labels


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_thinning_follows_the_definition(interior: np.ndarray):
    np.testing.assert_array_equal(thin_borders(interior), literal_flood(interior))


@pytest.mark.parametrize("density", [0.02, 0.1, 0.5])
def test_thinning_follows_the_definition_over_distances(density: float):
    # Few cells and much membrane: here the order of the queue and of the neighbours decides.
    interior = np.random.default_rng(0).random((50, 40)) < density
    np.testing.assert_array_equal(thin_borders(interior), literal_flood(interior))


def test_thick_membrane_thins_to_a_dam():
    interior = np.zeros((1, 9), bool)
    interior[0, :2] = interior[0, -2:] = True
    assert thin_borders(interior).tolist() == [[1, 1, 1, 1, 0, 2, 2, 2, 2]]
