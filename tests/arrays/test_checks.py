"""What silently ruins training is said before it begins."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.arrays.checks import best_shift, interior_contrast


def as_labels(interiors: np.ndarray) -> np.ndarray:
    return np.where(interiors, 255, 0).astype(np.uint8)


def test_contrast_by_hand():
    image = np.array([[4, 4, 0, 0]], np.uint8)
    assert interior_contrast(image, image == 4) == 2.0
    assert interior_contrast(image, image == 0) == -2.0
    assert interior_contrast(image, np.ones((1, 4), bool)) == 0.0
    assert interior_contrast(np.full((1, 4), 7), image == 4) == 0.0


@pytest.mark.parametrize("shift", [(0, 0), (5, -3), (-16, 16)])
def test_a_shift_is_found(shift: tuple[int, int]):
    rng = np.random.default_rng(0)
    interiors = rng.random((3, 60, 80)) > 0.3
    images = np.roll(interiors, shift, (1, 2)) * 50.0 + rng.normal(0, 5, interiors.shape)
    found, gain = best_shift(images, as_labels(interiors), reach=16)
    assert found == shift
    assert (gain > 1.2) == (shift != (0, 0))


def test_where_nothing_is_labelled_nothing_fits_better():
    images = np.random.default_rng(0).normal(size=(2, 40, 40))
    assert best_shift(images, np.zeros((2, 40, 40), np.uint8), reach=16) == ((0, 0), 1.0)


def test_inverted_images_find_the_same_shift():
    interiors = np.random.default_rng(0).random((2, 60, 80)) > 0.3
    images = -np.roll(interiors, 4, 1).astype(float)
    assert best_shift(images, as_labels(interiors), reach=16)[0] == (4, 0)
