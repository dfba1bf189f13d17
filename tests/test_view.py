"""`unetseg view`: which files belong together, how they look in napari, and the plugin."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli

from unetseg.errors import InputError
from unetseg.options import ViewOptions
from unetseg.progress import Silent
from unetseg.stacks.opening import open_volume
from unetseg.stacks.volume import ArrayVolume
from unetseg.stacks.voxel import Voxel
from unetseg.stages.view import find_stacks
from unetseg.viewer.window import LOOKS, Shown, add_layers

SECONDS = 120


def read(path: Path) -> np.ndarray:
    with open_volume(path) as volume:
        return np.stack(list(volume))


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
    ):
        assert found in cli("view", option, value, code=code).stderr.splitlines()[-1]


def test_nothing_to_show_is_one_line(tmp_path: Path, cli: Cli):
    said, line = cli("view", code=1).stderr.splitlines()
    assert said == "data/test-volume.tif: not there, left out; --volume names a stack"
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


def resolved(paths: dict[str, Path]) -> dict[str, Path]:
    return {kind: path.resolve() for kind, path in paths.items()}


def test_held_out_slices_of_another_stack_are_refused(model: Path, data: Path, cli: Cli):
    arguments = ("--prediction", model, "--volume", data / "test-volume.tif")
    # One slice was held out, of number 4; of two slices there is none.
    (line,) = cli("view", *arguments, code=1).stderr.splitlines()
    assert "expected slice 4, held out in training, found 2 slices" in line


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
    with ArrayVolume("mine", np.array([[1, np.nan]])) as volume, pytest.raises(InputError):
        volume[0]


class Counting(ArrayVolume):
    """Remembers which slices were read."""

    def __init__(self, array: np.ndarray) -> None:
        super().__init__("counting", array)
        self.reads: list[int] = []

    def read(self, index: int, box: Any) -> np.ndarray:
        """Read, and remember."""
        self.reads.append(index)
        return super().read(index, box)


def test_layers_are_aligned_and_read_only_what_is_shown():
    components = pytest.importorskip("napari.components")
    rng = np.random.default_rng(0)
    image = Counting(rng.integers(256, size=(50, 20, 30)).astype(np.uint8))
    probability = Counting(rng.random((40, 20, 30), np.float32))
    truth = Counting((rng.random((50, 20, 30)) > 0.5).astype(np.float32) * 255)
    cells = Counting(rng.integers(99, size=(40, 20, 30)).astype(np.uint16))
    stacks = (
        Shown("image", image, range(10, 50)),
        Shown("probability", probability),
        Shown("true labels", truth, range(10, 50)),
        Shown("cells", cells),
    )
    viewer = components.ViewerModel()
    add_layers(viewer, stacks, voxel=Voxel(50, 4, 3))
    viewer.dims.set_current_step(0, 2)
    for shown in stacks:
        assert len(set(shown.volume.reads)) < 10, shown.kind
    assert [layer.name for layer in viewer.layers] == list(LOOKS)
    assert [layer.visible for layer in viewer.layers] == [True, True, False, True]
    for layer in viewer.layers:
        assert layer.data.shape == (40, 20, 30)
        assert tuple(layer.scale) == (50, 4, 3)
        assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
    assert viewer.layers["probability"].contrast_limits == [0, 1]
    assert viewer.layers["true labels"].data.dtype.kind == "u"
    shown_first = {shown.kind: shown.slices.start if shown.slices else 0 for shown in stacks}
    for shown, layer in zip(stacks, viewer.layers, strict=True):
        first = shown_first[shown.kind]
        np.testing.assert_array_equal(layer.data[2:4], [shown.volume[first + i] for i in (2, 3)])
    place = (2 * 50, 7 * 4, 11 * 3)
    assert viewer.layers["image"].get_value(place, world=True) == image[12][7, 11]


def test_without_a_voxel_size_the_scale_is_in_pixels():
    components = pytest.importorskip("napari.components")
    viewer = components.ViewerModel()
    stack = ArrayVolume("mine", np.zeros((2, 20, 30), np.uint8))
    add_layers(viewer, [Shown("image", stack)], voxel=None)
    assert tuple(viewer.layers[0].scale) == (1, 1, 1)
    assert not viewer.canvas.overlays.scale_bar.visible


def run_on_a_screen(program: Path, argument: object) -> Any:
    """Run a program with a screen of its own: napari draws with OpenGL, which wants one."""
    pytest.importorskip("napari")
    if shutil.which("xvfb-run") is None:
        pytest.skip("xvfb-run is not installed (Debian: xvfb)")
    command = ["xvfb-run", "-a", "-s", "-screen 0 1400x1000x24"]
    done = subprocess.run(
        [*command, sys.executable, program, json.dumps(argument)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        # Empty: napari leaves the user's settings alone.
        env={**os.environ, "NAPARI_CONFIG": "", "QT_QPA_PLATFORM": "xcb"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def is_installed_as_plugin() -> bool:
    entries = importlib.metadata.entry_points(group="napari.manifest")
    return any(entry.name == "unetseg" for entry in entries)


def test_windows_hold_what_belongs_together(pipeline: Path, model: Path):
    source = model.parent
    scenes = [
        ([], str(model) if is_installed_as_plugin() else None),
        (["--prediction", str(model), "--voxel", "30 8 8"], None),
        (["--volume", str(source / "train-volume.tif")], None),
    ]
    argument = [{"arguments": arguments, "model": model} for arguments, model in scenes]
    here, held_out, other = run_on_a_screen(Path(__file__).with_name("look.py"), argument)
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


@pytest.fixture
def form(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The plugin's form, with a viewer that has no window."""
    pytest.importorskip("napari")
    pytest.importorskip("qtpy.QtWidgets")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setenv("NAPARI_CONFIG", "")
    monkeypatch.chdir(tmp_path)
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QApplication

    from unetseg.viewer.widget import PredictMembranes

    app = QApplication.instance() or QApplication([])
    form = PredictMembranes(ViewerModel())
    # What goes wrong in a slot ends the process unless there is a hook; here it fails the test.
    wrong: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: wrong.append(error))
    yield form
    form.close()
    app.processEvents()
    assert wrong == []


