"""Stacks as layers of napari."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unetseg.stacks.volume import ArrayVolume
from unetseg.stacks.voxel import Voxel
from unetseg.viewer.window import LOOKS, Shown, add_layers, show_in_three_dimensions

pytestmark = pytest.mark.slow


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


def test_in_three_dimensions_chosen_cells_are_solids():
    components = pytest.importorskip("napari.components")
    viewer = components.ViewerModel()
    image = ArrayVolume("mine", np.zeros((2, 3, 4), np.uint8))
    numbers = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    cells = ArrayVolume("cells", numbers)
    stacks = [Shown("image", image), Shown("cells", cells, only=frozenset({3, 17}))]
    add_layers(viewer, stacks, voxel=Voxel(50, 4, 4))
    show_in_three_dimensions(viewer)
    assert viewer.dims.ndisplay == 3
    assert [layer.visible for layer in viewer.layers] == [False, True]
    layer = viewer.layers["cells"]
    assert (layer.rendering, layer.opacity, tuple(layer.scale)) == (
        "iso_categorical",
        1,
        (50, 4, 4),
    )
    pixels = np.asarray(layer.data)
    assert sorted({*pixels.flat}) == [0, 3, 17]
    assert pixels.dtype == np.uint16
    assert (pixels[0, 0, 3], pixels[1, 1, 1]) == (3, 17)
    assert numbers.max() == 23  # they were not written to


def test_in_three_dimensions_without_cells_everything_stays():
    components = pytest.importorskip("napari.components")
    viewer = components.ViewerModel()
    stack = ArrayVolume("mine", np.zeros((2, 3, 4), np.uint8))
    add_layers(viewer, [Shown("image", stack)], voxel=None)
    show_in_three_dimensions(viewer)
    assert viewer.dims.ndisplay == 3
    assert viewer.layers["image"].visible


def test_without_a_voxel_size_the_scale_is_in_pixels():
    components = pytest.importorskip("napari.components")
    viewer = components.ViewerModel()
    stack = ArrayVolume("mine", np.zeros((2, 20, 30), np.uint8))
    add_layers(viewer, [Shown("image", stack)], voxel=None)
    assert tuple(viewer.layers[0].scale) == (1, 1, 1)
    assert not viewer.canvas.overlays.scale_bar.visible
