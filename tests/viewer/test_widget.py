"""The napari plugin."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli, coarse, is_installed_as_plugin, read

pytestmark = pytest.mark.slow

SECONDS = 120


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
    image = np.indices((20, 20)).sum(0).astype(np.float32)
    image[10, 10] = np.nan
    (line,) = press(form, Image(image, name="mine"), model)
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

    stack = coarse(500, 200, 200)
    began = time.monotonic()
    assert press(form, Image(stack), model, stop_after=1) == []
    assert time.monotonic() - began < SECONDS / 2
    assert not form._viewer.layers
    assert not form.stop.enabled


def test_the_plugin_manifest_is_valid():
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(Path(__file__).parents[2] / "unetseg/napari.yaml")
    manifest.validate_imports()
    names = [widget.display_name for widget in manifest.contributions.widgets]
    assert names == ["Predict membranes", "Paint and train"]
    if not is_installed_as_plugin():
        pytest.skip("unetseg was installed before it was a plugin: pip install it again")
    assert npe2.PluginManifest.from_distribution("unetseg").name == "unetseg"
