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

from unetseg.errors import InputError
from unetseg.options import LabelOptions
from unetseg.stacks.labels import Labels, find_counted, open_labels
from unetseg.stacks.understanding import Understanding, understand
from unetseg.stacks.volume import ArrayVolume

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
