"""`unetseg view`: which files belong together, how they look in napari, and the plugin."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli, is_installed_as_plugin, read
from screens import run_on_a_screen

from unetseg.options import ViewOptions
from unetseg.progress import Silent
from unetseg.stages.view import find_stacks


def sha256(pixels: np.ndarray) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


@pytest.fixture
def pipeline(model: Path, data: Path, cli: Cli) -> Path:
    """A folder with data/, work/prediction and work/cells, its test volume 4 x 4 x 50 nm."""
    volume = tifffile.imread(data / "test-volume.tif")
    metadata = {"axes": "ZYX", "unit": "nm", "spacing": 50.0}
    tifffile.imwrite(
        data / "test-volume.tif", volume, imagej=True, resolution=(1 / 4, 1 / 4), metadata=metadata
    )
    cli("predict", "--model", model)
    cli("segment", "--seed-threshold", 0.4, "--jobs", 1)
    return data.parent


def test_a_missing_napari_is_one_line(pipeline: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "napari", None)
    (line,) = cli("view", code=1).stderr.splitlines()
    assert line.endswith(
        "expected the package napari with Qt, found none; pip install 'unetseg[napari]'"
    )


def test_no_screen_is_one_line(pipeline: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("napari")
    if sys.platform != "linux":
        pytest.skip("elsewhere there is always a screen")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    (line,) = cli("view", code=1).stderr.splitlines()
    assert "napari: expected a screen, found none" in line


def test_what_does_not_fit_is_one_line(pipeline: Path, cli: Cli):
    for option, value, code, found in (
        ("--voxel", "4 4", 2, "found '4 4'"),
        ("--voxel", "50 4 0", 2, "found '50 4 0'"),
        ("--volume", "none.tif", 1, "none.tif: expected a TIFF stack, found no such file"),
        ("--labels", "data/train-labels.tif", 1, "found 5 slices of 64 x 96"),
        ("--cells", "work/prediction", 1, "found those of unetseg predict"),
        ("--prediction", "work/cells", 1, "found those of unetseg segment"),
        ("--prediction", "elsewhere", 1, "found no such file"),
        ("--only", "4-2", 2, "--only: expected numbers of cells, such as '12,47-49', found '4-2'"),
    ):
        assert found in cli("view", option, value, code=code).stderr.splitlines()[-1]
    alone = ("--volume", "data/train-volume.tif", "--only", 3)
    assert "--only: expected cells to choose from, found none" in cli("view", *alone, code=2).stderr


def test_nothing_to_show_is_one_line(tmp_path: Path, cli: Cli):
    said, line = cli("view", code=1).stderr.splitlines()
    assert said == "data/test-volume.tif: not found, left out; --volume names a stack"
    assert "run unetseg predict first" in line


def test_a_work_folder_elsewhere(model: Path, data: Path, cli: Cli):
    cli("predict", "--model", model, "--no-tta", "--output", "w2/prediction")
    options = ViewOptions(work=Path("w2"))
    found = {
        "image": data / "test-volume.tif",
        "probability": Path("w2/prediction/prediction.tif"),
        "true labels": data / "test-labels.tif",
    }
    assert resolved(find_stacks(options, Silent())[0]) == resolved(found)
    cli("segment", "--prediction", "w2/prediction", "--output", "w2/cells", "--jobs", 1)
    found["cells"] = Path("w2/cells/labels.tif")
    assert resolved(find_stacks(options, Silent())[0]) == resolved(found)
    # With more tables and a binary stack they are still cells of one stack.
    more = ("--jobs", 1, "--link", "--binary")
    cli("segment", "--prediction", "w2/prediction", "--output", "w2/cells", *more)
    assert resolved(find_stacks(options, Silent())[0]) == resolved(found)


def resolved(paths: dict[str, Path]) -> dict[str, Path]:
    return {kind: path.resolve() for kind, path in paths.items()}


def test_held_out_slices_of_another_stack_are_refused(model: Path, data: Path, cli: Cli):
    arguments = ("--prediction", model, "--volume", data / "test-volume.tif")
    # One slice was held out, of number 4; of two slices there is none.
    (line,) = cli("view", *arguments, code=1).stderr.splitlines()
    assert "expected slice 4, held out in training, found 2 slices" in line


@pytest.mark.slow
def test_windows_hold_what_belongs_together(pipeline: Path, model: Path):
    source = model.parent
    scenes = [
        ([], str(model) if is_installed_as_plugin() else None),
        (["--prediction", str(model), "--voxel", "30 8 8"], None),
        (["--volume", str(source / "train-volume.tif")], None),
        (["--three-d", "--only", "1,3-4"], None),
    ]
    argument = [{"arguments": arguments, "model": model} for arguments, model in scenes]
    shown = run_on_a_screen(Path(__file__).with_name("look.py"), json.dumps(argument))
    here, held_out, other, solid = json.loads(shown.splitlines()[-1])
    assert [window["ndisplay"] for window in (here, held_out, other, solid)] == [2, 2, 2, 3]
    truth, volume = (read(source / f"train-{kind}.tif") for kind in ("labels", "volume"))
    prediction = read(pipeline / "work/prediction/prediction.tif")
    cells = read(pipeline / "work/cells/labels.tif")
    for window, voxel, expected in (
        (
            here,
            [50, 4, 4],
            {
                "image": ("Image", volume[:2]),
                "probability": ("Image", prediction),
                "true labels": ("Labels", truth[:2]),
                "cells": ("Labels", cells),
            },
        ),
        (
            held_out,
            [30, 8, 8],
            {
                "image": ("Image", volume[4:]),
                "probability": ("Image", read(model / "held-out-prediction.tif")),
                "true labels": ("Labels", truth[4:]),
            },
        ),
        (other, [1, 1, 1], {"image": ("Image", volume), "true labels": ("Labels", truth)}),
    ):
        layers = window["layers"]
        plugin = layers.pop("image probability", None)
        assert list(layers) == list(expected)
        for name, (kind, pixels) in expected.items():
            assert layers[name]["kind"] == kind, name
            assert layers[name]["shape"] == list(pixels.shape), name
            assert layers[name]["scale"] == voxel, name
            assert layers[name]["sha256"] == sha256(pixels), name
        assert window["colours"] > 100
        if plugin is not None:
            assert plugin["scale"] == voxel
            assert plugin["units"] == ["nanometer"] * 3
            assert plugin["sha256"] == sha256(prediction)
    assert [name for name, layer in solid["layers"].items() if layer["visible"]] == ["cells"]
    chosen = solid["layers"]["cells"]
    assert chosen["scale"] == [50, 4, 4]
    assert chosen["rendering"] == "iso_categorical"
    some = np.where(np.isin(cells, [1, 3, 4]), cells, 0)
    assert some.any()
    assert chosen["sha256"] == sha256(some)
    # Three cells and their shades, and a scale bar, on one colour.
    assert solid["colours"] > 20
    assert 0.01 < solid["drawn"] < 0.9
