"""Draw docs/loop.jpg anew: the window that paints and trains, after one round on a drawn stack.

    xvfb-run -a -s '-screen 0 1400x1000x24' python docs/draw_window.py

It wants the extra napari and a screen (here a virtual one), and takes some minutes of training.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("NAPARI_CONFIG", "")  # not the user's own settings

import napari
import numpy as np
from napari.qt import get_qapp
from PIL import Image
from scipy.ndimage import distance_transform_edt

from unetseg.arrays.suggesting import Place
from unetseg.artifacts.suggestions import read_places
from unetseg.options import SUGGESTIONS, SynthesizeOptions
from unetseg.progress import Silent
from unetseg.running import run_stage
from unetseg.stacks.opening import open_volume
from unetseg.viewer.drawn import PAINTED_INTERIOR, PAINTED_MEMBRANE
from unetseg.viewer.loop import PaintAndTrain

PICTURE = Path(__file__).with_name("loop.jpg")
SIZE = (1300, 860)
COURSE = "--epochs 6 --epoch-size 12 --patch 128 --copies 1 --no-tta --no-preview --jobs 1"
DEEP = 8  # pixels from the nearest membrane


def wait(until: Callable[[], object], seconds: float) -> None:
    """Let the window work until something holds."""
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        get_qapp().processEvents()
        time.sleep(0.01)


def draw(picture: Path) -> None:
    """Predict, paint at the first suggested place, train, and take a picture."""
    run_stage("synthesize", SynthesizeOptions(slices=3, test_slices=1, height=192), Silent())
    viewer = napari.Viewer(title="unetseg")
    viewer.window.resize(*SIZE)
    form = PaintAndTrain(viewer)
    viewer.window.add_dock_widget(form, name="Paint and train")
    form.stack.value = "data/train-volume.tif"
    form.extra.value = COURSE
    wait(lambda: False, 1)
    form.open.native.click()
    for button in (form.predict, form.next_place):
        button.native.click()
        wait(lambda: form.train.enabled, 900)
    layer = viewer.layers["painted"]
    paint_strokes(layer, read_places(SUGGESTIONS)[0])
    layer.refresh()
    form.train.native.click()
    wait(lambda: form.train.enabled, 900)
    wait(lambda: False, 1)
    pixels = viewer.screenshot(canvas_only=False, flash=False)
    Image.fromarray(pixels[..., :3]).save(picture, quality=85)
    viewer.close()


def paint_strokes(layer: napari.layers.Labels, at: Place) -> None:
    """Strokes as somebody would paint them: along a membrane, and inside of cells."""
    with open_volume(Path("data/train-labels.tif")) as labels:
        truth = labels[at.index]
    rng = np.random.default_rng(0)
    depth = distance_transform_edt(truth)  # of what is inside
    for label, places, width, count in (
        (PAINTED_MEMBRANE, truth == 0, 4, 150),
        (PAINTED_INTERIOR, depth > DEEP, 9, 60),
    ):
        layer.brush_size = width
        for row, column in rng.choice(np.argwhere(places[at.box]), count):
            layer.paint((at.index, row + at.top, column + at.left), label)


if __name__ == "__main__":
    where = PICTURE.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        draw(where)
