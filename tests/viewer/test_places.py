"""Places that are worth labelling, in a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unetseg.arrays.suggesting import Place
from unetseg.stacks.voxel import Voxel
from unetseg.viewer.places import ELSEWHERE, HERE, Places

pytestmark = pytest.mark.slow

PLACES = Place(2, 10, 40, 32, 32, 0.3), Place(0, 0, 0, 32, 32, 0.2)


@pytest.fixture
def viewer() -> Any:
    """Three slices of 64 x 96, voxels of 50 x 4 x 5 nm, and a layer that is painted on."""
    components = pytest.importorskip("napari.components")
    viewer = components.ViewerModel()
    viewer.canvas.size = (400, 600)
    viewer.add_labels(np.zeros((3, 64, 96), np.uint8), name="painted", scale=(50, 4, 5))
    return viewer


def test_one_place_after_the_other_is_in_the_middle(viewer: Any):
    places = Places(viewer)
    places.take(PLACES, Voxel(50, 4, 5))
    assert places.left == 2
    assert places.go_on() == "place 1 of 2, in slice 2: label some of it"
    assert viewer.dims.current_step[0] == 2
    # Rows 10 to 41, columns 40 to 71; 64 rows of 4 nm in 400 pixels, 64 columns of 5 nm in 600.
    assert viewer.scene.camera.center[1:] == (25.5 * 4, 55.5 * 5)
    assert viewer.scene.camera.zoom == pytest.approx(min(400 / 256, 600 / 320))
    layer = viewer.layers["suggestions"]
    np.testing.assert_array_equal(
        layer.data[0], [(2, 9.5, 39.5), (2, 9.5, 71.5), (2, 41.5, 71.5), (2, 41.5, 39.5)]
    )
    assert tuple(layer.scale) == (50, 4, 5)
    assert viewer.layers.selection.active.name == "painted"
    colours = [tuple(colour) for colour in layer.edge_color]
    # Hidden, it stays so; looked at in three dimensions, a place is gone to all the same.
    layer.visible, viewer.dims.ndisplay = False, 3
    places.go_on()
    assert (viewer.dims.ndisplay, viewer.dims.current_step[0]) == (2, 0)
    assert [tuple(colour) for colour in layer.edge_color] == colours[::-1]
    assert colours[0] != colours[1]
    assert HERE != ELSEWHERE
    assert not layer.visible
    assert places.left == 0


def test_another_list_begins_anew_and_a_forgotten_one_has_none_left(viewer: Any):
    places = Places(viewer)
    places.take(PLACES, None)
    places.go_on()
    places.forget()
    assert places.left == 0
    assert "suggestions" in viewer.layers
    places.take(PLACES[1:], None)
    assert places.left == 1
    assert "suggestions" not in viewer.layers
    viewer.layers.selection.active = None
    assert places.go_on() == "place 1 of 1, in slice 0: label some of it"
    assert len(viewer.layers["suggestions"].data) == 1
