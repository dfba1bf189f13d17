"""What all stacks have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from unetseg.errors import InputError
from unetseg.stacks.opening import open_volume
from unetseg.stacks.volume import ArrayVolume, name_slices


@pytest.mark.parametrize(
    ("slices", "name"),
    [
        ([7], "slice 7"),
        (range(24, 30), "slices 24-29"),
        ([0, 2, 3], "slices 0, 2-3"),
    ],
)
def test_slices_are_named(slices: list[int], name: str):
    assert name_slices(slices) == name


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 6, 3, 2), np.uint8),
        np.zeros((0, 6), np.uint8),
        np.zeros((5, 6), bool),
        np.zeros((5, 6), complex),
    ],
)
def test_arrays_that_are_no_stacks_are_refused(array: np.ndarray):
    with pytest.raises(InputError, match="mine: expected grey levels with axes YX or ZYX"):
        ArrayVolume("mine", array)


def test_arrays_are_read_as_stacks_are():
    stack = np.arange(24, dtype=">f8").reshape(2, 3, 4)
    with ArrayVolume("mine", stack) as volume:
        assert (volume.shape, volume.dtype) == ((2, 3, 4), np.float32)
        np.testing.assert_array_equal(volume.part(1, (slice(1, 3), slice(2, 3))), [[18], [22]])
    surrounded = np.where(np.eye(3)[1] * np.eye(3)[:, [1]], np.nan, np.indices((3, 3)).sum(0))
    with ArrayVolume("mine", surrounded) as volume, pytest.raises(InputError):
        volume[0]


def test_what_reading_takes_beside_is_known(tmp_path: Path, stack: np.ndarray):
    size = stack[0].nbytes
    plain = {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "plain.tif", stack, **plain)
    tifffile.imwrite(tmp_path / "strip.tif", stack, compression="zlib", rowsperstrip=70, **plain)
    tifffile.imwrite(tmp_path / "tiles.tif", stack, compression="zlib", tile=(16, 16), **plain)
    for name in ("png", "tif"):
        (tmp_path / name).mkdir()
    Image.fromarray(stack[0]).save(tmp_path / "png/0.png")
    tifffile.imwrite(tmp_path / "tif/0.tif", stack[0], compression="zlib", rowsperstrip=70, **plain)
    expected = {"plain.tif": 0, "strip.tif": 3 * size, "tiles.tif": 3 * 16 * 16 * 2}
    for name, overhead in {**expected, "png": 3 * size, "tif": 3 * size}.items():
        with open_volume(tmp_path / name) as volume:
            assert volume.overhead == overhead, name
