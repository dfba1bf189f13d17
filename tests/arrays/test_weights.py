"""The border weight map of the U-Net paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from unetseg.arrays import weights
from unetseg.arrays.segments import label_cells
from unetseg.arrays.weights import class_weights, two_nearest_cells, weight_map


def test_class_weights_balance():
    membrane, interior = class_weights(0.8)
    assert membrane * 0.2 == pytest.approx(interior * 0.8)
    assert membrane * 0.2 + interior * 0.8 == pytest.approx(1)


def test_a_gap_by_hand():
    # Membrane pixels 2, 3, 4 lie at (1, 3), (2, 2), (3, 1) from the two cells: d1 + d2 = 4.
    label = np.array([[255, 255, 0, 0, 0, 255, 255]], np.uint8)
    weights = weight_map(label, membrane=2.0, interior=0.5, w0=10, sigma=5)
    between = 2 + 10 * math.exp(-(4**2) / 50)
    np.testing.assert_allclose(
        weights, [[0.5, 0.5, between, between, between, 0.5, 0.5]], rtol=1e-6
    )


def test_what_does_not_count_weighs_nothing_and_is_no_cell():
    label = np.array([[255, 0, 127, 0, 255]], np.uint8)
    weights = weight_map(label, membrane=2.0, interior=0.5, w0=10, sigma=5)
    between = 2 + 10 * math.exp(-(4**2) / 50)
    np.testing.assert_allclose(weights, [[0.5, between, 0, between, 0.5]], rtol=1e-6)


def test_no_gap_is_made_up_where_nobody_has_labelled():
    # Beside what is unlabelled there may be a second cell, or none: it adds nothing.
    label = np.array([[255, 255, 0, 0, 127, 127, 127]], np.uint8)
    weights = weight_map(label, membrane=2.0, interior=0.5, w0=10, sigma=5)
    assert weights.tolist() == [[0.5, 0.5, 2.0, 2.0, 0.0, 0.0, 0.0]]
    # Cell beside unlabelled: no gap either.
    label = np.array([[0, 255, 127, 127, 255, 0]], np.uint8)
    weights = weight_map(label, membrane=2.0, interior=0.5, w0=10, sigma=0.5)
    np.testing.assert_allclose(weights, [[2.0, 0.5, 0, 0, 0.5, 2.0]], rtol=1e-3)


def test_unlabelled_pixels_change_no_weight_elsewhere():
    # What is labelled weighs what it would in a label that has membrane there instead.
    label = np.zeros((9, 30), np.uint8)
    label[1:8, 1:9] = label[1:8, 12:20] = label[2:7, 24:29] = 255
    marked = label.copy()
    marked[:, 9:12][::2] = marked[0, 15:] = 127
    settings = {"membrane": 2.0, "interior": 0.5, "w0": 10, "sigma": 3}
    expected = np.where(marked == 127, 0, weight_map(label, **settings))
    np.testing.assert_array_equal(weight_map(marked, **settings), expected)


def test_one_cell_has_no_gap():
    label = np.array([[255, 0, 0]], np.uint8)
    weights = weight_map(label, membrane=2.0, interior=0.5, w0=10, sigma=5)
    assert weights.tolist() == [[0.5, 2.0, 2.0]]


def test_distances_agree_with_brute_force():
    inside = np.random.default_rng(0).random((40, 50)) > 0.45
    cells = label_cells(inside)
    points = np.argwhere(cells >= 0)
    distances = []
    for number in range(1, cells.max() + 1):
        away = points[:, None] - np.argwhere(cells == number)[None]
        distances.append(np.sqrt((away**2).sum(-1).min(1)).reshape(cells.shape))
    expected = np.sort(distances, axis=0)[:2]
    found = two_nearest_cells(inside, reach=60)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_reach_cuts_off_nothing_that_counts():
    inside = np.zeros((80, 80), bool)
    inside[:5, :5] = inside[-5:, -5:] = inside[:5, 20:25] = True
    label = np.where(inside, 255, 0).astype(np.uint8)
    nearest, second = two_nearest_cells(inside, reach=200)
    exact = np.where(inside, 0.5, 2 + 10 * np.exp(-((nearest + second) ** 2) / 50))
    found = weight_map(label, membrane=2.0, interior=0.5, w0=10, sigma=5)
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_both_distance_transforms_give_the_same_weights(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("bioimage_cpp")
    rng = np.random.default_rng(0)
    label = np.where(ndimage.gaussian_filter(rng.random((150, 170)), 3) > 0.49, 255, 0)
    settings = {"membrane": 2.0, "interior": 0.5, "w0": 10, "sigma": 5}
    fast = weight_map(label.astype(np.uint8), **settings)
    monkeypatch.setattr(weights, "_transform", lambda: ndimage.distance_transform_edt)
    np.testing.assert_array_equal(fast, weight_map(label.astype(np.uint8), **settings))
