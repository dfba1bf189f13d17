"""Save and load models."""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from unetseg.errors import InputError
from unetseg.network.normalisation import BatchNormalization
from unetseg.network.startup import keras

WEIGHTS = "model.weights.h5"  # in a .keras file
SLACK = 2**20  # bytes of a file that are not weights


def save_model(model: keras.Model, path: Path) -> None:
    """Write a .keras file with only Keras' own layers, so that any program can load it."""
    plain = keras.models.clone_model(model, clone_function=_plain_layer)
    plain.set_weights(model.get_weights())
    plain.save(path)


def _plain_layer(layer: keras.Layer) -> keras.Layer:
    ours = isinstance(layer, BatchNormalization)
    kind = keras.layers.BatchNormalization if ours else type(layer)
    return kind.from_config(layer.get_config())


def load_weights(model: keras.Model, path: Path) -> None:
    """Load the weights of a .keras file into a network built from our own settings.

    Nothing else of the file is used, so nothing in it can run.

    Raises
    ------
    InputError
        If the file does not hold the weights of this network.
    """
    most = 2 * sum(weight.nbytes for weight in model.get_weights()) + SLACK
    with _refuse_others(path):
        weights = _unpack(path, most=most)
    # Keras would read them inside the zip file, and unpack them from the beginning at every seek
    # backwards: 3 seconds for the starter.
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder, WEIGHTS)
        unpacked.write_bytes(weights)
        with _refuse_others(path):
            model.load_weights(unpacked)


@contextmanager
def _refuse_others(path: Path) -> Iterator[None]:
    """Turn any error in reading a file into an InputError."""
    try:
        yield
    except Exception as error:  # Keras, h5py and zipfile raise every kind on damaged files
        raise InputError(
            path,
            expected="the weights of this network",
            found=f"something else ({type(error).__name__})",
            remedy="run unetseg train again",
        ) from error


def _unpack(path: Path, *, most: int) -> bytes:
    """Read the HDF5 file of weights in a .keras file.

    Raises
    ------
    ValueError
        If it claims to hold more than `most` bytes. A dataset of gigabytes that was never written
        takes no room in a file.
    """
    with zipfile.ZipFile(path) as package:
        member = package.getinfo(WEIGHTS)
        if member.file_size > most:
            raise ValueError(f"{WEIGHTS} of {member.file_size} bytes")
        unpacked = package.read(member)
    declared = 0

    def add(name: str, item: Any) -> None:
        nonlocal declared
        declared += getattr(item, "nbytes", 0)

    with h5py.File(io.BytesIO(unpacked), "r") as weights:
        weights.visititems(add)
    if declared > most:
        raise ValueError(f"weights of {declared} bytes")
    return unpacked


def hash_weights(model: keras.Model) -> str:
    """sha256 of the weights: unlike the bytes of a .keras file, equal for equal models."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
