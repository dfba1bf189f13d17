"""Stacks on disk: what is read, what is refused, and what ImageJ sees."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import imagej
import numpy as np
import pytest
import tifffile

from unetseg.errors import InputError
from unetseg.stacks.opening import open_volume
from unetseg.stacks.tiff import Stack
from unetseg.stacks.tiffwriter import create_stack


def write(path: Path, stack: np.ndarray, **settings: object) -> Path:
    with create_stack(path, shape=stack.shape, dtype=stack.dtype, **settings) as out:
        for image in stack:
            out.append(image)
    return path


def example(dtype: str, shape: tuple[int, int, int] = (5, 20, 30)) -> np.ndarray:
    return (np.random.default_rng(0).random(shape) * 250).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_round_trip(tmp_path: Path, dtype: str):
    stack = example(dtype)
    with Stack(write(tmp_path / "a.tif", stack)) as read:
        assert (read.shape, read.dtype) == (stack.shape, stack.dtype)
        np.testing.assert_array_equal(list(read), stack)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"metadata": None},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True, "metadata": None},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"tile": (16, 16), "metadata": None},
        {"ome": True, "metadata": {"axes": "ZYX"}},
        {"rowsperstrip": 7},
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True, "byteorder": ">", "metadata": None},
        {"compression": "zstd", "tile": (16, 16), "metadata": None},
        {"compression": "packbits"},
        {"bitspersample": 12, "metadata": None},
    ],
)
def test_reads_what_other_programs_write(tmp_path: Path, settings: dict):
    stack = example("uint16")
    try:
        tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", **settings)
    except NotImplementedError:
        pytest.skip("this imagecodecs reads packed bits, and cannot write them")
    with Stack(tmp_path / "a.tif") as read:
        assert read.dtype == np.dtype("=u2")
        np.testing.assert_array_equal(list(read), stack)


def test_one_slice_is_a_stack_of_one(tmp_path: Path):
    for compression in (None, "zlib"):
        tifffile.imwrite(tmp_path / "a.tif", example("uint8")[0], compression=compression)
        with Stack(tmp_path / "a.tif") as read:
            assert read.shape == (1, 20, 30)
            np.testing.assert_array_equal(read[0], example("uint8")[0])


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("metadata", [None, {"axes": "ZYX"}])
def test_a_truncated_stack_is_refused(tmp_path: Path, compression: str, metadata: dict):
    tifffile.imwrite(
        tmp_path / "a.tif", example("uint8"), compression=compression, metadata=metadata
    )
    whole = (tmp_path / "a.tif").read_bytes()
    for percent in range(0, 100, 3):
        (tmp_path / "b.tif").write_bytes(whole[: len(whole) * percent // 100])
        with (
            pytest.raises(InputError, match=r"expected a whole TIFF|an empty file"),
            Stack(tmp_path / "b.tif") as stack,
        ):
            list(stack)


@pytest.mark.parametrize(
    ("stack", "settings", "found"),
    [
        (np.zeros((9, 20, 3), np.uint8), {"photometric": "rgb"}, "several channels"),
        (np.zeros((2, 3, 9, 20), np.uint8), {"imagej": True, "metadata": {"axes": "ZCYX"}}, "chan"),
        (np.zeros((2, 2, 9, 20), np.uint8), {"imagej": True, "metadata": {"axes": "TZYX"}}, "TZYX"),
        (np.zeros((3, 9, 20), np.uint8), {"photometric": "rgb"}, "several channels"),
        (np.zeros((9, 20), bool), {}, "bool"),
        (np.zeros((2, 9, 20), np.int8), {}, "int8"),
        (np.zeros((2, 9, 20), np.int16), {}, "int16"),
        (
            np.zeros((9, 20), np.uint8),
            {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
            "PALETTE",
        ),
        (np.zeros((2, 9, 20), np.uint8), {"photometric": "miniswhite"}, "MINISWHITE"),
        (np.zeros((2, 9, 20), np.float64), {}, "float64"),
    ],
)
def test_unsuitable_stacks_are_refused(
    tmp_path: Path, stack: np.ndarray, settings: dict, found: str
):
    tifffile.imwrite(tmp_path / "a.tif", stack, **settings)
    with pytest.raises(InputError, match=found):
        Stack(tmp_path / "a.tif")


def test_jpeg_is_read_as_tifffile_reads_it(tmp_path: Path):
    stack = example("uint8", (4, 64, 80))
    tifffile.imwrite(tmp_path / "a.tif", stack, compression="jpeg", photometric="minisblack")
    with Stack(tmp_path / "a.tif") as read:
        np.testing.assert_array_equal(list(read), tifffile.imread(tmp_path / "a.tif"))


def test_ome_with_several_images_is_refused(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as out:
        for slices in (2, 3):
            out.write(np.zeros((slices, 9, 20), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match=r"found images of \(2, 9, 20\), uint8 and \(3, 9, 20\)"):
        Stack(tmp_path / "a.ome.tif")


def test_slices_of_different_sizes_are_refused(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        for size in (9, 10):
            out.write(np.zeros((size, 20), np.uint8), metadata=None)
    with pytest.raises(InputError, match="one size"):
        Stack(tmp_path / "a.tif")


def test_nan_is_refused_with_its_slice(tmp_path: Path):
    stack = example("float32")
    stack[2, 3, 4] = np.nan
    with (
        Stack(write(tmp_path / "a.tif", stack)) as read,
        pytest.raises(InputError, match="NaN or infinity in slice 2"),
    ):
        list(read)


def test_no_file_empty_file_folder_and_text(tmp_path: Path):
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.tif").write_text("not a TIFF")
    for name, found in (
        ("none.tif", "no such file"),
        ("empty.tif", "an empty file"),
        (".", "a folder"),
        ("text.tif", "not a TIFF file"),
    ):
        with pytest.raises(InputError, match=found):
            Stack(tmp_path / name)


def test_a_large_stack_is_ome_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unetseg.stacks.tiffwriter.IMAGEJ_LIMIT", 1000)
    path = write(tmp_path / "a.tif", example("uint8"), display_range=(0, 255))
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert file.is_bigtiff
        assert file.series[0].axes == "ZYX"
    with Stack(path) as read:
        np.testing.assert_array_equal(list(read), example("uint8"))


@imagej.needs_imagej
@pytest.mark.parametrize(
    ("dtype", "name", "look"),
    [
        ("uint8", "a.tif", {}),
        ("uint16", "a.tif", {}),
        ("float32", "a.tif", {"display_range": (0.0, 1.0)}),
        ("float32", "a.ome.tif", {"display_range": (0.0, 1.0)}),
        ("uint16", "labels.tif", {"colours": 250}),
        ("uint32", "many-labels.tif", {"colours": 100_000}),
    ],
)
def test_imagej_sees_the_same_pixels(tmp_path: Path, dtype: str, name: str, look: dict):
    stack = example(dtype) / (1 if dtype != "float32" else 250)
    stack = stack.astype(dtype)
    path = write(tmp_path / name, stack, **look)
    (seen,) = imagej.read([path], tmp_path)
    assert seen.bits == stack.dtype.itemsize * 8
    if name == "a.tif" and look:
        assert seen.display_range == (0, 1)
    if name == "labels.tif":
        assert seen.display_range == (0, 250)
    np.testing.assert_array_equal(seen.pixels, stack.astype(np.float32))


BOXES = [
    (slice(0, 70), slice(0, 90)),
    (slice(3, 40), slice(0, 90)),
    (slice(0, 1), slice(89, 90)),
    (slice(17, 65), slice(31, 66)),
]


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


def test_a_small_file_that_would_decode_to_gigabytes_is_refused(tmp_path: Path):
    row = np.zeros((1, 60_000), np.uint8)
    tifffile.imwrite(tmp_path / "bomb.tif", row, compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "bomb.tif", mode="r+") as file:
        for tag in ("ImageLength", "RowsPerStrip"):
            file.pages[0].tags[tag].overwrite(50_000)
    with pytest.raises(InputError, match="found some of 3000 MB"):
        open_volume(tmp_path / "bomb.tif")


def write_in_a_loop(path: Path, stack: np.ndarray, *, compressions: list[str | None]) -> None:
    with tifffile.TiffWriter(path) as out:
        for image, compression in zip(stack, compressions, strict=True):
            out.write(image, compression=compression)


def write_without_metadata(
    path: Path, stack: np.ndarray, *, compressions: list[str | None]
) -> None:
    with tifffile.TiffWriter(path) as out:
        for image, compression in zip(stack, compressions, strict=True):
            out.write(image, compression=compression, metadata=None, photometric="minisblack")


@pytest.mark.parametrize("write_pages", [write_in_a_loop, write_without_metadata])
@pytest.mark.parametrize(
    "compressions", [[None] * 5, ["lzw"] * 5, ["lzw", None, None, "lzw", None]]
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_stack_written_page_by_page(
    tmp_path: Path,
    write_pages: Callable[..., None],
    compressions: list[str | None],
    dtype: str,
):
    stack = example(dtype)
    write_pages(tmp_path / "a.tif", stack, compressions=compressions)
    with Stack(tmp_path / "a.tif") as read:
        assert (read.shape, read.dtype) == (stack.shape, stack.dtype)
        np.testing.assert_array_equal(np.stack(list(read)), stack)
        box = slice(3, 17), slice(5, 21)
        np.testing.assert_array_equal(read.part(3, box), stack[(3, *box)])


def test_stacks_in_one_file_are_not_taken_for_one(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as out:
        for _ in range(2):
            out.write(example("uint8"), photometric="minisblack")
    with pytest.raises(InputError, match="expected slices of one size, stored in one way"):
        Stack(tmp_path / "a.tif")


def write_set(folder: Path, stack: np.ndarray) -> None:
    """A set of OME-TIFFs: one plane in each file, and each says where all of them are."""
    names = [f"z{i}.ome.tif" for i in range(len(stack))]
    planes = "".join(
        f'<TiffData FirstZ="{i}" FirstT="0" FirstC="0" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{uuid.UUID(int=i + 1)}</UUID></TiffData>'
        for i, name in enumerate(names)
    )
    slices, height, width = stack.shape
    folder.mkdir()
    for i, name in enumerate(names):
        description = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{uuid.UUID(int=i + 1)}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            f'DimensionOrder="XYZCT" Type="{stack.dtype}" SizeX="{width}" SizeY="{height}" '
            f'SizeZ="{slices}" SizeC="1" SizeT="1">'
            '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
            f"{planes}</Pixels></Image></OME>"
        )
        settings = {"metadata": None, "photometric": "minisblack"}
        tifffile.imwrite(folder / name, stack[i], description=description, **settings)


def test_a_set_of_files_is_read_as_a_folder(tmp_path: Path):
    stack = example("uint8")
    write_set(tmp_path / "set", stack)
    with pytest.raises(InputError, match="found one file of a set of OME-TIFFs; give the folder"):
        Stack(tmp_path / "set/z0.ome.tif")
    with open_volume(tmp_path / "set") as volume:
        np.testing.assert_array_equal(np.stack(list(volume)), stack)
