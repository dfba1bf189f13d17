"""Slices in every form that users have them: read whole, in parts, in the right order."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from ome_zarr_models import open_ome_zarr
from PIL import Image

from unetseg.errors import InputError
from unetseg.stacks.omezarr import ZarrPieces
from unetseg.stacks.opening import find_stack, open_volume
from unetseg.stacks.pieces import Piece

BOXES = [
    (slice(0, 70), slice(0, 90)),
    (slice(3, 40), slice(0, 90)),
    (slice(0, 1), slice(89, 90)),
    (slice(17, 65), slice(31, 66)),
]


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(0).integers(60_000, size=(12, 70, 90)).astype(np.uint16)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"metadata": None},
        {"byteorder": ">"},
        {"compression": "zlib", "rowsperstrip": 9},
        {"compression": "zlib", "predictor": True, "metadata": None},
        {"tile": (16, 32)},
        {"tile": (32, 16), "compression": "zlib", "ome": True, "metadata": {"axes": "ZYX"}},
        {"rowsperstrip": 7},
        {"bigtiff": True, "tile": (48, 48)},
    ],
)
def test_parts_of_a_tiff_are_those_of_the_whole(tmp_path: Path, stack: np.ndarray, settings: dict):
    tifffile.imwrite(tmp_path / "a.tif", stack, **settings)
    with open_volume(tmp_path / "a.tif") as volume:
        for index in (0, 11):
            for box in BOXES:
                np.testing.assert_array_equal(volume.part(index, box), stack[index][box])


def test_only_what_a_part_needs_is_decoded(tmp_path: Path, stack: np.ndarray):
    tifffile.imwrite(tmp_path / "a.tif", stack, tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        place = file.pages[0].dataoffsets[-1]
    damaged = bytearray((tmp_path / "a.tif").read_bytes())
    damaged[place : place + 10] = bytes(10)
    (tmp_path / "a.tif").write_bytes(damaged)
    with open_volume(tmp_path / "a.tif") as volume:
        box = (slice(0, 64), slice(0, 80))
        np.testing.assert_array_equal(volume.part(0, box), stack[0][box])
        with pytest.raises(InputError, match="damage"):
            volume[0]


def write_png(path: Path, image: np.ndarray) -> None:
    Image.fromarray(image).save(path)


def write_tiff(path: Path, image: np.ndarray) -> None:
    tifffile.imwrite(path, image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(("ending", "write"), [("png", write_png), ("TIF", write_tiff)])
def test_a_folder_of_slices_is_in_natural_order(
    tmp_path: Path, stack: np.ndarray, dtype: str, ending: str, write: Any
):
    stack = stack.astype(dtype)
    for index, image in enumerate(stack):
        write(tmp_path / f"Slice {index + 1}.{ending}", image)
    (tmp_path / "notes.txt").write_text("not a slice")
    (tmp_path / f".hidden.{ending}").write_text("nor is this")
    with open_volume(find_stack(tmp_path, "test-volume.tif")) as volume:
        assert volume.shape == stack.shape
        assert volume.dtype == dtype
        np.testing.assert_array_equal(list(volume), stack)
        np.testing.assert_array_equal(volume.part(3, BOXES[3]), stack[3][BOXES[3]])


@pytest.mark.parametrize(
    ("name", "image", "found"),
    [
        ("b.png", np.zeros((4, 6), np.uint8), "1 slice of 4 x 6, uint8"),
        ("b.png", np.zeros((5, 6, 3), np.uint8), "a PNG of mode RGB"),
        ("b.tif", np.zeros((3, 5, 6), np.uint8), "3 slices of 5 x 6"),
        ("b.tif", np.zeros((5, 6), np.uint16), "uint16"),
    ],
)
def test_slices_that_do_not_fit_are_refused(
    tmp_path: Path, name: str, image: np.ndarray, found: str
):
    write_png(tmp_path / "a.png", np.zeros((5, 6), np.uint8))
    if name.endswith("png"):
        write_png(tmp_path / name, image)
    else:
        tifffile.imwrite(tmp_path / name, image, photometric="minisblack")
    with pytest.raises(InputError, match=found):
        open_volume(tmp_path)


def test_a_damaged_png_is_refused(tmp_path: Path):
    write_png(tmp_path / "a.png", np.arange(10_000, dtype=np.uint16).reshape(100, 100))
    whole = (tmp_path / "a.png").read_bytes()
    for length in (0, 10, 60, len(whole) // 2):
        (tmp_path / "a.png").write_bytes(whole[:length])
        with pytest.raises(InputError, match="damage"), open_volume(tmp_path) as volume:
            volume[0]


def test_a_large_png_is_no_bomb(tmp_path: Path):
    for path, shape in ((tmp_path / "a/1.png", (20_000, 9_500)), (tmp_path / "b/1.png", (1, 1))):
        path.parent.mkdir()
        Image.fromarray(np.zeros(shape, np.uint8)).save(path, compress_level=1)
    with open_volume(tmp_path / "a") as volume:
        assert volume.part(0, (slice(19_990, 20_000), slice(0, 5))).shape == (10, 5)
    header = bytearray((tmp_path / "b/1.png").read_bytes())
    header[16:24] = struct.pack(">II", 40_000, 30_000)
    header[29:33] = struct.pack(">I", zlib.crc32(header[12:29]))
    (tmp_path / "b/1.png").write_bytes(header)
    with pytest.raises(InputError, match=r"at most 1000 MB of pixels.*found 1 slice of 30000 x 4"):
        open_volume(tmp_path / "b")


def test_a_folder_of_stacks_is_not_one_of_slices(data: Path):
    assert find_stack(data, "train-volume.tif") == data / "train-volume.tif"
    (data / "test-volume.tif").unlink()
    assert find_stack(data, "test-volume.tif") == data / "test-volume.tif"
    with pytest.raises(InputError, match="no such file"):
        open_volume(find_stack(data, "test-volume.tif"))


def test_an_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"expected test-volume.tif or slices .* found neither"):
        find_stack(tmp_path, "test-volume.tif")


def test_written_ome_zarr_is_valid_and_reads_back(tmp_path: Path):
    rng = np.random.default_rng(0)
    stack = rng.random((2, 600, 700), np.float32)
    stack[1, :512, :512] = 0
    path = tmp_path / "a.ome.zarr"
    pieces = [
        Piece(z, top, min(600, top + 512), 0, 700) for z in range(2) for top in range(0, 600, 512)
    ]
    for piece in pieces:
        out = ZarrPieces(path, shape=stack.shape)
        assert not out.has(piece)
        out.write(piece, stack[piece.index][piece.box])
        assert out.has(piece)
    image = open_ome_zarr(zarr.open_group(path, mode="r"))
    assert image.attributes.ome.version == "0.5"
    with open_volume(path) as volume:
        assert volume.shape == stack.shape
        np.testing.assert_array_equal(list(volume), stack)
        np.testing.assert_array_equal(volume.part(1, BOXES[3]), stack[1][BOXES[3]])


def write_older_zarr(path: Path, stack: np.ndarray, axes: str) -> None:
    """An image as version 0.4 has it, as other programs still write."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("full", data=stack, chunks=(1,) * (stack.ndim - 2) + (32, 32))
    scale = {"type": "scale", "scale": [1.0] * stack.ndim}
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": axis} for axis in axes],
            "datasets": [{"path": "full", "coordinateTransformations": [scale]}],
        }
    ]


