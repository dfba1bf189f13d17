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
from unetseg.stacks.opening import files_of, open_volume
from unetseg.stacks.tiff import Stack
from unetseg.stacks.tiffwriter import create_stack
from unetseg.stacks.volume import LABEL_DTYPES


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
        (np.zeros((9, 20, 3), np.uint8), {"photometric": "rgb"}, "colours"),
        (np.zeros((2, 3, 9, 20), np.uint8), {"imagej": True, "metadata": {"axes": "ZCYX"}}, "chan"),
        (np.zeros((2, 2, 9, 20), np.uint8), {"imagej": True, "metadata": {"axes": "TZYX"}}, "TZYX"),
        (np.zeros((3, 9, 20), np.uint8), {"photometric": "rgb"}, "colours"),
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
        ("text.tif", "a file of unknown kind"),
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


def write_set(
    folder: Path,
    stack: np.ndarray,
    *,
    names: list[str] | None = None,
    called: str | None = None,
    compression: str | None = None,
) -> None:
    """A set of OME-TIFFs: one plane in each file, and each says where all of them are.

    `called` is what they call the last one.
    """
    names = names or [f"z{i}.ome.tif" for i in range(len(stack))]
    said = [*names[:-1], called or names[-1]]
    planes = "".join(
        f'<TiffData FirstZ="{i}" FirstT="0" FirstC="0" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{uuid.UUID(int=i + 1)}</UUID></TiffData>'
        for i, name in enumerate(said)
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
        settings = {"metadata": None, "photometric": "minisblack", "compression": compression}
        tifffile.imwrite(folder / name, stack[i], description=description, **settings)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_set_of_files_is_read_whole(tmp_path: Path, compression: str | None):
    stack = example("uint16")
    write_set(tmp_path / "set", stack, compression=compression)
    for path in (tmp_path / "set", tmp_path / "set/z0.ome.tif", tmp_path / "set/z3.ome.tif"):
        with open_volume(path) as volume:
            assert volume.path == path
            np.testing.assert_array_equal(np.stack(list(volume)), stack)
            box = slice(3, 17), slice(5, 21)
            for index in (4, 0, 3):
                np.testing.assert_array_equal(volume.part(index, box), stack[(index, *box)])
        assert sorted(files_of(path)) == sorted((tmp_path / "set").iterdir())


def test_a_folder_is_in_the_order_that_its_set_says(tmp_path: Path):
    stack = example("uint8")
    names = [f"{name}.ome.tif" for name in "ecabd"]
    write_set(tmp_path / "set", stack, names=names)
    with open_volume(tmp_path / "set") as volume:
        np.testing.assert_array_equal(np.stack(list(volume)), stack)


def test_a_set_of_which_a_file_is_missing(tmp_path: Path):
    write_set(tmp_path / "set", example("uint8"))
    (tmp_path / "set/z3.ome.tif").unlink()
    with pytest.raises(InputError, match=r"expected all 5 files .* found 1 missing \(z3.ome.tif\)"):
        open_volume(tmp_path / "set/z0.ome.tif")
    # In a folder the others are slices like any others.
    with open_volume(tmp_path / "set") as volume:
        assert len(volume) == 4
        assert "a set of 5 files, of which 1 are not there (z3.ome.tif)" in volume.remarks[0]


def test_a_set_whose_files_lie_elsewhere_is_refused(tmp_path: Path):
    stack = example("uint8", (2, 20, 30))
    write_set(tmp_path / "set", stack, names=["a.ome.tif", "b.ome.tif"], called="../b.ome.tif")
    (tmp_path / "set/b.ome.tif").rename(tmp_path / "b.ome.tif")
    with pytest.raises(InputError, match=r"found 1 missing \(b.ome.tif\)"):
        open_volume(tmp_path / "set/a.ome.tif")


def test_a_set_of_slices_of_two_sizes_is_refused(tmp_path: Path):
    write_set(tmp_path / "set", example("uint8"))
    write_set(tmp_path / "other", example("uint8", (5, 21, 30)))
    (tmp_path / "other/z2.ome.tif").replace(tmp_path / "set/z2.ome.tif")
    with pytest.raises(InputError, match=r"of one size and type .* \(20, 30\), uint8 and \(21"):
        open_volume(tmp_path / "set/z0.ome.tif")


def test_a_member_that_only_names_its_set(tmp_path: Path):
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><BinaryOnly '
        'MetadataFile="all.companion.ome" UUID="urn:uuid:1"/></OME>'
    )
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, example("uint8")[0], description=xml, metadata=None)
    with pytest.raises(InputError, match=r"one file of a set that all\.companion\.ome describes"):
        open_volume(path)
    with open_volume(tmp_path) as volume:
        assert volume.shape == (1, 20, 30)