def press(form: Any, layer: Any, model: Path, *, stop_after: int | None = None) -> list[str]:
    """Fill in the form, press the button, wait; what the user is told."""
    from napari.utils.notifications import notification_manager
    from qtpy.QtWidgets import QApplication

    form.image.choices = [layer]
    form.image.value = layer
    form.model.value = model
    told = len(notification_manager.records)
    form.start.native.click()
    assert not form.start.enabled
    deadline = time.monotonic() + SECONDS
    while not form.start.enabled:
        assert time.monotonic() < deadline
        QApplication.processEvents()
        if stop_after is not None and form.bar.value >= stop_after:
            form.stop.native.click()
    return [record.message for record in notification_manager.records[told:]]


def test_the_plugin_predicts_what_the_command_does(form: Any, model: Path, data: Path, cli: Cli):
    cli("predict", "--model", model, "--no-tta")
    expected = read(Path("work/prediction/prediction.tif"))
    from napari.layers import Image

    volume = tifffile.imread(data / "test-volume.tif")
    place = {"scale": (50, 4, 4), "translate": (100, 8, 0), "units": ("nm",) * 3}
    form.tta.value = False
    assert press(form, Image(volume, name="mine", **place), model) == []
    (layer,) = form._viewer.layers
    assert layer.name == "mine probability"
    assert layer.contrast_limits == [0, 1]
    assert tuple(layer.scale) == (50, 4, 4)
    assert tuple(layer.translate) == (100, 8, 0)
    np.testing.assert_array_equal(layer.data, expected)
    assert press(form, Image(volume[1]), model) == []
    np.testing.assert_array_equal(form._viewer.layers[1].data, expected[1])


def test_the_plugin_tells_what_is_wrong_in_a_line(form: Any, model: Path, tmp_path: Path):
    from napari.layers import Image

    (line,) = press(form, Image(np.zeros((2, 3, 20, 20)), name="mine"), model)
    assert line.startswith("mine: expected grey levels with axes YX or ZYX, found float64")
    (line,) = press(form, Image(np.zeros((20, 20)), name="mine"), tmp_path / "none")
    assert "expected the finished results of unetseg train, found no such folder" in line
    (line,) = press(form, Image(np.full((20, 20), np.nan), name="mine"), model)
    assert "found NaN or infinity in slice 0" in line
    from napari.utils.notifications import notification_manager

    form.image.choices = [layer := Image(np.zeros((20, 20, 3), np.uint8), rgb=True, name="mine")]
    form.image.value = layer
    form.start.native.click()
    message = notification_manager.records[-1].message
    assert message == "mine: expected grey levels, found colours; split its channels first"
    assert not form._viewer.layers


def test_the_plugin_stops(form: Any, model: Path):
    from napari.layers import Image

    stack = np.random.default_rng(0).integers(256, size=(500, 200, 200)).astype(np.uint8)
    began = time.monotonic()
    assert press(form, Image(stack), model, stop_after=1) == []
    assert time.monotonic() - began < SECONDS / 2
    assert not form._viewer.layers
    assert not form.stop.enabled


def test_the_plugin_manifest_is_valid():
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(Path(__file__).parents[1] / "unetseg/napari.yaml")
    manifest.validate_imports()
    (widget,) = manifest.contributions.widgets
    assert widget.display_name == "Predict membranes"
    if not is_installed_as_plugin():
        pytest.skip("unetseg was installed before it was a plugin: pip install it again")
    assert npe2.PluginManifest.from_distribution("unetseg").name == "unetseg"
