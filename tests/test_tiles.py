"""Tiles give what the whole slice gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from unetseg.arrays.geometry import symmetries, undo_symmetry
from unetseg.arrays.tiles import mirror_border, plan_tiles, predict_slice


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    edge=st.integers(1, 12),
    halo=st.integers(0, 3),
    multiple=st.sampled_from([1, 4, 16]),
)
def test_tiles_keep_every_pixel_once(height: int, width: int, edge: int, halo: int, multiple: int):
    height, width, edge, halo = (n * multiple for n in (height, width, edge, halo))
    kept = np.zeros((height, width), int)
    for tile in plan_tiles(height, width, edge=edge, halo=halo, multiple=multiple):
        kept[tile.kept] += 1
        for seen, side, size in zip(tile.seen, tile.kept, kept.shape, strict=True):
            assert seen.start % multiple == 0
            assert seen.start <= max(0, side.start - halo)
            assert seen.stop >= min(size, side.stop + halo)
    assert (kept == 1).all()


def blur_blocks(image: np.ndarray) -> np.ndarray:
    """Stand-in for a network: pools by 4, looks 2 blocks around, and knows where its image ends."""
    blocks = image.reshape(image.shape[0] // 4, 4, -1, 4).mean((1, 3))
    blurred = ndimage.uniform_filter(blocks, 5, mode="constant")
    return np.kron(blurred, np.ones((4, 4))).astype(np.float32) + image


@pytest.mark.parametrize("tta", [False, True])
def test_any_tile_size_gives_the_same(tta: bool):
    image = np.random.default_rng(0).random((333, 217), np.float32)
    settings = {"border": 8, "multiple": 4, "halo": 11, "tta": tta}
    whole = predict_slice(image, blur_blocks, edge=10_000, **settings)
    for edge in (1, 64, 200):
        tiled = predict_slice(image, blur_blocks, edge=edge, **settings)
        np.testing.assert_allclose(tiled, whole, atol=1e-6)
    settings["halo"] = 4
    assert np.abs(predict_slice(image, blur_blocks, edge=64, **settings) - whole).max() > 1e-3


def test_averaging_undoes_every_symmetry():
    image = np.random.default_rng(0).random((40, 24), np.float32)
    settings = {"border": 4, "multiple": 8, "halo": 0, "edge": 1000}
    same = predict_slice(image, lambda tile: tile, tta=True, **settings)
    np.testing.assert_allclose(same, image, rtol=1e-6)


def test_symmetries_are_eight_and_undone():
    image = np.arange(6).reshape(2, 3)
    views = list(symmetries(image))
    assert len({view.tobytes() + bytes(view.shape) for view, _ in views}) == 8
    for view, symmetry in views:
        np.testing.assert_array_equal(undo_symmetry(view, symmetry), image)


def test_border_is_the_mirror_image():
    canvas, inside = mirror_border(np.array([[1, 2, 3]]), border=2, multiple=4)
    assert canvas[2].tolist() == [2, 1, 1, 2, 3, 3, 2, 1]
    assert canvas[inside].tolist() == [[1, 2, 3]]
    assert all(side % 4 == 0 for side in canvas.shape)


def test_a_slice_smaller_than_its_border():
    canvas, inside = mirror_border(np.array([[5]]), border=32, multiple=16)
    assert (canvas == 5).all()
    assert canvas[inside].shape == (1, 1)
