"""Opens one `unetseg view` after another, and prints what their windows hold."""

from __future__ import annotations

import hashlib
import json
import sys
import time

import napari
import numpy as np
from napari.qt import get_qapp
from qtpy.QtCore import QTimer

from unetseg.cli.commands import main


def describe(layer: napari.layers.Layer) -> dict[str, object]:
    pixels = np.asarray(layer.data)
    return {
        "kind": type(layer).__name__,
        "shape": pixels.shape,
        "dtype": str(pixels.dtype),
        "scale": list(layer.scale),
        "units": [str(unit) for unit in layer.units],
        "visible": layer.visible,
        "rendering": str(layer.rendering),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }


def predict(viewer: napari.Viewer, model: str) -> None:
    """Fill in the plugin's form, and press its button."""
    _, form = viewer.window.add_plugin_dock_widget("unetseg", "Predict membranes")
    form.image.value = viewer.layers["image"]
    form.model.value = model
    form.start.native.click()
    deadline = time.monotonic() + 120
    while not form.start.enabled and time.monotonic() < deadline:
        get_qapp().processEvents()


def look(report: list[object], model: str | None) -> None:
    viewer = napari.current_viewer()
    if viewer is None:  # not there yet
        QTimer.singleShot(200, lambda: look(report, model))
        return
    if model:
        predict(viewer, model)
    picture = viewer.screenshot(flash=False)
    report.append(
        {
            "layers": {layer.name: describe(layer) for layer in viewer.layers},
            "ndisplay": viewer.dims.ndisplay,
            "drawn": float((picture[..., :3].max(axis=2) > 0).mean()),
            "colours": len(np.unique(picture.reshape(-1, 4), axis=0)),
        }
    )
    viewer.close()


if __name__ == "__main__":
    reports: list[object] = []
    app = get_qapp()
    for scene in json.loads(sys.argv[1]):
        QTimer.singleShot(0, lambda scene=scene: look(reports, scene["model"]))
        main(["view", *scene["arguments"]], standalone_mode=False)
    print(json.dumps(reports))