def test_a_chunk_that_a_power_cut_left_empty_is_not_there(tmp_path: Path):
    path, piece = tmp_path / "a.ome.zarr", Piece(0, 0, 8, 0, 8)
    ZarrPieces(path, shape=(1, 8, 8)).write(piece, np.zeros((8, 8), np.float32))
    assert ZarrPieces(path, shape=(1, 8, 8)).has(piece)
    (chunk,) = (file for file in (path / "0" / "c").rglob("*") if file.is_file())
    for left in (chunk.read_bytes()[:-3], b""):
        chunk.write_bytes(left)
        again = ZarrPieces(path, shape=(1, 8, 8))
        assert not again.has(piece)
    again.write(piece, np.ones((8, 8), np.float32))
    assert again.has(piece)


def test_older_ome_zarr_with_one_channel_is_read(tmp_path: Path, stack: np.ndarray):
    write_older_zarr(tmp_path / "a.zarr", stack[None, None], "tczyx")
    with open_volume(tmp_path / "a.zarr") as volume:
        assert volume.dtype == np.uint16
        np.testing.assert_array_equal(list(volume), stack)
    write_older_zarr(tmp_path / "b.zarr", stack[0], "yx")
    with open_volume(tmp_path / "b.zarr") as volume:
        np.testing.assert_array_equal(list(volume), stack[:1])


def test_unsuitable_zarrs_are_refused(tmp_path: Path, stack: np.ndarray):
    write_older_zarr(tmp_path / "a.zarr", stack[:, None], "czyx")
    with pytest.raises(InputError, match="found c 12, z 1, y 70, x 90"):
        open_volume(tmp_path / "a.zarr")
    write_older_zarr(tmp_path / "b.zarr", stack.astype(np.int64), "zyx")
    with pytest.raises(InputError, match="found int64"):
        open_volume(tmp_path / "b.zarr")
    with pytest.raises(InputError, match="no such folder"):
        open_volume(tmp_path / "none.zarr")
    write_older_zarr(tmp_path / "c.zarr", stack, "zyx")
    shutil.rmtree(tmp_path / "c.zarr" / "full")
    with pytest.raises(InputError, match="damage"):
        open_volume(tmp_path / "c.zarr")


def test_a_small_file_that_would_decode_to_gigabytes_is_refused(tmp_path: Path):
    row = np.zeros((1, 60_000), np.uint8)
    tifffile.imwrite(tmp_path / "bomb.tif", row, compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "bomb.tif", mode="r+") as file:
        for tag in ("ImageLength", "RowsPerStrip"):
            file.pages[0].tags[tag].overwrite(50_000)
    with pytest.raises(InputError, match="found some of 3000 MB"):
        open_volume(tmp_path / "bomb.tif")
