"""Show the places that are worth labelling, one after another, in a window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.suggesting import Place
from unetseg.stacks.voxel import Voxel
from unetseg.viewer.layers import SUGGESTIONS
from unetseg.viewer.window import place_of

if TYPE_CHECKING:
    import napari

HERE, ELSEWHERE = "#ffe11a", "#ffffff"  # outlines
OUTLINE = 2  # pixels wide
AROUND = 2.0  # height and width of the view, relative to those of the place


class Places:
    """A list of places, and how many of them have been shown.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Gets a layer with their outlines, and its camera is moved.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self._voxel: Voxel | None = None
        self._all: list[Place] = []
        self._seen = 0

    def take(self, places: Sequence[Place], voxel: Voxel | None) -> None:
        """Start a new list, of places in a stack with voxels of this size."""
        self._all, self._voxel, self._seen = list(places), voxel, 0
        if SUGGESTIONS in self._viewer.layers:
            self._viewer.layers.remove(SUGGESTIONS)

    @property
    def left(self) -> int:
        """How many have not been shown."""
        return len(self._all) - self._seen

    def forget(self) -> None:
        """Skip the remaining places; their outlines stay."""
        self._seen = len(self._all)

    def go_on(self) -> str:
        """Show the next place, of which one must be left; return a line that names it."""
        place = self._all[self._seen]
        self._seen += 1
        self._outline()
        _, y, x = place.centre
        scale = np.array((1.0, 1.0, 1.0) if self._voxel is None else self._voxel.edges)
        viewer, camera = self._viewer, self._viewer.scene.camera
        viewer.dims.ndisplay = 2
        viewer.dims.set_current_step(0, place.index)
        camera.center = (0.0, y * scale[1], x * scale[2])
        extent = AROUND * np.array((place.height, place.width)) * scale[1:]
        camera.zoom = float(np.min(np.array(viewer.canvas.size) / extent))
        return f"place {self._seen} of {len(self._all)}, in slice {place.index}: label some of it"

    def _outline(self) -> None:
        """Outline all places, the current one in a different colour."""
        layers = self._viewer.layers
        if SUGGESTIONS not in layers:
            active = layers.selection.active
            self._viewer.add_shapes(
                [_corners(place) for place in self._all],
                shape_type="rectangle",
                name=SUGGESTIONS,
                face_color="transparent",
                edge_width=OUTLINE,
                **place_of(self._voxel),
            )
            layers.selection.active = active  # so that the user can go on painting
        colours = [ELSEWHERE] * len(self._all)
        colours[self._seen - 1] = HERE
        layers[SUGGESTIONS].edge_color = colours


def _corners(place: Place) -> npt.NDArray[Any]:
    """Return the outer corners of a place, (4, 3)."""
    top, left = place.top - 0.5, place.left - 0.5
    bottom, right = top + place.height, left + place.width
    corners = ((top, left), (top, right), (bottom, right), (bottom, left))
    return np.array([(place.index, *corner) for corner in corners])
