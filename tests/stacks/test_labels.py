"""Labels in every form that people bring come out as one, and others are refused with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from conftest import Stacks, read
from scipy import ndimage
from skimage.segmentation import watershed

from unetseg.errors import InputError, UsageError
from unetseg.options import LabelOptions
from unetseg.stacks.labels import Labels, find_counted, open_labels
from unetseg.stacks.understanding import Understanding, understand
from unetseg.stacks.volume import ArrayVolume
from unetseg.stacks.voxel import Voxel

CLASSES = r"give 0 on membrane, 255 inside cells, 127 where nobody has labelled"


def write(path: Path, stack: np.ndarray) -> Path:
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "ZYX"})
    return path


def said(**options: Any) -> Understanding:
    """What these options say."""
    return understand(LabelOptions(**options), None)


def as_read(path: Path, stack: np.ndarray, **options: Any) -> tuple[np.ndarray, str | None]:
    """Pixels as stages get them, and the note."""
    with open_labels(write(path, stack), said(**options)) as labels:
        assert labels.dtype == np.uint8
        return np.stack(list(labels)), labels.note


@pytest.mark.parametrize(
    ("values", "kind"),
    [((0, 255), "u1"), ((0, 1), "u1"), ((1, 2), "i4"), ((-1, 1), "i2"), ((0, 0.5), "f4")],
)
def test_of_two_values_the_higher_one_is_interior(
    tmp_path: Path, tiny: Stacks, values: tuple[float, float], kind: str
):
    stack = np.where(tiny[1] > 0, values[1], values[0]).astype(kind)
    found, note = as_read(tmp_path / "labels.tif", stack)
    np.testing.assert_array_equal(found, tiny[1])
    assert note is None


def test_127_and_nan_do_not_count(tmp_path: Path, tiny: Stacks):
    ours = tiny[1].copy()
    ours[:, :20] = 127
    found, note = as_read(tmp_path / "ours.tif", ours)
    np.testing.assert_array_equal(found, ours)
    assert note is None
    floats = np.where(ours == 127, np.nan, ours > 0).astype(np.float32)
    np.testing.assert_array_equal(as_read(tmp_path / "floats.tif", floats)[0], ours)


def number(labels: np.ndarray, kind: str) -> np.ndarray:
    """Cells by numbers that leave no gap, as CREMI, SNEMI, cellpose and Amira give them."""
    inside = labels > 0
    slices = [watershed(-ndimage.distance_transform_edt(s), ndimage.label(s)[0]) for s in inside]
    return np.stack(slices).astype(kind)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "int32", "float32"])
def test_membrane_is_drawn_between_numbers(tmp_path: Path, tiny: Stacks, kind: str):
    numbers = number(tiny[1], kind)
    assert numbers.all()
    found, note = as_read(tmp_path / "labels.tif", numbers, membrane="1 px")
    count = f"{numbers.max():g}"
    assert note == f"labels number {count} cells: membrane is 0 and where numbers meet, 1 px wide"
    for label, cells in zip(found, numbers, strict=True):
        differ = np.zeros(cells.shape, bool)
        for axis in (0, 1):
            for step in (1, -1):
                other = np.roll(cells, step, axis)
                # What comes in from the other edge is no neighbour.
                edge = np.moveaxis(other, axis, 0)[0 if step == 1 else -1]
                edge[:] = np.moveaxis(cells, axis, 0)[0 if step == 1 else -1]
                differ |= other != cells
        np.testing.assert_array_equal(label, np.where(differ, 0, 255))


def write_folder(path: Path, numbers: np.ndarray) -> None:
    path.mkdir()
    for index, cells in enumerate(numbers):
        tifffile.imwrite(path / f"{index}.tif", cells)


def write_zarr(path: Path, numbers: np.ndarray) -> None:
    shape, dtype = numbers.shape, numbers.dtype
    zarr.create_array(path, shape=shape, chunks=shape, dtype=dtype)[:] = numbers


def write_hdf5(path: Path, numbers: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["labels"] = numbers


@pytest.mark.parametrize("kind", ["uint32", "int32", "int64"])
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.tif", lambda path, numbers: tifffile.imwrite(path, numbers)),
        ("a", write_folder),
        ("a.zarr", write_zarr),
        ("a.h5", write_hdf5),
        ("a.npy", np.save),
    ],
)
def test_numbers_beyond_16_bits_in_every_form(
    tmp_path: Path, tiny: Stacks, kind: str, name: str, write: Callable[..., object]
):
    numbers = number(tiny[1], kind)
    write(tmp_path / name, numbers + 70_000)
    with open_labels(tmp_path / name) as found, Labels(ArrayVolume("labels", numbers)) as expected:
        np.testing.assert_array_equal(np.stack(list(found)), np.stack(list(expected)))


def test_parts_of_numbered_labels_are_parts_of_the_whole(tiny: Stacks):
    with Labels(ArrayVolume("labels", number(tiny[1], "uint16"))) as labels:
        whole = labels[2]
        for rows, columns in ((slice(0, 7), slice(30, 96)), (slice(11, 50), slice(0, 33))):
            np.testing.assert_array_equal(labels.part(2, (rows, columns)), whole[rows, columns])


def test_nan_among_numbers_does_not_count(tmp_path: Path, tiny: Stacks):
    numbers = number(tiny[1], "float32")
    numbers[0, :10] = np.nan
    found, note = as_read(tmp_path / "labels.tif", numbers)
    np.testing.assert_array_equal(found == 127, np.isnan(numbers))
    assert "cells" in (note or "")


def classes(labels: np.ndarray, *values: int) -> np.ndarray:
    """Membrane, interior, and a third value on the right."""
    stack = np.where(labels > 0, values[1], values[0]).astype(np.uint8)
    stack[:, :, 64:] = values[2]
    return stack


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((0, 1, 2), r"found 3 \(0, 1, 2\)"),
        ((1, 2, 3), r"found 3 \(1, 2, 3\)"),
        ((2, 1, 0), r"found 3 \(0, 1, 2\)"),
        ((0, 128, 255), r"found 3 \(0, 128, 255\)"),
        ((0, 1, 127), r"found 3 \(0, 1, 127\)"),
        ((0, 1, 255), r"found 3 \(0, 1, 255\)"),
    ],
)
def test_classes_are_no_numbers_of_cells(tiny: Stacks, values: tuple[int, int, int], found: str):
    with pytest.raises(InputError, match=f"{found}; {CLASSES}"):
        Labels(ArrayVolume("labels", classes(tiny[1], *values)))


def blur(labels: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(labels.astype(np.float32), (0, 1, 1))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda labels: blur(labels).astype(np.uint8), "or more .*threshold the labels"),
        (lambda labels: blur(labels) / 255, "or more .*threshold the labels"),
        (lambda labels: np.zeros_like(labels), "0 everywhere; check that these are the labels"),
        (lambda labels: np.full(labels.shape, np.nan, np.float32), "NaN everywhere"),
        (lambda labels: labels // 2, "0, 127 alone, where 127 means that a pixel does not count"),
        (lambda labels: labels // 255 * 128 + 127, "127, 255 alone"),
    ],
)
def test_what_is_no_label_is_refused(tiny: Stacks, how: object, message: str):
    # As a file gives them: NaN is not refused by the volume itself.
    with pytest.raises(InputError, match=f"expected labels, of two values .*{message}"):
        Labels(ArrayVolume("labels", how(tiny[1])))


def test_images_are_no_numbers_of_cells(tiny: Stacks):
    with pytest.raises(InputError, match="threshold the labels"):
        Labels(ArrayVolume("labels", tiny[0]))


def test_two_cells_are_numbers():
    stack = np.zeros((1, 20, 20), np.uint8)
    stack[0, 2:9, 2:9], stack[0, 9:15, 2:9] = 1, 2
    labels = Labels(ArrayVolume("labels", stack))
    assert labels.note == "labels number 2 cells: membrane is 0 and where numbers meet, 5 px wide"
    assert np.count_nonzero(labels[0]) == 7 * 4 + 7 * 3


def test_slices_in_which_nothing_counts_are_left_out():
    stack = np.full((4, 3, 3), 127, np.uint8)
    stack[1, 0], stack[1, 1] = 0, 255
    stack[3, 0] = 0
    labels = ArrayVolume("labels", stack)
    assert find_counted(labels, [0, 1, 2], remedy="") == [1]
    with pytest.raises(InputError, match="only membrane in slice 3; mine"):
        find_counted(labels, range(4), remedy="mine")
    with pytest.raises(InputError, match="nothing that counts"):
        find_counted(labels, [0, 2], remedy="")


def test_a_reader_is_closed_when_labels_are_refused(tmp_path: Path):
    path = write(tmp_path / "labels.tif", np.zeros((1, 4, 4), np.uint8))
    with pytest.raises(InputError):
        open_labels(path)
    path.unlink()
    assert read(write(path, np.ones((1, 4, 4), np.uint8))).all()


@pytest.mark.parametrize(
    ("kind", "membrane", "interior", "unlabelled"),
    [
        ("u1", 0, 255, 128),
        ("u1", 0, 1, 255),
        ("u1", 1, 2, 0),
        ("i2", 0, 1, -1),
        ("u2", 0, 1, 65535),
        ("u4", 3, 9, 4294967295),
        ("i4", 5, 6, -(2**31)),
        ("f4", 0, 1, -1),
        ("f4", 0.25, 0.5, 0.1),
        ("f4", 0, 1, 4294967295),
    ],
)
def test_a_value_of_classes_does_not_count(
    tmp_path: Path,
    tiny: Stacks,
    kind: str,
    membrane: float,
    interior: float,
    unlabelled: float,
):
    stack = np.where(tiny[1] > 0, interior, membrane).astype(kind)
    stack[1:3, 5:40, 20:] = unlabelled
    expected = tiny[1].copy()
    expected[1:3, 5:40, 20:] = 127
    for labels_as in ("auto", "classes"):
        found, note = as_read(
            tmp_path / "labels.tif", stack, unlabelled=unlabelled, labels_as=labels_as
        )
        np.testing.assert_array_equal(found, expected)
        assert note is None


def test_127_and_another_value_do_not_count(tmp_path: Path, tiny: Stacks):
    stack = tiny[1].copy()
    stack[:, :9], stack[:, 50:] = 127, 64
    found, _ = as_read(tmp_path / "labels.tif", stack, unlabelled=64)
    np.testing.assert_array_equal(found, np.where(stack == 64, 127, stack))


@pytest.mark.parametrize(
    ("kind", "unlabelled"),
    [("u2", 65535), ("u4", 4294967295), ("i4", -1), ("i8", -1), ("u8", 2**64 - 1), ("i4", 0)],
)
def test_a_value_among_numbers_does_not_count(
    tmp_path: Path, tiny: Stacks, kind: str, unlabelled: int
):
    numbers = number(tiny[1], kind)
    whole, _ = as_read(tmp_path / "whole.tif", numbers)
    numbers[:, 10:30, 40:70] = unlabelled
    found, note = as_read(tmp_path / "labels.tif", numbers, unlabelled=unlabelled)
    np.testing.assert_array_equal(found == 127, numbers == unlabelled)
    cells = numbers.astype("i8")[numbers != unlabelled]
    assert f"number {len(np.unique(cells))} cells" in (note or "")
    # No membrane is drawn along what nobody has labelled: its pixels are as they were, or
    # inside now where the cell that they met is gone.
    assert (found >= np.minimum(whole, 127)).all()
    far = ndimage.distance_transform_cdt(numbers != unlabelled, "chessboard") > 10
    np.testing.assert_array_equal(found[far], whole[far])


def test_a_net_that_does_not_count_is_no_class_beside_numbers():
    cells = np.arange(1, 10, dtype=np.uint16).reshape(3, 3).repeat(12, 0).repeat(12, 1)
    cells[:6, :6] = 10  # which meets cell 1
    cells[::12], cells[:, ::12] = 99, 99
    labels = Labels(ArrayVolume("labels", cells[None]), said(unlabelled=99, membrane="2 px"))
    assert "number 10 cells" in (labels.note or "")
    np.testing.assert_array_equal(labels[0] == 127, cells == 99)
    assert (labels[0] == 0).any()
    with pytest.raises(InputError, match="threshold the labels"):
        Labels(ArrayVolume("labels", cells[None]))


def test_whole_slices_do_not_count(tmp_path: Path, tiny: Stacks):
    stack = tiny[1].copy()
    stack[[0, 2, 3]] = 77  # which would be a third class
    found, _ = as_read(tmp_path / "labels.tif", stack, unlabelled_slices="0, 2-3")
    stack[[0, 2, 3]] = 127
    np.testing.assert_array_equal(found, stack)
    numbers = number(tiny[1], "u2")
    numbers[4] = 0
    found, _ = as_read(tmp_path / "numbers.tif", numbers, unlabelled_slices="4")
    assert (found[4] == 127).all()
    assert (found[:4] != 127).all()


def test_cells_by_hand(tmp_path: Path):
    """1 | 2 meet, 0 lies on the right, and there is no third value to tell numbers by."""
    stack = np.array([[[2, 2, 2, 1, 1, 1, 0, 0]] * 2], np.uint8)
    row = {
        "membrane": [255, 255, 0, 0, 255, 255, 0, 0],
        "unlabelled": [255, 255, 0, 0, 255, 255, 127, 127],
    }
    for background, expected in row.items():
        found, note = as_read(
            tmp_path / "a.tif", stack, labels_as="cells", membrane="2 px", background=background
        )
        assert found[0].tolist() == [expected] * 2
        zero = "0 and " if background == "membrane" else ""
        assert note == f"labels number 2 cells: membrane is {zero}where numbers meet, 2 px wide"
    # Two values are classes, unless numbers are meant.
    stack[stack == 0] = 2
    assert (
        as_read(tmp_path / "b.tif", stack)[0][0].tolist() == [[255] * 3 + [0] * 3 + [255] * 2] * 2
    )
    found, _ = as_read(tmp_path / "b.tif", stack, labels_as="cells", membrane="1 px")
    assert found[0].tolist() == [[255, 255, 0, 0, 255, 0, 0, 255]] * 2


@pytest.mark.parametrize(
    ("kind", "start"),
    [("i8", 2**53), ("i8", 2**63 - 3), ("u8", 2**53), ("u8", 2**63), ("u8", 2**64 - 3)],
)
@pytest.mark.parametrize("name", ["a.npy", "a.zarr", "a.h5", "a.tif"])
def test_numbers_of_64_bits_are_exact(tmp_path: Path, kind: str, start: int, name: str):
    numbers = np.zeros((1, 6, 16), kind)
    numbers[0, :, 1:6] = start
    numbers[0, :, 6:11] = start + 1
    numbers[0, :, 11:] = start + 2
    writers = {".npy": np.save, ".zarr": write_zarr, ".h5": write_hdf5, ".tif": write}
    writers[Path(name).suffix](tmp_path / name, numbers)
    row = [0, 255, 255, 255, 255, 0, 0, 255, 255, 255, 0, 0, 255, 255, 255, 255]
    options: dict[str, Any] = {"labels_as": "cells", "membrane": "1 px"}
    with open_labels(tmp_path / name, said(**options)) as labels:
        assert labels[0].tolist() == [row] * 6
    with open_labels(tmp_path / name, said(**options, unlabelled=start + 2)) as labels:
        assert labels[0].tolist() == [[*row[:10], 255, *[127] * 5]] * 6


def test_parts_are_parts_of_the_whole_at_any_width(tiny: Stacks):
    source = ArrayVolume("labels", number(tiny[1], "uint16"))
    unlabelled = int(source[2][20, 50])
    for membrane in ("1 px", "5 px", "9 px"):
        with Labels(source, said(membrane=membrane, unlabelled=unlabelled)) as labels:
            whole = labels[2]
            for rows, columns in ((slice(0, 7), slice(30, 96)), (slice(11, 50), slice(9, 33))):
                box = rows, columns
                np.testing.assert_array_equal(labels.part(2, box), whole[box])


def test_strips_are_the_whole(tiny: Stacks, monkeypatch: pytest.MonkeyPatch):
    labels = Labels(ArrayVolume("labels", number(tiny[1], "uint16")))
    whole = labels[2]
    for rows in (1, 7, 50):
        monkeypatch.setattr("unetseg.stacks.labels.AT_ONCE", rows * 96)
        np.testing.assert_array_equal(labels[2], whole)


def test_the_width_is_that_of_isbi_2012_where_pixels_have_a_size():
    width = {nm: said().width(Voxel(50, nm, nm)) for nm in (2, 4, 8, 100)}
    assert width == {2: 10, 4: 5, 8: 2.5, 100: 1}
    assert said().width(None) == 5
    assert said(membrane="7.5px").width(Voxel(50, 4, 4)) == 7.5
    assert said(membrane="30 nm").width(Voxel(50, 4, 4)) == 7.5
    # What the volume says goes before what the labels do.
    assert understand(LabelOptions(), Voxel(50, 4, 4)).width(Voxel(50, 8, 8)) == 5
    with pytest.raises(UsageError, match="expected a width in pixels such as '5 px'"):
        said(membrane="30 nm").width(None)
    with pytest.raises(UsageError, match="expected at most 100 px, found 3000 px"):
        said(membrane="3000 nm").width(Voxel(50, 1, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"membrane": "5"}, "such as '20 nm' or '5 px', found '5'"),
        ({"membrane": "0 px"}, "found '0 px'"),
        ({"membrane": "-1 px"}, "found '-1 px'"),
        ({"unlabelled_slices": "3;4"}, "such as '3,7-9', found '3;4'"),
        ({"unlabelled_slices": "9-7"}, "found '9-7'"),
        ({"unlabelled_slices": "0-99999999999"}, "found '0-99999999999'"),
        ({"unlabelled_slices": ""}, "found ''"),
        ({"labels_as": "classes", "membrane": "5 px"}, "--membrane: expected with numbers"),
        ({"labels_as": "classes", "background": "unlabelled"}, "--background unlabelled: expected"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(options: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=message):
        said(**options)


def corner(labels: np.ndarray, value: int, *, beside: int | None = None) -> np.ndarray:
    """Labels in which a corner has another value, or in which only that is beside one other."""
    stack = labels.astype(np.int64)
    if beside is not None:
        stack[:] = beside
    stack[:, :20, :20] = value
    return stack


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        # A value that is not there, or the only one.
        (lambda t: t, {"unlabelled": 254}, "the value 254, .* found 0, 255; name the value"),
        (lambda t: t, {"unlabelled": 254, "labels_as": "cells"}, "the value 254, .* found 0, 255"),
        (lambda t: t // 255 * 7, {"unlabelled": 7}, "found 0 wherever it is labelled"),
        (lambda t: corner(t, 9, beside=9), {"unlabelled": 9}, "found nothing that is labelled"),
        (lambda t: t, {"unlabelled_slices": "0-4"}, "found nothing that is labelled"),
        (lambda t: t, {"unlabelled_slices": "2,5"}, "a slice 5, .* found slices 0-4; count"),
        (lambda t: corner(t, 127), {"unlabelled": 0}, "found 127, 255 alone, where 127 means"),
        # Three values: which one?
        (lambda t: corner(t // 255, 2), {}, "say with --unlabelled which of 0, 1 and 2 that is"),
        (lambda t: corner(t // 255, 9), {"labels_as": "classes"}, "which of 0, 1 and 9 that is"),
        # No cells, or one alone.
        (lambda t: corner(t, -1), {"labels_as": "cells"}, "found -1; name what nobody has"),
        (lambda t: t / np.float32(510), {"labels_as": "cells"}, "found 0.5; give every cell"),
        (lambda t: t * 0, {"labels_as": "cells"}, "a second cell .* found 0 everywhere"),
        (lambda t: t * 0 + 3, {"labels_as": "cells"}, "found 3 everywhere"),
        (
            lambda t: t,
            {"labels_as": "cells", "background": "unlabelled"},
            "found 0, 255 everywhere",
        ),
        # What is for cells alone.
        (lambda t: t, {"membrane": "5 px"}, r"cells, for --membrane, found two classes \(0, 255\)"),
        (lambda t: t, {"background": "unlabelled"}, "for --background unlabelled, found two"),
        (lambda t: number(t, "u2"), {"labels_as": "classes"}, "--labels-as cells"),
    ],
)
def test_labels_that_are_not_what_is_said_are_refused(
    tmp_path: Path,
    tiny: Stacks,
    make: Callable[[np.ndarray], np.ndarray],
    options: dict[str, Any],
    message: str,
):
    np.save(tmp_path / "labels.npy", make(tiny[1]))
    with pytest.raises(InputError, match=message):
        open_labels(tmp_path / "labels.npy", said(**options))
