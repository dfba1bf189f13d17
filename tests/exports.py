"""What the tests of exported models share."""

from __future__ import annotations

import pytest

from unetseg.errors import UnetsegError
from unetseg.models import modelpackage

NAMES = {"onnx": "model.onnx", "savedmodel": "saved_model", "bioimageio": "model.bioimageio.zip"}


def need(form: str) -> None:
    """Skip where what a format takes is not installed."""
    if form == "bioimageio":
        from unetseg.network.startup import keras

        try:
            # Imported in any other way it changes the backend for all that follows.
            modelpackage.import_bioimageio(keras.backend.backend())
        except UnetsegError:
            pytest.skip("needs unetseg[export]")
    if form != "savedmodel":
        pytest.importorskip("onnx", reason="needs unetseg[export]")
        pytest.importorskip("onnxruntime", reason="needs unetseg[export]")
