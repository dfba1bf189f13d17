"""Augmented copies: geometry for both, grey levels for the image alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from unetseg.arrays import intensity
from unetseg.arrays.augmentation import (
    IDENTITY,
    Recipe,
    Strengths,
    apply_recipe,
    draw_recipe,
)
from unetseg.arrays.elastic import deform, draw_displacement
from unetseg.arrays.geometry import crop_and_pad
from unetseg.options import AugmentOptions

NAMES = [field.name for field in dataclasses.fields(Strengths)]
DEFAULTS = Strengths(**{name: getattr(AugmentOptions(), name) for name in NAMES})
SILENT = dataclasses.replace(
    DEFAULTS, contrast=0, gamma=0, brightness=0, gaussian_noise=0, uniform_noise=0
)


def checkerboard(shape: tuple[int, int], edge: int) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.where((rows // edge + columns // edge) % 2, 255, 0).astype(np.uint8)


def draw(strengths: Strengths, copy: int, shape: tuple[int, int] = (96, 128)) -> Recipe:
    return draw_recipe(strengths, shape=shape, seed=7, copy=copy)


@given(copy=st.integers(0, 10**6))
def test_image_and_label_stay_aligned(copy: int):
    board = checkerboard((96, 128), 16)
    recipe = draw(dataclasses.replace(SILENT, crop=64), copy)
    image, label = apply_recipe(recipe, board, board, low=0, high=255)
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
    loud, loud_label = apply_recipe(recipe, image, label, low=0, high=200)
    _, quiet_label = apply_recipe(quiet, image, label, low=0, high=200)
    np.testing.assert_array_equal(loud_label, quiet_label)
    assert loud.dtype == image.dtype
    assert loud.shape == image.shape


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_identity_changes_no_bit(kind: str):
    image = (np.random.default_rng(0).random((32, 48)) * 255).astype(kind)
    label = checkerboard(image.shape, 8)
    same, same_label = apply_recipe(IDENTITY, image, label, low=0, high=255)
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


def test_crop_is_padded_symmetrically():
    image = np.arange(25).reshape(5, 5)
    padded = crop_and_pad(image, top=1, left=2, height=2, width=2)
    assert padded.tolist() == [
        [8, 7, 7, 8, 8],
        [8, 7, 7, 8, 8],
        [13, 12, 12, 13, 13],
        [13, 12, 12, 13, 13],
        [8, 7, 7, 8, 8],
    ]


def test_a_field_of_equal_displacements_is_a_shift():
    image = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    label = checkerboard(image.shape, 8)
    displacement = np.zeros((2, 3, 3))
    displacement[0], displacement[1] = 3, -2
    moved, moved_label = deform(
        image, label, displacement=displacement, rotation=0, scale=1, order=3
    )
    np.testing.assert_allclose(moved[5:-5, 5:-5], image[8:-2, 3:-7], atol=1e-5)
    np.testing.assert_array_equal(moved_label[5:-5, 5:-5], label[8:-2, 3:-7])


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


def slow_deform(
    image: np.ndarray, displacement: np.ndarray, rotation: float, scale: float
) -> np.ndarray:
    """Deform pixel by pixel: look up the field, then the place that it points to."""
    height, width = image.shape
    points = displacement.shape[1]
    place = np.empty((2, height, width))
    angle = np.deg2rad(rotation)
    middle = (np.array(image.shape) - 1) / 2
    for y in range(height):
        for x in range(width):
            node = [[y * (points - 1) / (height - 1)], [x * (points - 1) / (width - 1)]]
            shift = [
                ndimage.map_coordinates(d, node, order=3, mode="mirror")[0] for d in displacement
            ]
            dy, dx = (np.array([y, x]) - middle) / scale
            cos, sin = np.cos(angle), np.sin(angle)
            turned = (dy * cos + dx * sin, dx * cos - dy * sin)
            place[:, y, x] = middle + turned + shift
    return ndimage.map_coordinates(image.astype(float), place, order=3, mode="mirror")


@pytest.mark.parametrize(("rotation", "scale"), [(0, 1), (12, 1), (0, 0.8), (-7, 1.15)])
@pytest.mark.parametrize("points", [3, 5])
def test_field_agrees_with_a_slow_oracle(points: int, rotation: float, scale: float):
    rng = np.random.default_rng(points)
    image = ndimage.gaussian_filter(rng.random((40, 56)), 1).astype(np.float32)
    displacement = draw_displacement(rng, sigma=3, points=points)
    found, _ = deform(
        image,
        checkerboard(image.shape, 8),
        displacement=displacement,
        rotation=rotation,
        scale=scale,
        order=3,
    )
    expected = slow_deform(image, displacement, rotation, scale)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_field_agrees_with_elasticdeform():
    reason = "elasticdeform is not installed for this NumPy"
    elasticdeform = pytest.importorskip("elasticdeform", reason=reason, exc_type=ImportError)
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.random((96, 128)), 1).astype(np.float32)
    displacement = draw_displacement(rng, sigma=10, points=4)
    settings = {"rotation": 8, "scale": 0.9, "order": 3}
    label = checkerboard(image.shape, 8)
    found, _ = deform(image, label, displacement=displacement, **settings)
    expected = elasticdeform.deform_grid(
        image, displacement, order=3, mode="mirror", rotate=8, zoom=0.9
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
