"""How far two slices lie apart, and whether they look like neighbours."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from unetseg.arrays.layers import MOST_DRIFT, Layer, find_drift, lie_together


def layer(probability: np.ndarray, *, tissue: object = True) -> Layer:
    shown = np.array(np.broadcast_to(np.asarray(tissue, bool), probability.shape))
    return Layer(0, np.zeros(probability.shape, int), probability, shown)


def blobs(seed: int, shape: tuple[int, int] = (40, 50)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(rng.random((shape[0] // 5, shape[1] // 5)), np.ones((5, 5)))


def correlation(one: np.ndarray, other: np.ndarray, by: tuple[int, ...]) -> float:
    one, other = one - one.mean(), other - other.mean()
    return float((np.roll(one, by, (0, 1)) * other).sum())


def test_drift_is_where_correlation_is_highest():
    for seed in range(5):
        one, other = blobs(seed), blobs(seed + 1)
        shifts = itertools.product(range(-16, 17), repeat=2)
        best = max(shifts, key=lambda by: correlation(one, other, by))
        assert find_drift(layer(one), layer(other)) == best


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 2), (40, 50)])
def test_slices_of_one_value_have_not_moved_and_say_nothing(size: tuple[int, int]):
    flat = layer(np.full(size, 0.7, np.float32))
    assert find_drift(flat, flat) == (0, 0)
    assert not lie_together(flat, flat)


def test_neighbours_fit_best_where_they_are():
    one = blobs(0, (200, 250))
    worse = np.where(blobs(1, (200, 250)) > 0.5, one, blobs(2, (200, 250)))
    for by in ((0, 0), (MOST_DRIFT, -MOST_DRIFT)):
        assert lie_together(layer(one), layer(np.roll(worse, by, (0, 1))))
    for by in ((MOST_DRIFT + 5, 0), (0, -MOST_DRIFT - 5), (100, 125)):
        assert not lie_together(layer(one), layer(np.roll(worse, by, (0, 1))))


def test_it_is_seen_as_all_displacements_one_by_one_show_it():
    """Which are 2000, of which 33 * 33 are short: of unrelated slices about half seem near."""
    found = []
    for seed in range(6):
        one, other = blobs(seed), blobs(seed + 20)
        best = max(np.ndindex(one.shape), key=lambda by: correlation(one, other, by))
        away = [min(way, size - way) for way, size in zip(best, one.shape, strict=True)]
        found.append(max(away) <= MOST_DRIFT)
        assert lie_together(layer(one), layer(other)) == found[-1]
    assert {*found} == {True, False}


def test_what_is_missing_says_nothing():
    one = blobs(0, (200, 250))
    lost = np.roll(one, 60, 1)
    tissue = np.ones(one.shape, bool)
    tissue[:, :150] = False
    lost[:, 150:] = one[:, 150:]
    assert lie_together(layer(one), layer(lost, tissue=tissue))
    assert not lie_together(layer(one), layer(lost))
