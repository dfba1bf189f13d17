"""Compressed labels: what was written is what tifffile, ImageJ and unetseg read."""

from __future__ import annotations

from pathlib import Path

import imagej
import numpy as np
import pytest
import tifffile
from conftest import checkerboard, read

from unetseg.stacks.opening import open_volume
from unetseg.stacks.tiffwriter import LabelsWriter


def write(path: Path, labels: np.ndarray) -> None:
    with LabelsWriter(path, shape=labels.shape) as out:
        for label in labels:
            out.append(label)


@pytest.fixture
def labels() -> np.ndarray:
    """Slices higher than the strips that are compressed together."""
    stack = np.stack([checkerboard((150, 201), edge) for edge in (20, 30, 40)])
    stack[1, :10] = 127
    return stack


@pytest.mark.parametrize("shape", [(3, 150, 201), (1, 150, 201), (2, 5, 1), (2, 1, 7), (1, 1, 1)])
def test_labels_come_back(tmp_path: Path, labels: np.ndarray, shape: tuple[int, int, int]):
    labels = labels[: shape[0], : shape[1], : shape[2]]
    write(tmp_path / "a.tif", labels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif").reshape(shape), labels)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), labels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_imagej
        assert not file.is_bigtiff


def test_labels_are_a_small_part_of_their_pixels(tmp_path: Path, labels: np.ndarray):
    write(tmp_path / "a.tif", labels)
    write(tmp_path / "b.tif", labels)
    assert (tmp_path / "a.tif").stat().st_size < labels.size / 10
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    with open_volume(tmp_path / "a.tif") as volume:
        np.testing.assert_array_equal(
            volume.read(1, (slice(60, 130), slice(7, 90))), labels[1, 60:130, 7:90]
        )


def test_a_slice_too_few_or_of_another_shape_is_no_stack(tmp_path: Path, labels: np.ndarray):
    with (
        pytest.raises(ValueError, match="1 of 3 slices"),
        LabelsWriter(tmp_path / "a.tif", shape=labels.shape) as out,
    ):
        out.append(labels[0])
    with (
        pytest.raises(ValueError, match="after 3 slices"),
        LabelsWriter(tmp_path / "a.tif", shape=labels.shape) as out,
    ):
        for label in [*labels, labels[0]]:
            out.append(label)
    with (
        pytest.raises(ValueError, match="after 0 slices"),
        LabelsWriter(tmp_path / "a.tif", shape=labels.shape) as out,
    ):
        out.append(labels[0, 1:])


@pytest.mark.slow
@imagej.needs_imagej
def test_imagej_opens_them(tmp_path: Path, labels: np.ndarray):
    write(tmp_path / "a.tif", labels)
    (seen,) = imagej.read([tmp_path / "a.tif"], tmp_path)
    assert (seen.channels, seen.bits) == (1, 8)
    np.testing.assert_array_equal(seen.pixels, labels)
