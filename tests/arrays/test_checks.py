"""What silently ruins training is said before it begins."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.arrays.checks import (
    balance,
    best_shift,
    better_places,
    empty_share,
    interior_contrast,
    standardise_robustly,
)


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


def test_a_label_has_another_place_only_where_it_fits_best():
    own = np.array([0.5, 0.1, 0.1, 0.4, 0.1])
    fits = np.array(
        [
            [0.5, 0.1, 0.2, 0.1, 0.0],  # where it belongs
            [0.1, 0.1, 0.5, 0.1, 0.0],  # belongs to image 2
            [0.1, 0.3, 0.1, 0.42, 0.0],  # image 3 has a label that fits it as well
            [0.0, 0.0, 0.0, 0.1, 0.14],  # fits none
        ]
    )
    assert better_places(fits, own, [0, 1, 2, 4]) == {1: 2}


def test_a_balanced_label_times_an_image_is_their_correlation():
    rng = np.random.default_rng(0)
    label = as_labels(rng.random((20, 30)) > 0.3)
    image = label * 0.2 + rng.normal(0, 30, label.shape)
    label[:, 20:] = 127
    grey = (image - image[:, :20].mean()) / image[:, :20].std()
    expected = np.corrcoef(label[:, :20].ravel(), image[:, :20].ravel())[0, 1]
    assert np.sum(balance(label) * grey) == pytest.approx(expected, abs=1e-5)
    assert not balance(np.full((2, 2), 255, np.uint8)).any()


def test_one_hot_pixel_does_not_change_what_is_standard():
    image = np.random.default_rng(0).integers(100, 200, (40, 40)).astype(np.uint16)
    hot = image.copy()
    hot[3, 3] = 65535
    difference = np.abs(standardise_robustly(hot) - standardise_robustly(image))
    assert np.sort(difference.ravel())[-2] < 0.01


def test_empty_by_hand():
    # The interior is 1, 2, 1 px deep (three quarters: 1.5); the membrane 1 and 1 to 7 px away.
    label = np.array([[0, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 127]], np.uint8)
    assert empty_share(label) == pytest.approx(6 / 11)
    assert empty_share(np.zeros((2, 2), np.uint8)) == 0
