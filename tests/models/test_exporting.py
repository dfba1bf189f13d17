"""Exported networks: free sizes, all layers, equal bytes."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import need

from unetseg.artifacts.manifest import Manifest
from unetseg.engine.prediction import Predictor, build_network, load_network
from unetseg.models.exporting import open_onnx, open_saved_model, write_onnx, write_saved_model
from unetseg.network.recipes import NETWORKS

pytestmark = pytest.mark.slow


def random_slices(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((*shape, 1), np.float32)


OPENERS = {"model.onnx": open_onnx, "saved_model": open_saved_model}


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 64, 96), (3, 144, 32)])
def test_batch_height_and_width_are_free(
    exported: Path, as_trained: Callable[..., Any], name: str, shape: tuple[int, ...]
):
    images = random_slices(*shape)
    np.testing.assert_allclose(
        OPENERS[name](exported / name)(images), as_trained(images), atol=1e-5
    )


def test_the_named_signature_of_a_savedmodel(exported: Path, as_trained: Callable[..., Any]):
    import tensorflow as tf

    images = random_slices(2, 32, 48)
    network = tf.saved_model.load(str(exported / "saved_model"))
    outputs = network.signatures["serving_default"](image=tf.constant(images))
    assert list(outputs) == ["interior"]
    np.testing.assert_allclose(outputs["interior"].numpy(), as_trained(images), atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("write", [write_onnx, write_saved_model])
def test_both_networks_survive_with_all_their_layers(
    tmp_path: Path, name: str, write: Callable[..., None]
):
    need("onnx")
    settings = dataclasses.replace(NETWORKS[name], base_filters=4)
    model = build_network(settings, seed=0)
    rng = np.random.default_rng(0)
    # Moments, gains and biases that are not 0 or 1, as after training.
    model.set_weights(
        [
            w if w.ndim > 1 else w + 0.1 * rng.random(w.shape, np.float32)
            for w in model.get_weights()
        ]
    )
    images = random_slices(1, 32, 64)
    expected = np.asarray(model.predict_on_batch(images))
    low, high = np.quantile(expected, [0.1, 0.9])
    assert 0.01 < low < high - 0.05 < 0.94  # not saturated, or errors would not show
    write(Predictor(model, settings).network, tmp_path / "copy", notes={})
    opened = open_onnx if write is write_onnx else open_saved_model
    np.testing.assert_allclose(opened(tmp_path / "copy")(images), expected, atol=1e-5)


def test_equal_networks_give_equal_files(model: Path, tmp_path: Path):
    need("onnx")
    for name in ("a.onnx", "b.onnx"):
        network, settings = load_network(model)
        write_onnx(Predictor(network, settings).network, tmp_path / name, notes={"a": "b"})
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_an_onnx_file_says_how_to_use_it(exported: Path, model: Path):
    import onnxruntime

    session = onnxruntime.InferenceSession(exported / "model.onnx")
    assert session.get_inputs()[0].shape == ["batch", "height", "width", 1]
    notes = session.get_modelmeta().custom_metadata_map
    assert "scale linearly so that the 5th percentile" in notes["normalisation"]
    assert "divisible by 16" in notes["input"]
    assert "112 pixels" in notes["tiles"]
    details = json.loads((model / "manifest.json").read_text())["details"]
    assert notes["weights_sha256"] == details["weights_sha256"]
    assert json.loads((exported / "saved_model/assets.extra/unetseg.json").read_text()) == notes


def test_onnx_from_pytorch(model: Path, tmp_path: Path):
    need("onnx")
    pytest.importorskip("torch")
    subprocess.run(
        [sys.executable, "-m", "unetseg", "export", "--model", str(model), "--output", "torch"],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "torch"},
        check=True,
    )
    assert Manifest.read(tmp_path / "torch/manifest.json").details["backend"] == "torch"
