"""Drives the window that paints and trains, by its buttons and the mouse; prints what it shows."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.qt import get_qapp
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from unetseg.artifacts.wishes import read_history
from unetseg.viewer.loop import PaintAndTrain

SECONDS = 500
SHORT = "--epoch-size 6 --batch-size 2 --patch 64 --copies 1 --no-preview --jobs 1 --no-tta"


class Window:
    """A window with the form in it, on the stack that is named."""

    def __init__(self, stack: str, options: str) -> None:
        self.viewer = napari.Viewer(title="unetseg")
        self.viewer.window.resize(1200, 900)
        self.form = PaintAndTrain(self.viewer)
        self.viewer.window.add_dock_widget(self.form, name="Paint and train")
        self.form.stack.value = stack
        self.form.extra.value = options
        self.click("open")
        self.settle()

    def settle(self, seconds: float = 0.5) -> None:
        """Let the window do what it does by itself."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            get_qapp().processEvents()
            time.sleep(0.01)

    def wait(self, until: Callable[[], Any]) -> None:
        """Wait for something."""
        end = time.monotonic() + SECONDS
        while not until():
            if time.monotonic() > end:
                raise TimeoutError(self.form.status.value)
            self.settle(0.05)

    def click(self, button: str) -> None:
        """Press a button."""
        QTest.mouseClick(getattr(self.form, button).native, Qt.MouseButton.LeftButton)

    def click_and_wait(self, button: str) -> None:
        """Press a button, and wait for the end of its command."""
        self.click(button)
        self.wait(lambda: self.form.train.enabled)
        self.settle()

    def layer(self, name: str) -> Any:
        """The pixels of a layer."""
        return np.asarray(self.viewer.layers[name].data)

    def stroke(self, name: str, begin: tuple[int, int], end: tuple[int, int]) -> None:
        """Draw a line from one pixel to another with the left button of the mouse."""
        canvas = self.viewer.window._qt_viewer.canvas
        begin, end = (self._on_canvas(canvas, name, pixel) for pixel in (begin, end))
        middle = QPoint((begin.x() + end.x()) // 2, (begin.y() + end.y()) // 2)
        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QTest.mouseMove(canvas.native, begin)
        self.settle(0.1)
        QTest.mousePress(canvas.native, left, none, begin)
        for point in (middle, end):
            self.settle(0.1)
            QTest.mouseMove(canvas.native, point)
        self.settle(0.1)
        QTest.mouseRelease(canvas.native, left, none, end)
        self.settle(0.1)

    def _on_canvas(self, canvas: Any, name: str, pixel: tuple[int, int]) -> QPoint:
        """Where on the canvas a pixel is: the map is affine, so three points tell it."""
        places = np.array([(0, 0), (100, 0), (0, 100)])
        layer = self.viewer.layers[name]
        seen = np.array(
            [
                layer.world_to_data(canvas._map_canvas2world(tuple(place), canvas.view))[-2:]
                for place in places
            ]
        )
        steps = (seen[1:] - seen[0]) / 100
        x, y = np.linalg.solve(steps.T, np.array(pixel) - seen[0])
        return QPoint(round(x), round(y))

    def describe(self) -> dict[str, Any]:
        """What it shows."""
        layers = {layer.name: self.layer(layer.name) for layer in self.viewer.layers}
        return {
            "layers": {
                name: {
                    "shape": pixels.shape,
                    "values": np.unique(pixels).tolist()[:9],
                    "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
                }
                for name, pixels in layers.items()
            },
            "status": self.form.status.value,
            "command": self.form.command.value,
            "model": self.form.model.value,
            "epochs": len(read_history(Path("work/model"))),
        }


def paint(window: Window) -> None:
    """Two strokes in the second slice: membrane from left to right, interior below."""
    window.viewer.dims.set_current_step(0, 1)
    window.settle()
    for brush, row in ((1, 20), (2, 45)):
        window.form.brush.value = brush
        window.stroke("painted", (row, 10), (row, 80))


def go_round(stack: str) -> list[dict[str, Any]]:
    """Open, predict, paint, train, save, close."""
    window = Window(stack, f"--epochs 2 {SHORT}")
    reports = [window.describe()]
    window.click_and_wait("predict")
    reports.append(window.describe())
    paint(window)
    seen: list[int] = []
    layers = window.form._layers
    show = layers.show_slice
    layers.show_slice = lambda index, pixels: (seen.append(index), show(index, pixels))
    window.click_and_wait("train")
    window.click("save")
    window.settle()
    reports.append({**window.describe(), "seen": seen})
    if len(sys.argv) > 3:
        window.viewer.screenshot(sys.argv[3], canvas_only=False, flash=False)
    window.viewer.close()
    return reports


def die(stack: str) -> list[dict[str, Any]]:
    """Paint and train; the worker is killed, begun again, and then the window is."""
    window = Window(stack, f"--epochs 4 {SHORT}")
    paint(window)
    window.click("train")
    window.wait(lambda: read_history(Path("work/model")))
    window.form._job._process.kill()
    window.wait(lambda: window.form.train.enabled)
    print(json.dumps([window.describe()]), flush=True)
    window.click("train")
    window.wait(lambda: "resuming after" in Path("work/loop.log").read_text())
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def come_back(stack: str) -> list[dict[str, Any]]:
    """Open the window again, in which a training is at work; stop it, and correct cells."""
    window = Window(stack, "")
    reports = [{**window.describe(), "options": window.form.extra.value}]
    window.wait(lambda: Path("work/prediction/manifest.json").exists())
    window.settle(1)
    reports.append(window.describe())
    window.click_and_wait("cells")
    before = window.layer("corrected cells").copy()
    layer = window.viewer.layers["corrected cells"]
    window.viewer.dims.set_current_step(0, 3)
    layer.fill((3, 10, 10), 999)
    window.settle(1)
    window.viewer.dims.set_current_step(0, 4)
    window.click("right")
    reports.append({**window.describe(), "changed": changed(before, layer.data)})
    window.form.extra.value = f"--epochs 9 {SHORT}"
    window.click("train")
    window.wait(lambda: window.form._wished is not None and read_history(Path("work/model")))
    window.click("stop")
    window.wait(lambda: window.form.train.enabled)
    window.settle()
    reports.append(window.describe())
    window.viewer.close()
    return reports


def close_at_once(stack: str) -> list[dict[str, Any]]:
    """Close the window as soon as a stroke is painted."""
    window = Window(stack, "")
    paint(window)
    window.form._saving.stop()  # as if it had been sooner still
    before = Path("work/drawn/painted.tif").exists()
    window.viewer.close()
    window.settle()
    return [{"before": before}]


def follow_places(stack: str) -> list[dict[str, Any]]:
    """Go to the first place, paint there, go on, ask again, train, and ask the new model."""
    window = Window(stack, "--count 2 --patch 32")
    window.click("next_place")
    reports = [{"busy": not window.form.train.enabled and not window.form.next_place.enabled}]
    window.wait(lambda: window.form.train.enabled)
    window.settle()
    reports.append(place_shown(window))
    _, y, x = reports[-1]["middle"]
    for brush, row in ((1, y - 8), (2, y + 8)):
        window.form.brush.value = brush
        window.stroke("painted", (round(row), round(x) - 10), (round(row), round(x) + 10))
    for _ in range(2):
        window.click_and_wait("next_place")
        reports.append(place_shown(window))
    window.form.extra.value = f"{SHORT} --patch 32 --count 2 --epochs 1"
    window.click_and_wait("train")
    window.click_and_wait("next_place")
    reports.append(place_shown(window))
    window.viewer.close()
    return reports


def place_shown(window: Window) -> dict[str, Any]:
    """Where the window has gone, and what it outlines there."""
    canvas, layers = window.viewer.window._qt_viewer.canvas, window.viewer.layers
    size = canvas.native.size()
    corners = [
        canvas._map_canvas2world(corner, canvas.view)
        for corner in ((0, 0), (size.width(), size.height()))
    ]
    corners = np.array([layers["painted"].world_to_data(corner) for corner in corners])
    return {
        "middle": corners.mean(0).tolist(),
        "seen": (corners[1] - corners[0])[1:].tolist(),
        "outlines": [
            np.array((shape.min(0), shape.max(0))).tolist() for shape in layers["suggestions"].data
        ],
        "colours": layers["suggestions"].edge_color.tolist(),
        "active": layers.selection.active.name,
        "asked": Path("work/loop.log").read_text().count("$ unetseg suggest "),
        "command": window.form.command.value,
        "status": window.form.status.value,
    }


def changed(before: np.ndarray, after: np.ndarray) -> list[int]:
    return [index for index in range(len(before)) if (before[index] != after[index]).any()]


if __name__ == "__main__":
    scenes = {
        scene.__name__: scene for scene in (go_round, die, come_back, close_at_once, follow_places)
    }
    print(json.dumps(scenes[sys.argv[1]](sys.argv[2])), flush=True)
