"""The layers of the window in which a model is trained, and its visible slice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unetseg.artifacts.manifest import find_manifest
from unetseg.errors import InputError
from unetseg.stacks.opening import open_numbers, open_volume
from unetseg.stacks.volume import Volume
from unetseg.viewer.drawn import PAINTED_INTERIOR, PAINTED_MEMBRANE
from unetseg.viewer.window import LOOKS, Shown, add_layers, place_of

if TYPE_CHECKING:
    import napari

IMAGE, PROBABILITY, PAINTED, CORRECTED = "image", "probability", "painted", "corrected cells"
SUGGESTIONS = "suggestions"

COLOURS = {
    None: "transparent",
    0: "transparent",
    PAINTED_MEMBRANE: "#ff5a1f",
    PAINTED_INTERIOR: "#22c1ff",
}
BRUSH = 6  # pixels across


class Layers:
    """Layers of a stack, of its prediction and of what is drawn over it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Gets the layers.
    volume : Volume
        Must stay open while it is shown.
    """

    def __init__(self, viewer: napari.viewer.Viewer, volume: Volume) -> None:
        self.volume = volume
        self._viewer = viewer
        for name in (IMAGE, PROBABILITY, PAINTED, CORRECTED, SUGGESTIONS):
            if name in viewer.layers:
                viewer.layers.remove(name)
        add_layers(viewer, [Shown(IMAGE, volume)], voxel=volume.voxel)
        viewer.dims.current_step = (0, *viewer.dims.current_step[1:])

    @property
    def visible_slice(self) -> int:
        """Number of the visible slice."""
        return min(int(self._viewer.dims.current_step[0]), len(self.volume) - 1)

    def layer(self, name: str) -> Any:
        """Return the layer of that name, or None if there is none."""
        return next((layer for layer in self._viewer.layers if layer.name == name), None)

    def show_prediction(self, folder: Path) -> bool:
        """Show the prediction in a folder if it is of this stack; return whether it is."""
        manifest = find_manifest(folder)
        if manifest is None or manifest.stage != "predict" or len(manifest.outputs) != 1:
            return False
        # The models come before the stack.
        if manifest.inputs[-1].seen_from(folder).resolve() != self.volume.path.resolve():
            return False
        with open_volume(folder / manifest.outputs[0].name) as prediction:
            if prediction.shape != self.volume.shape:
                return False
            self._show(np.stack(list(prediction)))
        return True

    def show_slice(self, index: int, probability: npt.NDArray[np.float32]) -> None:
        """Show the current prediction of one slice; the others stay as they are."""
        if self.layer(PROBABILITY) is None:
            self._show(np.ones(self.volume.shape, np.float32))  # which is transparent
        layer = self.layer(PROBABILITY)
        layer.data[index] = probability
        layer.refresh()

    def _show(self, pixels: npt.NDArray[np.float32]) -> None:
        """Show probabilities below the layers that are drawn on."""
        layer = self.layer(PROBABILITY)
        if layer is not None:
            layer.data = pixels
            return
        layer = self._viewer.add_image(
            pixels, name=PROBABILITY, **place_of(self.volume.voxel), **LOOKS[PROBABILITY]
        )
        chosen = [name for name in (PAINTED, CORRECTED) if self.layer(name) is not None]
        self._viewer.layers.move(self._viewer.layers.index(layer), 1)
        if chosen:
            self._viewer.layers.selection.active = self.layer(chosen[-1])

    def show_drawn(self, name: str, pixels: npt.NDArray[Any]) -> Any:
        """Add a layer to draw on above the others, in place of one of the same name."""
        if self.layer(name) is not None:
            self._viewer.layers.remove(name)
        place = place_of(self.volume.voxel)
        if name == CORRECTED:
            return self._viewer.add_labels(pixels, name=name, opacity=0.3, **place)
        from napari.utils.colormaps import DirectLabelColormap

        colours = DirectLabelColormap(color_dict=dict(COLOURS))
        layer = self._viewer.add_labels(pixels, name=name, colormap=colours, opacity=0.7, **place)
        layer.brush_size = BRUSH
        return layer


def read_cells(folder: Path, volume: Volume) -> npt.NDArray[Any]:
    """Read the cells that `unetseg segment` wrote to a folder.

    Raises
    ------
    InputError
        If they are not of this stack.
    """
    with open_numbers(folder / "labels.tif") as cells:
        if cells.shape != volume.shape:
            raise InputError(
                folder,
                expected=f"cells of {volume.path}",
                found="those of another stack",
                remedy="predict this one first",
            )
        return np.stack(list(cells))
