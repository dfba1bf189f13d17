"""What all stacks have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unetseg.errors import InputError
from unetseg.stacks.tiff import Stack
from unetseg.stacks.tiffwriter import create_stack
from unetseg.stacks.volume import ArrayVolume, label_values


def write(path: Path, stack: np.ndarray, **settings: object) -> Path:
    with create_stack(path, shape=stack.shape, dtype=stack.dtype, **settings) as out:
        for image in stack:
            out.append(image)
    return path


def test_label_values(tmp_path: Path):
    labels = np.zeros((2, 4, 4), np.uint8)
    labels[1, 0] = 1
    with Stack(write(tmp_path / "a.tif", labels)) as stack:
        assert label_values(stack) == (0, 1)
    labels[1, 1] = 7
    with (
        Stack(write(tmp_path / "b.tif", labels)) as stack,
        pytest.raises(InputError, match="3 or more by slice 1"),
    ):
        label_values(stack)
    with (
        Stack(write(tmp_path / "c.tif", labels[:1])) as stack,
        pytest.raises(InputError, match="0 everywhere"),
    ):
        label_values(stack)


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
