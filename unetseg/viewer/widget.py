"""The napari plugin: predict a layer with a model, without leaving napari."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from magicgui.widgets import CheckBox, Container, FileEdit, ProgressBar, PushButton, create_widget

from unetseg.errors import UnetsegError
from unetseg.machine import parse_memory
from unetseg.options import MODEL, PredictOptions
from unetseg.viewer.window import LOOKS
from unetseg.volume import ArrayVolume

if TYPE_CHECKING:
    import napari

DEFAULTS = PredictOptions()

# What of a layer says where it lies.
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class PredictMembranes(Container):
    """A form: an image, a model, a button. It adds a layer with the probability of cell interior.

    Pixels are those that `unetseg predict` writes.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Gets the layer.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.image = create_widget(label="image", annotation="napari.layers.Image")
        self.model = FileEdit(
            label="model", mode="d", value=MODEL, tooltip="Folder that unetseg train wrote"
        )
        self.tta = CheckBox(
            text="average over 8 symmetries",
            value=DEFAULTS.tta,
            tooltip="Better, and 8 times the work",
        )
        self.start = PushButton(text="Predict")
        self.stop = PushButton(text="Stop", enabled=False)
        self.bar = ProgressBar(label="", min=0, value=0, visible=False)
        super().__init__(
            widgets=[self.image, self.model, self.tta, self.start, self.stop, self.bar]
        )
        self._viewer = viewer
        self._worker: Any = None
        self.start.changed.connect(self._on_start)
        self.stop.changed.connect(self._on_stop)
        # A worker must not outlive what it reports to.
        self.native.destroyed.connect(self._on_stop)

    def _on_start(self) -> None:
        """Predict in a thread of its own, so that napari does not freeze."""
        from napari.qt.threading import create_worker

        layer = self.image.value
        if layer is None:
            _tell("expected an image layer, found none; open an image first")
            return
        place = {name: getattr(layer, name) for name in PLACE if hasattr(layer, name)}
        pixels = layer.data[0] if layer.multiscale else layer.data
        worker = create_worker(
            predict_array, layer.name, pixels, model=Path(self.model.value), tta=self.tta.value
        )
        worker.yielded.connect(self._on_progress)
        worker.returned.connect(lambda result: self._on_end(result, layer.name, place))
        worker.finished.connect(self._on_finished)
        self._worker = worker
        self.start.enabled, self.stop.enabled = False, True
        self.bar.max, self.bar.value, self.bar.visible = 0, 0, True  # busy
        worker.start()

    def _on_stop(self) -> None:
        if self._worker is not None:
            self._worker.quit()

    def _on_progress(self, done: tuple[int, int]) -> None:
        self.bar.max, self.bar.value = done[1], done[0]

    def _on_end(
        self, result: npt.NDArray[np.float32] | UnetsegError, name: str, place: dict[str, Any]
    ) -> None:
        if isinstance(result, UnetsegError):
            _tell(str(result))
            return
        look = LOOKS["probability"]
        self._viewer.add_image(result, name=f"{name} probability", **place, **look)

    def _on_finished(self) -> None:
        self._worker = None
        self.start.enabled, self.stop.enabled, self.bar.visible = True, False, False


def _tell(line: str) -> None:
    """Show what the user can mend, without a traceback."""
    from napari.utils.notifications import show_error

    show_error(line)


def predict_array(
    name: str, pixels: Any, *, model: Path, tta: bool
) -> Generator[tuple[int, int], None, npt.NDArray[np.float32] | UnetsegError]:
    """Predict slices that are in memory, or that Dask reads.

    Parameters
    ----------
    name : str
        Of the image, for errors.
    pixels : (Y, X) or (Z, Y, X) array-like
    model : Path
        Folder that `unetseg train` wrote.
    tta : bool
        Average over the 8 flips and rotations.

    Yields
    ------
    (done, total)
        Pieces of the image.

    Returns
    -------
    array like `pixels`, float32, or UnetsegError
        Returned and not raised where the user can mend it: napari shows what a worker raises as a
        bug, with its traceback.
    """
    try:
        from unetseg.prediction import Ensemble

        volume = ArrayVolume(name, pixels)
        ensemble = Ensemble([model], tta=tta)
        pieces = ensemble.plan(volume.shape, memory=parse_memory(DEFAULTS.memory), multiple=1)
        result = np.empty(volume.shape, np.float32)
        yield 0, len(pieces)
        for done, piece in enumerate(pieces, start=1):
            result[piece.index][piece.box] = ensemble.predict(volume, piece)
            yield done, len(pieces)
    except UnetsegError as error:
        return error
    return result.reshape(pixels.shape)
