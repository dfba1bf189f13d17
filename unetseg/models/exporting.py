"""Trained networks in the formats that other programs run.

ONNX is written here, operation by operation, and not by `keras.Model.export`: that goes through
tf2onnx, which Keras has to patch for NumPy 2, or through an exporter of PyTorch that fixes heights
and widths. A U-Net has only half a dozen operations, every backend of Keras can do this, and equal
networks give equal files.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.errors import UnetsegError
from unetseg.network.backend import require_tensorflow
from unetseg.network.startup import keras
from unetseg.version import __version__

layers = keras.layers

Pixels = npt.NDArray[np.float32]
Run = Callable[[Pixels], Pixels]

# From 2020: the operations used here have not changed since, and today's readers support them.
OPSET, IR_VERSION = 13, 7

INPUT, OUTPUT = "image", "interior"
AXES = ("batch", "height", "width")

SAVED_MODEL_NOTES = Path("assets.extra", "unetseg.json")
"""Where a SavedModel may hold files that are not TensorFlow's own."""


def import_onnx() -> tuple[Any, Any]:
    """Import onnx and onnxruntime, which are needed only to export to ONNX."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UnetsegError(
            f"ONNX: expected the package {error.name}, found none; pip install 'unetseg[export]'"
        ) from error
    return onnx, onnxruntime


def write_onnx(network: keras.Model, path: Path, *, notes: dict[str, str]) -> None:
    """Write a network as an ONNX file: (N, H, W, 1) float32 in and out, N, H and W free.

    Parameters
    ----------
    network : keras.Model
        As from `unetseg.network.unet.build_unet` without batch normalisation.
    path : Path
    notes : dict
        What a user must know, for the metadata of the file.

    Raises
    ------
    UnetsegError
        If onnx or onnxruntime is not installed.
    """
    onnx, _ = import_onnx()
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    nodes, weights = _to_onnx(network)
    ends = [helper.make_tensor_value_info(end, float32, [*AXES, 1]) for end in (INPUT, OUTPUT)]
    graph = helper.make_graph(
        nodes,
        "unet",
        inputs=ends[:1],
        outputs=ends[1:],
        initializer=[onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="unetseg",
        producer_version=__version__,
        doc_string=" ".join(notes.values()),
    )
    helper.set_model_props(model, notes)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _to_onnx(network: keras.Model) -> tuple[list[Any], dict[str, Pixels]]:
    """Return operations and weights of a network. ONNX puts channels first: (N, C, H, W)."""
    onnx, _ = import_onnx()
    nodes: list[Any] = []
    weights: dict[str, Pixels] = {}
    names: dict[int, str] = {}  # of tensors, by identity
    for index, layer in enumerate(network.layers):
        tensors = layer.input if isinstance(layer.input, list) else [layer.input]
        first = isinstance(layer, layers.InputLayer)
        sources = [INPUT] if first else [names[id(tensor)] for tensor in tensors]
        if isinstance(layer, layers.Dropout):  # acts only in training
            names[id(layer.output)] = sources[0]
            continue
        operation, settings = _operation(layer)
        # Keras numbers layers through the whole process: equal networks would differ.
        name = names[id(layer.output)] = f"{operation}_{index}"
        for role, array in zip(("kernel", "bias"), layer.get_weights(), strict=False):
            # From (height, width, in, out), or (..., out, in) of a transposed convolution.
            channels_first = array.transpose(3, 2, 0, 1).copy() if array.ndim == 4 else array
            weights[f"{name}_{role}"] = channels_first
            sources.append(f"{name}_{role}")
        nodes.append(onnx.helper.make_node(operation, sources, [name], name, **settings))
    last = names[id(network.output)]
    nodes.append(onnx.helper.make_node("Transpose", [last], [OUTPUT], OUTPUT, perm=[0, 2, 3, 1]))
    return nodes, weights


def _operation(layer: keras.Layer) -> tuple[str, dict[str, Any]]:
    """Return the ONNX operation of a layer and its settings, for all layers of our U-Nets."""
    if isinstance(layer, layers.InputLayer):
        return "Transpose", {"perm": [0, 3, 1, 2]}
    if isinstance(layer, layers.Conv2DTranspose):  # strides as long as its kernel: no overlap
        return "ConvTranspose", {"strides": layer.strides}
    if isinstance(layer, layers.Conv2D):
        # Padding "same": as much before as after, because sides are divisible by the stride.
        margins = [(k - s) // 2 for k, s in zip(layer.kernel_size, layer.strides, strict=True)]
        return "Conv", {"strides": layer.strides, "pads": margins * 2}
    if isinstance(layer, layers.MaxPooling2D):
        return "MaxPool", {"kernel_shape": layer.pool_size, "strides": layer.strides}
    if isinstance(layer, layers.ReLU):
        return "Relu", {}
    if isinstance(layer, layers.Concatenate):
        return "Concat", {"axis": 1}
    if isinstance(layer, layers.Activation) and layer.activation is keras.activations.sigmoid:
        return "Sigmoid", {}
    raise TypeError(f"{layer.name}: no ONNX operation is known for {type(layer).__name__}")


def open_onnx(path: Path) -> Run:
    """Return an ONNX file as a function that runs on the CPU."""
    _, onnxruntime = import_onnx()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(images: Pixels) -> Pixels:
        return np.asarray(session.run([OUTPUT], {INPUT: images})[0])

    return run


def check_saved_model() -> None:
    """Raise a UsageError unless the backend of Keras can write a SavedModel."""
    require_tensorflow("--format savedmodel")


def write_saved_model(network: keras.Model, path: Path, *, notes: dict[str, str]) -> None:
    """Write a network as a TensorFlow SavedModel; arguments as for `write_onnx`.

    Its method `serve` and its signature serving_default take (N, H, W, 1) float32 and return the
    same, N, H and W free. `keras.Model.export` is not used: it stores every weight twice.

    Raises
    ------
    UsageError
        If Keras does not run on TensorFlow.
    """
    check_saved_model()
    import tensorflow as tf

    image = tf.TensorSpec((None, None, None, 1), tf.float32, name=INPUT)
    module = tf.Module()
    module.weights_of_network = network.variables  # saved with the function that uses them
    module.serve = tf.function(lambda image: network(image, training=False), [image])
    named = tf.function(lambda image: {OUTPUT: module.serve(image)}, [image])
    try:
        tf.saved_model.save(module, str(path), signatures=named)
    except tf.errors.ResourceExhaustedError as error:
        if "No space left" not in error.message:  # memory is exhausted
            raise MemoryError from error
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    file = path / SAVED_MODEL_NOTES
    file.parent.mkdir()
    file.write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")


def open_saved_model(path: Path) -> Run:
    """Return a SavedModel as a function."""
    import tensorflow as tf

    module = tf.saved_model.load(str(path))

    def run(images: Pixels) -> Pixels:
        return np.asarray(module.serve(images))

    return run