def test_a_file_that_another_name_was_given(tmp_path: Path):
    stack = example("uint8")
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, ome=True, metadata={"axes": "ZYX"})
    (tmp_path / "a.ome.tif").rename(tmp_path / "b.tif")
    with open_volume(tmp_path / "b.tif") as volume:
        np.testing.assert_array_equal(np.stack(list(volume)), stack)
    write_set(tmp_path / "set", stack[:1], names=["c.ome.tif"])
    (tmp_path / "set/c.ome.tif").rename(tmp_path / "d.tif")
    with open_volume(tmp_path / "d.tif") as volume:
        np.testing.assert_array_equal(volume[0], stack[0])


SINGLE = example("uint8")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("written", "settings", "read"),
    [
        (SINGLE[0][..., None], {}, SINGLE[:1]),
        (SINGLE[..., None], {}, SINGLE),
        (SINGLE[:, None], {}, SINGLE),
        (SINGLE[None], {}, SINGLE),
        (SINGLE[None, None], {}, SINGLE),
        (SINGLE[None], {"metadata": {"axes": "CZYX"}}, SINGLE),
        (SINGLE[:, None], {"imagej": True, "metadata": {"axes": "ZCYX"}}, SINGLE),
        (SINGLE[None, :, None], {"ome": True, "metadata": {"axes": "TZCYX"}}, SINGLE),
        (SINGLE[:, :1], {"imagej": True, "metadata": {"axes": "ZYX"}}, SINGLE[:, :1]),
        (SINGLE[:, :, :1], {"ome": True, "metadata": {"axes": "ZYX"}}, SINGLE[:, :, :1]),
        (SINGLE[:1], {"metadata": {"axes": "ZYX"}}, SINGLE[:1]),
    ],
)
def test_axes_of_length_1(
    tmp_path: Path, written: np.ndarray, settings: dict, read: np.ndarray, compression: str | None
):
    settings = {"photometric": "minisblack", **settings, "compression": compression}
    tifffile.imwrite(tmp_path / "a.tif", written, **settings)
    with Stack(tmp_path / "a.tif") as volume:
        assert volume.shape == read.shape
        np.testing.assert_array_equal(np.stack(list(volume)), read)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint32", "float32"])
@pytest.mark.parametrize("shape", [(5, 20, 1), (1, 20, 1), (5, 1, 1), (5, 1, 30), (1, 1, 1)])
def test_narrow_stacks_that_we_write(
    tmp_path: Path, shape: tuple[int, int, int], dtype: str, name: str
):
    stack = example(dtype, shape)
    path = write(tmp_path / name, stack)
    with Stack(path, dtypes=LABEL_DTYPES) as read:
        assert read.shape == shape
        np.testing.assert_array_equal(np.stack(list(read)), stack)


def test_rows_that_were_written_as_slices_are_refused(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", SINGLE[0][..., None], metadata=None)
    with pytest.raises(InputError, match=r"found 20 of 30 x 1, .*stack\[..., 0\]"):
        Stack(tmp_path / "a.tif")


def test_slices_that_were_called_channels(tmp_path: Path, stack: np.ndarray):
    tifffile.imwrite(tmp_path / "many.tif", stack, imagej=True)
    with Stack(tmp_path / "many.tif") as read:
        np.testing.assert_array_equal(np.stack(list(read)), stack)
        assert read.remarks == (
            f"{tmp_path / 'many.tif'}: 12 channels, more than ImageJ has, are read as slices",
        )
    tifffile.imwrite(tmp_path / "few.tif", stack[:5], imagej=True)
    with pytest.raises(
        InputError, match=r"found several channels \(CYX .* metadata=\{'axes': 'ZYX'\}"
    ):
        Stack(tmp_path / "few.tif")


def test_tiles_of_several_slices_are_refused(tmp_path: Path):
    stack = example("uint8", (32, 32, 32))
    settings = {"tile": (16, 16, 16), "compression": "zlib", "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", stack, **settings)
    with pytest.raises(InputError, match=r"tiles of one slice each, found pages of shape \(32, 32"):
        Stack(tmp_path / "a.tif")


@pytest.mark.parametrize(("text", "value"), [("-9999", -9999), ("0 ", 0), ("nan", None)])
def test_the_value_for_no_data(tmp_path: Path, text: str, value: float | None):
    tag = (42113, "s", len(text) + 1, text, True)
    tifffile.imwrite(tmp_path / "a.tif", example("float32"), extratags=[tag], metadata=None)
    with open_volume(tmp_path / "a.tif") as volume:
        assert volume.no_data == value
