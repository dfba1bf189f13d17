"""Fiji: every stack that the pipeline writes, and the macro that opens them together."""

from __future__ import annotations

from pathlib import Path

import imagej
import numpy as np
import pytest
import tifffile
from conftest import Cli
from scipy import ndimage

from unetseg.stacks.opening import open_volume
from unetseg.stacks.tiffwriter import create_stack
from unetseg.stacks.voxel import Voxel

pytestmark = pytest.mark.slow

MACRO = Path(__file__).parents[1] / "docs/fiji/view.ijm"


@pytest.fixture
def results(model: Path, data: Path, cli: Cli) -> Path:
    """A folder with data/, work/prediction and work/cells."""
    cli("predict", "--model", model, "--no-tta")
    cli("segment", "--seed-threshold", 0.4, "--jobs", 1, "--binary")
    return data.parent


@imagej.needs_imagej
def test_imagej_reads_every_stack_of_the_pipeline(
    results: Path, model: Path, cli: Cli, tmp_path: Path
):
    small = ("--slices", 2, "--test-slices", 1, "--height", 64, "--width", 96)
    cli("synthesize", "--output", "synthetic", *small)
    cli("predict", "--model", model, "--no-tta", "--name", "p.ome.tif", "--output", "ome")
    augmented = model.parent / "augmented"
    folders = [Path("synthetic"), augmented, model, Path("work/prediction"), Path("ome")]
    paths = [path for folder in (*folders, Path("work/cells")) for path in folder.glob("*.tif")]
    assert sorted(path.name for path in paths) == [
        "binary.tif",
        "held-out-labels.tif",
        "held-out-prediction.tif",
        "labels.tif",
        "labels.tif",
        "p.ome.tif",
        "prediction.tif",
        "test-cells.tif",
        "test-labels.tif",
        "test-volume.tif",
        "train-cells.tif",
        "train-labels.tif",
        "train-volume.tif",
        "volume.tif",
    ]
    for path, seen in zip(paths, imagej.read(paths, tmp_path), strict=True):
        stack = tifffile.imread(path)
        stack = stack.reshape(-1, *stack.shape[-2:])
        assert seen.channels == 1, path
        assert seen.bits == stack.dtype.itemsize * 8, path
        np.testing.assert_array_equal(seen.pixels, stack, str(path))
        if path.name == "binary.tif":
            assert seen.bits == 8
            assert seen.display_range == (0, 255)
            cells = tifffile.imread(path.with_name("labels.tif")).reshape(stack.shape)
            np.testing.assert_array_equal(stack, np.where(cells > 0, 255, 0))


@pytest.mark.parametrize("name", ["prediction.tif", "p.ome.tif", "p.ome.zarr"])
def test_what_is_predicted_has_voxels_of_the_size_of_the_input(
    results: Path, model: Path, cli: Cli, name: str
):
    volume = tifffile.imread("data/test-volume.tif")
    metadata = {"axes": "ZYX", "unit": "um", "spacing": 0.03}
    tifffile.imwrite(
        "data/test-volume.tif", volume, imagej=True, resolution=(1 / 0.0037, 200), metadata=metadata
    )
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    cli("predict", "--model", model, "--no-tta", "--name", name, "--output", "sized")
    cli("segment", "--prediction", "sized", "--seed-threshold", 0.4, "--jobs", 1)
    for path in (Path("sized", name), Path("work/cells/labels.tif")):
        with open_volume(path) as stack:
            assert stack.voxel == Voxel(30, 5, 3.7), path


@imagej.needs_imagej
@pytest.mark.parametrize("declared", [True, False])
def test_the_macro_opens_everything_as_one_calibrated_hyperstack(
    results: Path, tmp_path: Path, declared: bool
):
    volume = tifffile.imread("data/test-volume.tif")
    if declared:
        metadata = {"axes": "ZYX", "unit": "um", "spacing": 0.03}
        tifffile.imwrite(
            "data/test-volume.tif", volume, imagej=True, resolution=(125, 200), metadata=metadata
        )
    cells = np.zeros(volume.shape, np.uint16)
    cells[:, 5:30, 5:40], cells[:, 32:60, 5:40], cells[1:, 20:50, 42:90] = 1, 300, 3
    with create_stack(tmp_path / "cells.tif", shape=cells.shape, dtype=cells.dtype) as out:
        for image in cells:
            out.append(image)
    parts = {
        "volume": "data/test-volume.tif",
        "prediction": "work/prediction/prediction.tif",
        "cells": tmp_path / "cells.tif",
        "save": tmp_path / "all together.tif",
    }
    if not declared:
        parts["voxel"] = "30 8 7"
    argument = "|".join(f"{name}={value}" for name, value in parts.items())
    imagej.run_macro(MACRO, argument, home=tmp_path)
    (seen,) = imagej.read([parts["save"]], tmp_path)
    image, probability, lines, numbers = seen.pixels.reshape(2, 4, *volume.shape[1:]).swapaxes(0, 1)
    assert seen.channels == 4
    assert seen.unit in (("um", "µm") if declared else ("nm",))
    np.testing.assert_allclose(seen.voxel, (0.03, 0.005, 0.008) if declared else (30, 8, 7), 1e-5)
    np.testing.assert_array_equal(image, volume)
    np.testing.assert_array_equal(probability, tifffile.imread(parts["prediction"]))
    np.testing.assert_array_equal(numbers, cells)
    near = np.stack([ndimage.maximum_filter(cell, 3) for cell in cells])
    np.testing.assert_array_equal(lines, (cells == 0) & (near > 0))


@imagej.needs_imagej
def test_the_macro_without_cells_or_voxel_size(results: Path, tmp_path: Path):
    for name in ("volume", "prediction"):
        path = "data/test-volume.tif" if name == "volume" else "work/prediction/prediction.tif"
        tifffile.imwrite(tmp_path / f"one-{name}.tif", tifffile.imread(path)[0])
    argument = "volume=one-volume.tif|prediction=one-prediction.tif|save=one.tif"
    imagej.run_macro(MACRO, argument, home=tmp_path)
    (seen,) = imagej.read([tmp_path / "one.tif"], tmp_path)
    assert seen.channels == 2
    assert (seen.voxel, seen.unit) == ((50, 4, 4), "nm")
    for name, pixels in zip(("volume", "prediction"), seen.pixels, strict=True):
        np.testing.assert_array_equal(pixels, tifffile.imread(f"one-{name}.tif"))
