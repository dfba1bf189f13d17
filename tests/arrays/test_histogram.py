"""Percentiles, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.arrays import histogram
from unetseg.arrays.histogram import Histogram

SHARES = (0, 1, 5, 50, 95, 99.9, 100)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("size", [1, 2, 7, 10_001])
def test_in_parts_as_in_one(dtype: type, size: int):
    pixels = (np.random.default_rng(size).normal(0.5, 0.1, size).clip(0, 1) * 250).astype(dtype)
    grey = Histogram(size, dtype)
    for part in np.array_split(pixels, 3):
        grey.add(part)
    assert grey.count == size
    assert grey.percentiles(*SHARES) == pytest.approx(np.percentile(pixels, SHARES), rel=1e-6)


def test_of_many_floats_a_grid_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(histogram, "MOST_KEPT", 250)
    pixels = np.arange(1000, dtype=np.float32)
    grey = Histogram(1000, np.float32)
    for part in np.array_split(pixels, 7):  # of 143 and 142: the grid goes on across them
        grey.add(part)
    assert grey.percentiles(0, 50, 100) == [0, 498, 996]
