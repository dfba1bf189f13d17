"""The napari plugin: predict a layer with a model, without leaving napari."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from magicgui.widgets import CheckBox, Container, FileEdit, ProgressBar, PushButton, create_widget

from unetseg.options import MODEL, PredictOptions
from unetseg.viewer.process import Prediction
from unetseg.viewer.window import LOOKS

if TYPE_CHECKING:
    import napari

DEFAULTS = PredictOptions()

THOUSAND = 1000  # steps of the progress bar

# Attributes of a layer that define its position.
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class PredictMembranes(Container):
    """A form: an image, a model, a button. It adds a layer with the probability of cell interior.

    Its pixels are the same as `unetseg predict` writes.

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
        self.bar = ProgressBar(label="", min=0, max=THOUSAND, value=0, visible=False)
        super().__init__(
            widgets=[self.image, self.model, self.tta, self.start, self.stop, self.bar]
        )
        self._viewer = viewer
        self._prediction: Prediction | None = None
        self.start.changed.connect(self._on_start)
        self.stop.changed.connect(self._on_stop)
        # The prediction must not outlive the form that it reports to.
        self.native.destroyed.connect(self._on_stop)

    def _on_start(self) -> None:
        """Predict in a thread of its own, so that napari does not freeze."""
        from napari.qt.threading import create_worker

        layer = self.image.value
        if layer is None:
            _tell("expected an image layer, found none; open an image first")
            return
        if layer.rgb:
            _tell(f"{layer.name}: expected grey levels, found colours; split its channels first")
            return
        place = {name: getattr(layer, name) for name in PLACE if hasattr(layer, name)}
        pixels = layer.data[0] if layer.multiscale else layer.data
        self._prediction = Prediction(
            layer.name, pixels, model=Path(self.model.value), tta=self.tta.value
        )
        worker = create_worker(self._prediction.run)
        worker.yielded.connect(self._on_progress)
        worker.returned.connect(lambda result: self._on_end(result, layer.name, place))
        worker.finished.connect(self._on_finished)
        self.start.enabled, self.stop.enabled = False, True
        self.bar.max, self.bar.value, self.bar.visible = 0, 0, True  # busy
        worker.start()

    def _on_stop(self) -> None:
        if self._prediction is not None:
            self._prediction.stop()

    def _on_progress(self, share: float) -> None:
        self.bar.max, self.bar.value = THOUSAND, int(share * THOUSAND)

    def _on_end(
        self, result: npt.NDArray[np.float32] | str | None, name: str, place: dict[str, Any]
    ) -> None:
        if isinstance(result, str):
            _tell(result)
        if result is None or isinstance(result, str):
            return
        look = LOOKS["probability"]
        self._viewer.add_image(result, name=f"{name} probability", **place, **look)

    def _on_finished(self) -> None:
        self._prediction = None
        self.start.enabled, self.stop.enabled, self.bar.visible = True, False, False


def _tell(line: str) -> None:
    """Show an error that the user can fix, without a traceback."""
    from napari.utils.notifications import show_error

    show_error(line)
