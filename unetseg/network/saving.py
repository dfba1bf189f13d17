"""Models on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from unetseg.errors import InputError
from unetseg.network.normalisation import BatchNormalization
from unetseg.network.startup import keras


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
        model.load_weights(path)
    except Exception as error:  # Keras, h5py and zipfile raise every kind on damaged files
        raise InputError(
            path,
            expected="the weights of this network",
            found=f"something else ({type(error).__name__})",
            remedy="run unetseg train again",
        ) from error


def hash_weights(model: keras.Model) -> str:
    """sha256 of the weights: unlike the bytes of a .keras file, equal for equal models."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
