"""One smooth field for an image and its label."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import checkerboard
from scipy import ndimage

from unetseg.arrays.elastic import ENGINES, deform, draw_displacement, find_engine


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each of them; CI has both."""
    if request.param not in ("splines", find_engine()) and "CI" not in os.environ:
        pytest.skip("elasticdeform cannot be imported here")
    return str(request.param)


def test_a_field_of_equal_displacements_is_a_shift(engine: str):
    image = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    label = checkerboard(image.shape, 8)
    displacement = np.zeros((2, 3, 3))
    displacement[0], displacement[1] = 3, -2
    moved, moved_label = deform(
        image, label, displacement=displacement, rotation=0, scale=1, order=3, engine=engine
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
def test_field_agrees_with_a_slow_oracle(engine: str, points: int, rotation: float, scale: float):
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
        engine=engine,
    )
    expected = slow_deform(image, displacement, rotation, scale)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("order", range(5))
def test_engines_give_the_same(engine: str, order: int):
    rng = np.random.default_rng(order)
    image = ndimage.gaussian_filter(rng.random((97, 128)), 1).astype(np.float32)
    label = checkerboard(image.shape, 8)
    displacement = draw_displacement(rng, sigma=10, points=4)
    settings = {"displacement": displacement, "rotation": 8, "scale": 0.9, "order": order}
    found, found_label = deform(image, label, **settings, engine=engine)
    expected, expected_label = deform(image, label, **settings, engine="splines")
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(found_label, expected_label)


@pytest.mark.parametrize("rotation", [0, 8])
@pytest.mark.parametrize(
    "region",
    [
        (slice(0, 97), slice(0, 128)),
        (slice(20, 70), slice(31, 90)),
        (slice(50, 97), slice(0, 1)),
        (slice(96, 97), slice(100, 128)),
    ],
)
def test_a_region_is_that_of_the_whole(engine: str, region: tuple[slice, slice], rotation: float):
    rng = np.random.default_rng(0)
    image = rng.random((97, 128)).astype(np.float32)
    # Where the lines of this net are lost, cells meet, and membrane is drawn between them.
    label = np.full(image.shape, 255, np.uint8)
    label[::4] = label[:, ::4] = 0
    settings = {
        "displacement": draw_displacement(rng, sigma=10, points=3),
        "rotation": rotation,
        "scale": 0.8,
        "order": 3,
        "engine": engine,
    }
    whole = deform(image, label, **settings)
    part = deform(image, label, **settings, region=region)
    np.testing.assert_allclose(part[0], whole[0][region], atol=1e-5)
    np.testing.assert_array_equal(part[1], whole[1][region])


def test_a_wheel_for_another_numpy_is_passed_over_in_silence(tmp_path: Path):
    (tmp_path / "elasticdeform.py").write_text(
        "import sys\nsys.stderr.write('A module that was compiled ...')\nraise ImportError"
    )
    program = "from unetseg.arrays.elastic import find_engine; print(find_engine())"
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (found.stdout, found.stderr) == ("splines\n", "")
