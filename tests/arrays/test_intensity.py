"""Grey levels: by hand, and measured in parts."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.arrays import intensity


def test_clipped_never_wrapped():
    image = np.array([[-4, 0.4, 254.6, 260]], np.float32)
    assert intensity.to_dtype(image, np.uint8, low=0, high=255).tolist() == [[0, 0, 255, 255]]
    assert intensity.to_dtype(image, np.uint16, low=0, high=9).tolist() == [[0, 0, 255, 260]]
    assert intensity.to_dtype(image, np.float32, low=0, high=9).max() == 9


def test_noise_has_the_strength_it_says():
    flat = np.full((400, 400), 100, np.float32)
    rng = np.random.default_rng(0)
    gaussian = intensity.gaussian_noise(flat, rng, deviation=10) - flat
    assert (gaussian.mean(), gaussian.std()) == pytest.approx((0, 10), abs=0.1)
    uniform = intensity.uniform_noise(flat, rng, amplitude=10) - flat
    assert (uniform.min(), uniform.max()) == pytest.approx((-10, 10), abs=0.01)
    assert uniform.std() == pytest.approx(10 / 3**0.5, abs=0.05)


def test_gamma_and_contrast_by_hand():
    image = np.array([[0, 50, 100]], np.float32)
    bent = intensity.adjust_gamma(image, exponent=2, low=0, high=100)
    assert bent.tolist() == [[0, 25, 100]]
    stretched = intensity.adjust_contrast(image, factor=1.5, low=0, high=100)
    assert stretched.tolist() == [[-25, 50, 125]]
    assert intensity.brighten(image, shift=-10).tolist() == [[-10, 40, 90]]


def test_standardise():
    image = np.array([[1000, 1002]], np.uint16)
    assert intensity.Standardisation.of([image])(image).tolist() == [[-1, 1]]
    flat = np.full((2, 2), 7, np.uint8)
    assert intensity.Standardisation.of([flat])(flat).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_slice_measured_in_parts(dtype: type):
    image = (np.random.default_rng(0).random((50, 70)) * 200 + 50).astype(dtype)
    parts = (image[i : i + 7] for i in range(0, 50, 7))
    measured = intensity.Standardisation.of(parts)
    assert measured.mean == pytest.approx(image.mean(dtype=np.float64), rel=1e-12)
    assert measured.deviation == pytest.approx(image.std(dtype=np.float64), rel=1e-12)
