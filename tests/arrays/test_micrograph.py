"""What is drawn into a cut, and what the camera makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from unetseg.arrays.micrograph import (
    membrane_darkness,
    myelin_darkness,
    photograph,
    tubule_darkness,
)
from unetseg.arrays.neuropil import Cut
from unetseg.arrays.tissuelook import Look

# A camera that adds nothing of its own.
CLEAN = replace(
    Look(), dose=1e6, read_noise=0.0, light=0.0, gain_deviation=0.0, offset_deviation=0.0
)


def shoot(look: Look, level: float = 128.0) -> np.ndarray:
    image = np.full((512, 512), level)
    rng = np.random.default_rng(0)
    return photograph(image, np.zeros_like(image), look=look, rng=rng)


def test_a_clean_camera_changes_nothing():
    assert set(np.unique(shoot(CLEAN))) == {128}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"gamma": 2.0}, 255 * (128 / 255) ** 2),
        ({"brightness": 20.0}, 148),
        ({"contrast": 1.25}, 176 - 1.25 * (176 - 128)),
        ({"contrast": 1.25, "brightness": -9.0, "gamma": 0.5}, 255 * (107 / 255) ** 0.5),
    ],
)
def test_development_is_what_the_look_says(settings: dict[str, float], expected: float):
    assert set(np.unique(shoot(replace(CLEAN, **settings)))) == {round(expected)}


def test_fewer_electrons_are_noisier():
    look = replace(CLEAN, point_spread=0.0)
    # Of 128 grey levels by 0.5 electrons, 64 are counted: 8 more or less, 16 grey levels.
    assert shoot(replace(look, dose=0.5)).std() == pytest.approx(16, rel=0.05)
    assert shoot(replace(look, dose=2.0)).std() == pytest.approx(8, rel=0.05)


def test_charging_leaves_streaks_and_spots():
    weak, strong = (shoot(replace(CLEAN, charging=by)).astype(float) - 128 for by in (8.0, 16.0))
    assert 10 < np.abs(strong).max() < 128
    assert strong.max() == pytest.approx(2 * weak.max(), abs=1)
    # Most of a slice has none.
    assert np.mean(np.abs(strong) > 8) < 0.3


def test_tubules_are_thin_lines_inside_cells():
    clearance = np.full((128, 128), 9.0)
    clearance[:, :64] = -1
    look = replace(Look(), tubules=1 / 1000)
    darkness = tubule_darkness(clearance, look=look, rng=np.random.default_rng(1))
    assert np.all(darkness[:, :64] == 0)
    assert 20 < darkness.max() <= look.vesicle_darkest
    lines = darkness > 10
    assert 0.005 < lines[:, 64:].mean() < 0.5
    # Of a Gaussian of 1.2 px what is darker than 10 is 5 px wide; some lines cross.
    assert ndimage.binary_erosion(lines, np.ones((7, 7))).mean() < 0.001
    assert ndimage.label(lines)[1] < 16


def profile(look: Look, offset: list[float], half_width: float = 2.7) -> list[int]:
    distance = np.array([offset])
    width = np.full_like(distance, half_width)
    cut = Cut(distance, distance, 0.0, distance.astype(int), distance - width, width, distance)
    tilt = np.full_like(distance, -100.0)  # not oblique at all
    return np.rint(membrane_darkness(cut, tilt=tilt, look=look)[0]).astype(int).tolist()


def test_a_membrane_is_darkest_in_its_middle_and_on_both_sides_of_a_gap():
    reach = 0.85 * 2.7
    assert profile(Look(), [0.0, reach, 3 * reach]) == [114, round(114 / np.e), 0]
    assert profile(Look(), [-reach, -3 * reach]) == [round(114 / np.e), 0]
    soft = replace(Look(), membrane_power=1.0)
    assert profile(soft, [0.0, 2 * reach]) == [114, round(114 / np.e**2)]


def test_myelin_is_layered_and_ends():
    look = replace(Look(), membrane=100.0, myelin_period=4.0)
    offset, sheath = np.array([[0.0, 2.0, 4.0, 7.0, 2.0]]), np.array([[5.0, 5.0, 5.0, 5.0, 0.0]])
    darkness = myelin_darkness(offset, sheath, look=look)
    np.testing.assert_allclose(darkness, [[100, 70, 100, 0, 0]])
