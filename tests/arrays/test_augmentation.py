"""Augmented copies: geometry for both, grey levels for the image alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conftest import checkerboard
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from unetseg.arrays.augmentation import (
    IDENTITY,
    Recipe,
    Strengths,
    apply_recipe,
    draw_recipe,
)
from unetseg.arrays.elastic import find_engine
from unetseg.options import AugmentOptions

ENGINE = find_engine()
NAMES = [field.name for field in dataclasses.fields(Strengths)]
DEFAULTS = Strengths(**{name: getattr(AugmentOptions(), name) for name in NAMES})

SILENT = dataclasses.replace(
    DEFAULTS, contrast=0, gamma=0, brightness=0, gaussian_noise=0, uniform_noise=0
)


def draw(strengths: Strengths, copy: int, shape: tuple[int, int] = (96, 128)) -> Recipe:
    return draw_recipe(strengths, shape=shape, seed=7, copy=copy)


@given(copy=st.integers(0, 10**6))
def test_image_and_label_stay_aligned(copy: int):
    board = checkerboard((96, 128), 16)
    recipe = draw(dataclasses.replace(SILENT, crop=64), copy)
    image, label = apply_recipe(recipe, board, board, low=0, high=255, engine=ENGINE)
    assert set(np.unique(label)) <= {0, 255}
    # Pixels on different sides lie within a pixel of an edge: opening their set leaves nothing.
    apart = (image > 127.5) != (label > 0)
    assert not ndimage.binary_opening(apart, np.ones((2, 2))).any()


@given(copy=st.integers(0, 10**6), kind=st.sampled_from(["uint8", "uint16", "float32"]))
def test_grey_levels_never_reach_the_label(copy: int, kind: str):
    rng = np.random.default_rng(copy)
    image = (rng.random((96, 128)) * 200).astype(kind)
    label = checkerboard(image.shape, 16)
    recipe = draw(dataclasses.replace(DEFAULTS, brightness=100), copy)
    quiet = dataclasses.replace(
        recipe, contrast=1, gamma=1, brightness=0, gaussian_noise=0, uniform_noise=0
    )
    loud, loud_label = apply_recipe(recipe, image, label, low=0, high=200, engine=ENGINE)
    _, quiet_label = apply_recipe(quiet, image, label, low=0, high=200, engine=ENGINE)
    np.testing.assert_array_equal(loud_label, quiet_label)
    assert loud.dtype == image.dtype
    assert loud.shape == image.shape


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_identity_changes_no_bit(kind: str):
    image = (np.random.default_rng(0).random((32, 48)) * 255).astype(kind)
    label = checkerboard(image.shape, 8)
    same, same_label = apply_recipe(IDENTITY, image, label, low=0, high=255, engine=ENGINE)
    assert same.tobytes() == image.tobytes()
    assert same_label.tobytes() == label.tobytes()


def test_everything_off_draws_the_identity():
    off = Strengths(
        **{name: False if isinstance(getattr(DEFAULTS, name), bool) else 0 for name in NAMES}
    )
    recipe = dataclasses.replace(draw(off, 3), noise_seed=0, order=3)
    assert recipe == IDENTITY


def test_a_copy_depends_on_seed_and_number_alone():
    assert draw(DEFAULTS, 5) == draw(DEFAULTS, 5)
    assert len({str(draw(DEFAULTS, copy)) for copy in range(50)}) == 50


def test_quarter_turns_keep_the_shape():
    turns = {draw(DEFAULTS, copy, shape=(64, 96)).quarter_turns for copy in range(40)}
    assert turns == {0, 2}
    turns = {draw(DEFAULTS, copy, shape=(64, 64)).quarter_turns for copy in range(40)}
    assert turns == {0, 1, 2, 3}
