"""MRC files, as microscopes and IMOD write them."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from unetseg.errors import InputError, UnetsegError
from unetseg.stacks.opening import open_volume
from unetseg.stacks.voxel import Voxel

BOX = (slice(17, 65), slice(31, 66))


def write(path: Path, pixels: np.ndarray, *, voxel: object = None, volume: bool = True) -> Path:
    with mrcfile.new(path, data=pixels) as file:
        if voxel is not None:
            file.voxel_size = voxel
        if volume and pixels.ndim == 3:
            file.set_volume()
    return path


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("int8", "float32"),
        ("int16", "float32"),
        ("float16", "float32"),
        ("uint16", "uint16"),
        ("float32", "float32"),
    ],
)
@pytest.mark.parametrize("name", ["a.mrc", "a.rec", "a.st", "a.map", "a.any"])
def test_every_mode(tmp_path: Path, stack: np.ndarray, name: str, stored: str, read: str):
    pixels = (stack.astype(np.int32) % 200 - (100 if stored != "uint16" else 0)).astype(stored)
    with open_volume(write(tmp_path / name, pixels)) as volume:
        assert volume.shape == stack.shape
        assert volume.dtype == read
        np.testing.assert_array_equal(list(volume), pixels)
        np.testing.assert_array_equal(volume.part(7, BOX), pixels[(7, *BOX)])


def test_big_endian_and_an_extended_header(tmp_path: Path):
    pixels = np.arange(24, dtype=">f4").reshape(2, 3, 4)
    path = write(tmp_path / "a.mrc", pixels)
    with mrcfile.open(path, "r+") as file:
        file.set_extended_header(np.zeros(640, "V1"))
    with open_volume(path) as volume:
        np.testing.assert_array_equal(list(volume), pixels)
    with open_volume(write(tmp_path / "b.mrc", pixels[0])) as volume:
        np.testing.assert_array_equal(list(volume), pixels[:1])


def test_bytes_of_programs_that_do_not_sign_them(tmp_path: Path):
    pixels = np.arange(240, dtype=np.uint8).reshape(2, 10, 12)
    path = write(tmp_path / "a.mrc", pixels.view(np.int8))
    whole = bytearray(path.read_bytes())
    # As IMOD says it: its stamp, and no flag of signed bytes.
    imod = bytearray(whole)
    struct.pack_into("<2i", imod, 152, 1146047817, 0)
    # As others say it: a maximum that no signed byte has.
    others = bytearray(whole)
    struct.pack_into("<2f", others, 76, 0, 239)
    for content in (imod, others):
        path.write_bytes(content)
        with open_volume(path) as volume:
            assert volume.dtype == np.uint8
            np.testing.assert_array_equal(list(volume), pixels)
    struct.pack_into("<i", imod, 156, 1)
    path.write_bytes(imod)
    with open_volume(path) as volume:
        assert volume[1].min() == -128


@pytest.mark.parametrize(
    ("angstrom", "voxel"), [((40, 40, 500), Voxel(50, 4, 4)), (0, None), (1, None)]
)
def test_the_size_of_a_voxel(tmp_path: Path, angstrom: object, voxel: Voxel | None):
    path = write(tmp_path / "a.mrc", np.zeros((5, 10, 20), np.float32), voxel=angstrom)
    with open_volume(path) as volume:
        assert volume.voxel == voxel


def test_unsuitable_files_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="found complex64"):
        open_volume(write(tmp_path / "a.mrc", np.zeros((2, 3, 4), np.complex64)))
    path = write(tmp_path / "b.mrc", np.zeros((2, 3, 4), np.float32))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="expected a whole MRC file, found 1119 of 1120 bytes"):
        open_volume(path)
    path = write(tmp_path / "c.mrc", np.zeros((2, 3, 4), np.float32))
    content = bytearray(path.read_bytes())
    content[208:212] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(InputError, match="Map ID string not found"):
        open_volume(path)


def test_without_the_package_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write(tmp_path / "a.mrc", np.zeros((2, 3, 4), np.float32))
    monkeypatch.setitem(sys.modules, "mrcfile", None)
    with pytest.raises(UnetsegError, match=r"pip install 'unetseg\[mrc\]'"):
        open_volume(path)


@pytest.mark.parametrize(("size", "found"), [(2**31 - 1, "of 2147484671 bytes"), (-1, "no pixels")])
def test_a_second_header_that_is_not_there(
    tmp_path: Path, stack: np.ndarray, size: int, found: str
):
    # mrcfile would take room for it first.
    path = write(tmp_path / "a.mrc", stack)
    whole = bytearray(path.read_bytes())
    whole[92:96] = struct.pack("<i", size)
    path.write_bytes(whole)
    with pytest.raises(InputError, match=found):
        open_volume(path)
