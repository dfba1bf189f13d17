"""Tiles give what the whole slice gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from unetseg.arrays.geometry import symmetries, undo_symmetry
from unetseg.arrays.tiles import Canvas, mirrored, plan_boxes, predict_box

Network = Callable[[np.ndarray], np.ndarray]


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    largest=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    multiple=st.sampled_from([1, 4, 16]),
)
def test_boxes_hold_every_pixel_once(
    height: int, width: int, largest: tuple[int, int], multiple: int
):
    held = np.zeros((height, width), int)
    for box in plan_boxes((height, width), largest=largest, multiple=multiple):
        held[box] += 1
        for side, most, size in zip(box, largest, held.shape, strict=True):
            assert 0 < side.stop - side.start <= max(most, multiple)
            assert side.stop % multiple == 0 or side.stop == size
    assert (held == 1).all()


@given(
    start=st.integers(0, 40),
    size=st.integers(1, 40),
    border=st.integers(0, 9),
    halo=st.integers(0, 30),
    multiple=st.sampled_from([1, 4, 16]),
)
def test_the_network_sees_a_box_and_its_halo(
    start: int, size: int, border: int, halo: int, multiple: int
):
    canvas = Canvas(start + size + 3, 7, border=border, multiple=multiple)
    rows, columns = canvas.around((slice(start, start + size), slice(0, 7)), halo=halo)
    assert rows.start % multiple == rows.stop % multiple == columns.stop % multiple == 0
    assert 0 <= rows.start <= max(0, start + border - halo)
    assert min(canvas.shape[0], start + size + border + halo) <= rows.stop <= canvas.shape[0]


def blur_blocks(image: np.ndarray) -> np.ndarray:
    """Stand-in for a network: pools by 4, looks 2 blocks around, and knows where its image ends."""
    blocks = image.reshape(image.shape[0] // 4, 4, -1, 4).mean((1, 3))
    blurred = ndimage.uniform_filter(blocks, 5, mode="constant")
    return np.kron(blurred, np.ones((4, 4))).astype(np.float32) + image


def predict(image: np.ndarray, network: Network, largest: int, **settings: Any) -> np.ndarray:
    canvas = Canvas(*image.shape, border=settings.pop("border"), multiple=4)
    result = np.empty_like(image)
    for box in plan_boxes(image.shape, largest=(largest, largest), multiple=1):
        result[box] = predict_box(image.__getitem__, box, network, canvas=canvas, **settings)
    return result


@pytest.mark.parametrize("tta", [False, True])
def test_any_tile_size_gives_the_same(tta: bool):
    image = np.random.default_rng(0).random((333, 217), np.float32)
    settings = {"border": 8, "halo": 11, "tta": tta}
    whole = predict(image, blur_blocks, 10_000, **settings)
    for largest in (23, 64, 200):
        tiled = predict(image, blur_blocks, largest, **settings)
        np.testing.assert_allclose(tiled, whole, atol=1e-6)
    settings["halo"] = 4
    assert np.abs(predict(image, blur_blocks, 64, **settings) - whole).max() > 1e-3


def test_averaging_undoes_every_symmetry():
    image = np.random.default_rng(0).random((40, 24), np.float32)
    same = predict(image, lambda tile: tile, 1000, border=4, halo=0, tta=True)
    np.testing.assert_allclose(same, image, rtol=1e-6)


def test_symmetries_are_eight_and_undone():
    image = np.arange(6).reshape(2, 3)
    views = list(symmetries(image))
    assert len({view.tobytes() + bytes(view.shape) for view, _ in views}) == 8
    for view, symmetry in views:
        np.testing.assert_array_equal(undo_symmetry(view, symmetry), image)


def test_border_is_the_mirror_image():
    image = np.array([[1, 2, 3]])
    canvas = Canvas(1, 3, border=2, multiple=4)
    assert canvas.shape == (8, 8)
    everything = (slice(0, 8), slice(0, 8))
    assert canvas.read(image.__getitem__, everything)[2].tolist() == [2, 1, 1, 2, 3, 3, 2, 1]
    part = (slice(4, 8), slice(4, 8))
    assert canvas.read(image.__getitem__, part)[0].tolist() == [3, 3, 2, 1]


def test_a_slice_smaller_than_its_border():
    canvas = Canvas(1, 1, border=32, multiple=16)
    assert canvas.shape == (80, 80)
    everything = (slice(0, 80), slice(0, 80))
    assert (canvas.read(np.array([[5]]).__getitem__, everything) == 5).all()


@given(size=st.integers(1, 9), border=st.integers(0, 30), length=st.integers(1, 60))
def test_mirroring_is_that_of_numpy(size: int, border: int, length: int):
    padded = np.pad(np.arange(size), (border, max(0, length - border - size)), mode="symmetric")
    mirror = mirrored(slice(0, length), border=border, size=size)
    np.testing.assert_array_equal(mirror, padded[:length])
