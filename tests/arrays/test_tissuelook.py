"""Looks: today's where nothing varies, within their ranges where all does."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from unetseg.arrays.tissuelook import Look, draw_look

SEEDS = range(40)


def look(seed: int, variety: float = 1.0, pixel: float | None = None) -> Look:
    return draw_look(np.random.default_rng(seed), variety=variety, pixel=pixel)


def test_without_variety_nothing_changes():
    assert all(look(seed, 0.0) == Look() for seed in SEEDS)
    assert Look().voxel == (50, 4, 4)


def test_equal_seeds_give_equal_looks_and_others_another():
    assert look(0) == look(0)
    one, other = dataclasses.asdict(look(0)), dataclasses.asdict(look(1))
    assert sum(one[name] != other[name] for name in one) > 0.8 * len(one)


def test_voxels_are_of_all_sizes():
    pixels = [look(seed).pixel for seed in SEEDS]
    assert 2 <= min(pixels) < 2.5
    assert 8 < max(pixels) <= 10
    sections = [look(seed).section for seed in SEEDS]
    assert 25 <= min(sections) < 30
    assert 50 < max(sections) <= 60


def test_numbers_come_from_all_of_their_ranges():
    for name, low, high in (("tilt", -2.8, -0.6), ("membrane", 90, 150), ("dose", 0.1, 2)):
        numbers = [getattr(look(seed), name) for seed in range(300)]
        assert low <= min(numbers) < low + 0.05 * (high - low)
        assert high - 0.1 * (high - low) < max(numbers) <= high


@pytest.mark.parametrize("seed", SEEDS)
def test_lengths_are_the_same_in_nanometres(seed: int):
    drawn, default = look(seed), Look()
    # What does not vary: 28 nm, 4.8 nm, 100 nm of depth.
    for name in ("ripple_over", "vesicle_wall"):
        expected = getattr(default, name) * default.pixel
        assert getattr(drawn, name) * drawn.pixel == pytest.approx(expected)
    assert drawn.fabric_depth * drawn.section == pytest.approx(2 * 50)
    # A sheath of 20 to 40 nm for cells of the size of ISBI 2012, and thicker around larger ones.
    if drawn.myelin:
        assert 20 <= drawn.myelin_width * drawn.pixel / drawn.size <= 40
    # Membranes of 14 to 27 nm, or 3 pixels.
    assert 14 <= 2 * drawn.half_width * drawn.pixel <= 27.3 or drawn.half_width == 1.5


@pytest.mark.parametrize("seed", SEEDS)
def test_cells_are_neither_all_membrane_nor_larger_than_a_slice(seed: int):
    drawn = look(seed)
    assert 8 <= round(drawn.cell_radius, 9) <= 24
    assert drawn.cell_radius * drawn.pixel == pytest.approx(48 * drawn.size)


@pytest.mark.parametrize("seed", SEEDS)
def test_membranes_are_not_developed_to_black_nor_cells_to_white(seed: int):
    drawn = look(seed)
    dark = drawn.level - drawn.contrast * (drawn.membrane + drawn.level_drop) + drawn.brightness
    assert round(dark) >= 30 or round(drawn.level + drawn.brightness) == 200


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_half_the_variety_is_half_the_way(seed: int):
    half, full = look(seed, 0.5), look(seed)
    assert math.log(half.pixel / 4) == pytest.approx(math.log(full.pixel / 4) / 2, abs=0.01)
    assert half.tilt == pytest.approx((full.tilt - 1.7) / 2)
    assert half.charging == pytest.approx(full.charging / 2)


def test_a_pixel_size_that_is_given_scales_what_is_drawn():
    coarse, fine = look(3, pixel=4.4), look(3, pixel=4.0)
    assert coarse.voxel == (fine.section, 4.4, 4.4)
    assert coarse.half_width * 4.4 == pytest.approx(fine.half_width * 4)
    assert coarse.section == fine.section
    assert (coarse.dose, coarse.level) == (fine.dose, fine.level)
    # ISBI 2012 at another magnification.
    for pixel in (2.0, 6.0):
        again = look(3, 0.0, pixel=pixel)
        for name in ("fabric", "cell_radius", "mito_largest", "drift_over"):
            assert getattr(again, name) * pixel == pytest.approx(getattr(Look(), name) * 4)
    assert look(3, 0.0, pixel=4.0) == Look()


def test_what_only_some_tissue_has_is_missing_elsewhere():
    for name, chance in (("gap", 0.4), ("myelin", 0.25), ("tubules", 0.6), ("charging", 0.3)):
        share = np.mean([getattr(look(seed), name) > 0 for seed in range(300)])
        assert share == pytest.approx(chance, abs=0.1)
