""".npy files that users bring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unetseg.errors import InputError
from unetseg.stacks.opening import open_numbers, open_volume

BOX = (slice(17, 65), slice(31, 66))


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_stack_and_parts_of_it(tmp_path: Path, stack: np.ndarray, dtype: str, order: str):
    pixels = np.asarray(stack % 251, dtype, order=order)
    np.save(tmp_path / "a.npy", pixels)
    with open_volume(tmp_path / "a.npy") as volume:
        assert volume.shape == stack.shape
        assert volume.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(list(volume), pixels)
        part = volume.part(7, BOX)
        assert part.dtype == volume.dtype
        np.testing.assert_array_equal(part, pixels[(7, *BOX)])


@pytest.mark.parametrize(
    ("shape", "read"),
    [
        ((70, 90), (1, 70, 90)),
        ((70, 90, 1), (1, 70, 90)),
        ((12, 70, 90, 1), (12, 70, 90)),
        ((12, 1, 70, 90), (12, 70, 90)),
        ((1, 12, 70, 90, 1), (12, 70, 90)),
        ((1, 1, 70, 90), (1, 70, 90)),
        ((12, 1, 90), (12, 1, 90)),
        ((12, 70, 1, 1), (12, 70, 1)),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_axes_of_length_1(
    tmp_path: Path, shape: tuple[int, ...], read: tuple[int, int, int], order: str
):
    pixels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.save(tmp_path / "a.npy", np.asarray(pixels, order=order))
    with open_volume(tmp_path / "a.npy") as volume:
        assert volume.shape == read
        np.testing.assert_array_equal(list(volume), pixels.reshape(read))


@pytest.mark.parametrize("dtype", ["int8", "int16", "float16"])
def test_pixels_that_float32_holds_too(tmp_path: Path, dtype: str):
    pixels = np.arange(-60, 60).reshape(2, 6, 10).astype(dtype)
    np.save(tmp_path / "a.npy", pixels)
    with open_volume(tmp_path / "a.npy") as volume:
        assert volume.dtype == np.float32
        np.testing.assert_array_equal(list(volume), pixels)


def test_a_mask_and_numbered_cells(tmp_path: Path):
    np.save(tmp_path / "mask.npy", np.eye(5, dtype=bool))
    with open_volume(tmp_path / "mask.npy") as volume:
        np.testing.assert_array_equal(volume[0], np.eye(5, dtype=np.uint8))
    np.save(tmp_path / "cells.npy", np.full((2, 5, 5), 100_000, np.uint32))
    with open_numbers(tmp_path / "cells.npy") as volume:
        assert volume[1].max() == 100_000
    with pytest.raises(InputError, match=r"expected pixels of uint8, uint16 or float32, found ui"):
        open_volume(tmp_path / "cells.npy")


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.zeros((2, 3, 9, 9), np.uint8), r"an array of shape \(2, 3, 9, 9\)"),
        (np.zeros(9, np.uint8), r"shape \(9,\)"),
        (np.zeros((), np.uint8), r"shape \(\)"),
        (np.zeros((0, 9, 9), np.uint8), r"(shape \(0, 9, 9\)|empty)"),
        (np.zeros((2, 9, 9), np.float64), "float64"),
        (np.zeros((2, 9, 9), np.complex64), "complex64"),
        (np.zeros((9, 9), [("a", "u1"), ("b", "u1")]), "'a'"),
    ],
)
def test_unsuitable_arrays_are_refused(tmp_path: Path, pixels: np.ndarray, found: str):
    np.save(tmp_path / "a.npy", pixels)
    with pytest.raises(InputError, match=found):
        open_volume(tmp_path / "a.npy")


def test_a_file_that_is_cut_off(tmp_path: Path, stack: np.ndarray):
    np.save(tmp_path / "a.npy", stack)
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"expected a \.npy array"):
        open_volume(tmp_path / "a.npy")


def test_only_a_part_is_read(tmp_path: Path):
    """A sparse file of a terabyte: whoever read it whole would not come back."""
    path = tmp_path / "large.npy"
    shape = (1000, 32_000, 32_000)
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        file.truncate(start + 1000 * 32_000 * 32_000)
        file.seek(start + (999 * 32_000 + 31_999) * 32_000 + 31_990)
        file.write(bytes(range(10)))
    with open_volume(path) as volume:
        assert volume.shape == shape
        part = volume.part(999, (slice(31_999, 32_000), slice(31_990, 32_000)))
    np.testing.assert_array_equal(part[0], np.arange(10))
