"""Grey levels: by hand, and measured in parts."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.arrays import intensity
from unetseg.arrays.tissue import Tissue, all_tissue

NO_MATTER = Tissue(0, 0, 0)


def test_clipped_never_wrapped():
    image = np.array([[-4, 0.4, 254.6, 260]], np.float32)
    assert intensity.to_dtype(image, np.uint8).tolist() == [[0, 0, 255, 255]]
    assert intensity.to_dtype(image, np.uint16).tolist() == [[0, 0, 255, 260]]
    assert intensity.to_dtype(image, np.float32).max() == 260


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


def test_percentiles_by_hand():
    normalise = intensity.Percentiles(100, 200)
    image = np.array([[0, 50, 100, 150, 200, 250, 65535]], np.uint16)
    assert normalise(image)[0] == pytest.approx([-4.8, -3.2, -1.6, 0, 1.6, 3.2, 4.8])
    lost = intensity.Percentiles(0, 0)
    assert lost(image).tolist() == [[0] * 7]


def test_bits_do_not_matter():
    image = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    results = [
        intensity.Percentiles.of(all_tissue(pixels), [])(pixels)
        for pixels in (image, 20000 + 4 * image.astype(np.uint16), image / np.float32(255) - 9000)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_allclose(results[0], results[2], atol=0.01)  # 1 / 1000 at 9000 in float32


def test_standardise():
    image = np.array([[1000, 1002]], np.uint16)
    standard = intensity.Standardisation.of(NO_MATTER, [image])
    assert standard(image).tolist() == [[-1, 1]]
    flat = np.full((2, 2), 7, np.uint8)
    assert intensity.Standardisation.of(NO_MATTER, [flat])(flat).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_slice_measured_in_parts(dtype: type):
    image = (np.random.default_rng(0).random((50, 70)) * 200 + 50).astype(dtype)
    parts = (image[i : i + 7] for i in range(0, 50, 7))
    measured = intensity.Standardisation.of(NO_MATTER, parts)
    assert measured.mean == pytest.approx(image.mean(dtype=np.float64), rel=1e-12)
    assert measured.deviation == pytest.approx(image.std(dtype=np.float64), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_part_is_normalised_like_its_slice(dtype: type):
    rng = np.random.default_rng(0)
    pixels = rng.integers(60_000, size=(3, 20, 30)).astype(dtype)
    ranges = [[10_000.0, 50_000.0], [0.5, 60_000.25], [7.0, 7.0]]
    stack = intensity.NormalisedStack(pixels, ranges)
    assert (len(stack), stack.shape) == (3, (3, 20, 30))
    for index, (image, (low, high)) in enumerate(zip(stack, ranges, strict=True)):
        np.testing.assert_array_equal(image, intensity.Percentiles(low, high)(pixels[index]))
        np.testing.assert_array_equal(stack[index, 3:9, 5:25], image[3:9, 5:25])
        assert stack[index].dtype == np.float32
    assert not stack[2].any()
