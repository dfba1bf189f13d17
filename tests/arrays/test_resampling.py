"""Pixels of another size: by hand, in parts, and there and back."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.arrays.resampling import Taps, resample


def whole(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    sides = zip(image.shape, shape, strict=True)
    return resample(image, *(Taps.of(slice(0, new), old=old, new=new) for old, new in sides))


def test_by_hand():
    line = np.array([[0, 4]], np.float32)
    assert whole(line, (1, 4)).tolist() == [[0, 1, 3, 4]]
    four = np.array([[0, 8, 0, 0]], np.float32)
    # Its own two weigh 3/8, the next to them 1/8; beyond the edge the outermost goes on.
    assert whole(four, (1, 2)).tolist() == [[3, 1]]


def test_the_same_size_changes_nothing():
    image = np.random.default_rng(0).random((7, 9), np.float32)
    np.testing.assert_array_equal(whole(image, (7, 9)), image)


@pytest.mark.parametrize("shape", [(31, 47), (120, 80), (64, 1)])
def test_parts_are_parts_of_the_whole(shape: tuple[int, int]):
    image = np.random.default_rng(0).random((60, 70), np.float32)
    expected = whole(image, shape)
    for rows in (slice(0, 5), slice(17, 31)):
        columns = slice(shape[1] // 3, shape[1])
        taps = (
            Taps.of(rows, old=60, new=shape[0]),
            Taps.of(columns, old=70, new=shape[1]),
        )
        part = resample(image[taps[0].seen, taps[1].seen], *taps)
        np.testing.assert_array_equal(part, expected[rows, columns])


@pytest.mark.parametrize("shape", [(40, 50), (160, 200), (57, 133)])
def test_nothing_moves(shape: tuple[int, int]):
    rows, columns = np.mgrid[:80, :100]
    image = (np.sin(rows / 15) + np.cos(columns / 11)).astype(np.float32)
    there_and_back = whole(whole(image, shape), image.shape)
    assert np.abs(there_and_back - image)[4:-4, 4:-4].max() < 0.02
