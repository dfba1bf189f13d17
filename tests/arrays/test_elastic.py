"""One smooth field for an image and its label."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import checkerboard
from scipy import ndimage

from unetseg.arrays.elastic import deform, draw_displacement


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
