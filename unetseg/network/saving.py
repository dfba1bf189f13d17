"""Models on disk."""

from __future__ import annotations

import hashlib
import zipfile
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
    """Write a .keras file, which holds layers of Keras alone: any program can load it."""
    plain = keras.models.clone_model(model, clone_function=_plain_layer)
    plain.set_weights(model.get_weights())
    plain.save(path)


def _plain_layer(layer: keras.Layer) -> keras.Layer:
    ours = isinstance(layer, BatchNormalization)
    kind = keras.layers.BatchNormalization if ours else type(layer)
    return kind.from_config(layer.get_config())


def load_weights(model: keras.Model, path: Path) -> None:
    """Fill a network, built from our own settings, with the weights of a .keras file.

    Nothing else of the file is used, so nothing in it can run.

    Raises
    ------
    InputError
        If the file does not hold the weights of this network.
    """
    try:
        _check_size(path, most=2 * sum(weight.nbytes for weight in model.get_weights()) + SLACK)
        model.load_weights(path)
    except Exception as error:  # Keras, h5py and zipfile raise every kind on damaged files
        raise InputError(
            path,
            expected="the weights of this network",
            found=f"something else ({type(error).__name__})",
            remedy="run unetseg train again",
        ) from error


def _check_size(path: Path, *, most: int) -> None:
    """Raise a ValueError if a file claims to hold more than so many bytes of weights.

    A dataset of gigabytes takes no room in a file in which it was never written.
    """
    with zipfile.ZipFile(path) as package:
        member = package.getinfo(WEIGHTS)
        if member.file_size > most:
            raise ValueError(f"{WEIGHTS} of {member.file_size} bytes")
        declared = 0

        def add(name: str, item: Any) -> None:
            nonlocal declared
            declared += getattr(item, "nbytes", 0)

        with package.open(WEIGHTS) as file, h5py.File(file, "r") as weights:
            weights.visititems(add)
    if declared > most:
        raise ValueError(f"weights of {declared} bytes")


def hash_weights(model: keras.Model) -> str:
    """sha256 of the weights: unlike the bytes of a .keras file, equal for equal models."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
