"""Folders of slices."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from unetseg.errors import InputError
from unetseg.stacks.opening import find_stack, open_volume

BOXES = [
    (slice(0, 70), slice(0, 90)),
    (slice(3, 40), slice(0, 90)),
    (slice(0, 1), slice(89, 90)),
    (slice(17, 65), slice(31, 66)),
]


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
        ("b.png", np.zeros((4, 6), np.uint16), "1 slice of 4 x 6, uint16"),
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


def folder_of(path: Path, *names: str) -> Path:
    """Slices of which each holds its number."""
    for index, name in enumerate(names):
        write = write_png if name.endswith("png") else write_tiff
        write(path / name, np.full((20, 30), index, np.uint8))
    return path


@pytest.mark.parametrize(
    "names",
    [
        ("Image.png", "Image1.png", "Image2.png", "Image10.png"),
        ("a 1.tif", "A 2.tif", "a 3.png"),
        ("s01.tif", "s1.tif"),
    ],
)
def test_natural_order(tmp_path: Path, names: tuple[str, ...]):
    folder_of(tmp_path, *names)
    with open_volume(tmp_path) as volume:
        np.testing.assert_array_equal(np.stack(list(volume))[:, 0, 0], range(len(names)))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("s1.tif", "s1.png"), r"s1\.tif and s1\.png|s1\.png and s1\.tif"),
        (("s1.tif", "s1.ome.tif"), r"every slice once"),
        (("s1.tif", "s1_mask.tif"), r"both: s1_mask\.tif among 2 files"),
        (("s1.png", "s1_cp_masks.png", "s2.png"), r"both: s1_cp_masks\.png among 3"),
        (("s1.png", "mask_s1.png"), r"both: mask_s1\.png among 2"),
        (("s1.png", "s1-seg.tif"), r"both: s1-seg\.tif among 2"),
    ],
)
def test_a_slice_that_is_there_twice_or_with_its_mask(
    tmp_path: Path, names: tuple[str, ...], found: str
):
    folder_of(tmp_path, *names)
    with pytest.raises(InputError, match=found):
        open_volume(tmp_path)


def test_a_folder_of_masks_is_one_of_labels(tmp_path: Path):
    with open_volume(folder_of(tmp_path, "s1_mask.png", "s2_mask.png")) as volume:
        assert len(volume) == 2


def test_images_of_other_kinds_are_named(tmp_path: Path):
    folder_of(tmp_path, "s1.png", "s3.png")
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "s2.jpg")
    with open_volume(tmp_path) as volume:
        assert len(volume) == 2
        assert volume.remarks == (f"{tmp_path}: not read, because they are no TIFF or PNG: s2.jpg",)
    (tmp_path / "s1.png").unlink()
    (tmp_path / "s3.png").unlink()
    with pytest.raises(InputError, match=r"found images of other kinds \(s2\.jpg\); convert them"):
        find_stack(tmp_path, "train-volume.tif")


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


def test_an_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"expected test-volume.tif or slices .* found neither"):
        find_stack(tmp_path, "test-volume.tif")
