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
from unetseg.arrays.segments import label_cells
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
    # Pixels on different sides lie within a pixel of an edge, or two where squares meet and a line
    # keeps them apart: opening their set leaves nothing.
    apart = (image > 127.5) != (label > 0)
    assert not ndimage.binary_opening(apart, np.ones((3, 3))).any()


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


def draw_cells(width: int, *, thin_corners: bool) -> np.ndarray:
    """33 cells, parted by membranes so many pixels wide, on 256 x 256.

    A line one pixel wide goes from corner to corner where corners are thin (it is 8-connected),
    and around them where not.
    """
    places = np.random.default_rng(1).integers(0, 256, (33, 2))
    rows, columns = np.indices((256, 256))
    nearest = np.argmin([(rows - y) ** 2 + (columns - x) ** 2 for y, x in places], axis=0)
    membrane = np.zeros((256, 256), bool)
    membrane[:-1] |= nearest[:-1] != nearest[1:]
    membrane[:, :-1] |= nearest[:, :-1] != nearest[:, 1:]
    if not thin_corners:
        membrane[:-1, :-1] |= nearest[:-1, :-1] != nearest[1:, 1:]
    widened = ndimage.binary_dilation(membrane, np.ones((width, width)))
    return np.where(widened, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("thin_corners", [True, False], ids=["8-connected", "4-connected"])
@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_membranes_of_any_width_keep_cells_apart(width: int, thin_corners: bool):
    label = draw_cells(width, thin_corners=thin_corners)
    cells = label_cells(label > 0)
    assert cells.max() >= 33
    for copy in range(12):
        recipe = draw(dataclasses.replace(SILENT, elastic_order=0), copy, shape=label.shape)
        # As grey levels the cells' numbers say where every pixel is from.
        origin, moved = apply_recipe(
            recipe, cells.astype(np.uint16), label, low=0, high=255, engine=ENGINE
        )
        copies = label_cells(moved > 0)
        for number, box in enumerate(ndimage.find_objects(copies), start=1):
            origins = np.unique(origin[box][copies[box] == number])
            assert len(origins) == 1, f"copy {copy}: cells {origins} are one"
            assert origins[0] > 0
        # None is eaten up, and membranes neither vanish nor double.
        sizes = np.bincount(origin.ravel())[1:]
        assert set(np.flatnonzero(sizes >= 30) + 1) <= set(np.unique(origin[moved > 0]))
        assert np.mean(moved == 0) == pytest.approx(np.mean(origin == 0), rel=0.15)


def test_cropping_first_saves_work_and_changes_nothing():
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.random((96, 96)) * 255, 1).astype(np.float32)
    label = checkerboard(image.shape, 8)
    for copy in range(12):
        recipe = draw(dataclasses.replace(SILENT, crop=40), copy, shape=image.shape)
        assert recipe.crop is not None
        whole = dataclasses.replace(recipe, crop=None)
        found = apply_recipe(recipe, image, label, low=0, high=255, engine=ENGINE)
        full = apply_recipe(whole, image, label, low=0, high=255, engine=ENGINE)
        top, left, height, width = recipe.crop
        margins = ((top, 96 - top - height), (left, 96 - left - width))
        for part, of in zip(found, full, strict=True):
            region = of[top : top + height, left : left + width]
            expected = np.pad(region, margins, mode="symmetric")
            np.testing.assert_allclose(part, expected, atol=1e-3)


def test_what_does_not_count_goes_where_its_pixels_go():
    image = np.zeros((96, 128), np.uint8)
    image[:, 40:60], image[:, 60:90] = 100, 200
    label = np.select([image == 100, image == 200], [127, 255], 0).astype(np.uint8)
    for copy in range(10):
        recipe = draw(dataclasses.replace(SILENT, elastic_order=0, crop=64), copy)
        moved, moved_label = apply_recipe(recipe, image, label, low=0, high=255, engine=ENGINE)
        np.testing.assert_array_equal(moved_label == 127, moved == 100)
        np.testing.assert_array_equal(moved_label == 255, moved == 200)
