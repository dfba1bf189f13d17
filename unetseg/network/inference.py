"""A trained network as a function from image to probability."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from unetseg.network.backend import jit
from unetseg.network.startup import keras

# Memory that a process takes before it predicts, most of it for TensorFlow. Measured: 650 MB, and
# one and a half times the weights; a reader of compressed files keeps 128 MB more.
BYTES_BEFORE = 850e6
BYTES_PER_WEIGHT = 8
# For every network after the first, on top of its weights; measured: 10 MB.
BYTES_PER_NETWORK = 20e6

# Memory of a network for each pixel of its highest level and base filter: measured, 25 to 29. And
# for each pixel of the image, the arrays that it is read, normalised and summed up in.
BYTES_PER_PIXEL_AND_FILTER = 30
BYTES_PER_PIXEL = 40


def prepare(
    model: keras.Model,
) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """Turn a network into a function of one image.

    Parameters
    ----------
    model : keras.Model
        As from `unetseg.network.unet.build_unet`.

    Returns
    -------
    callable
        Takes an image, (H, W) float32, normalised, with sides divisible by the network's total
        pooling; returns the probability of interior, (H, W) float32.
    """
    model.compile(jit_compile=jit())

    def run(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        output = model.predict_on_batch(np.ascontiguousarray(image)[None, :, :, None])
        probability: npt.NDArray[np.float32] = np.asarray(output, np.float32)[0, :, :, 0]
        return probability

    return run


def longest_edge(*, memory: float, base_filters: int, stride: int, weights: int) -> int:
    """Return the longest side, in pixels, of a square image that a process can predict.

    Parameters
    ----------
    memory : float
        Of the whole process, in bytes.
    base_filters, stride, weights : int
        Of the network.
    """
    free = memory - BYTES_BEFORE - BYTES_PER_WEIGHT * weights
    return math.isqrt(int(max(0.0, free) / _bytes_per_pixel(base_filters, stride)))


def least_memory(edge: int, *, base_filters: int, stride: int, weights: int) -> float:
    """Return the bytes that suffice for a square image: the inverse of `longest_edge`."""
    pixels = _bytes_per_pixel(base_filters, stride) * edge**2
    return BYTES_BEFORE + BYTES_PER_WEIGHT * weights + pixels


def bytes_of_another(weights: int) -> float:
    """Return the bytes that a further network takes, while it is idle and the first predicts."""
    return BYTES_PER_NETWORK + BYTES_PER_WEIGHT * weights


def _bytes_per_pixel(base_filters: int, stride: int) -> float:
    return BYTES_PER_PIXEL_AND_FILTER * base_filters / stride**2 + BYTES_PER_PIXEL


def fold_normalisation(model: keras.Model, plain: keras.Model) -> None:
    """Set the weights of a network without batch normalisation so that it equals one with it.

    Normalisation by fixed moments is a scale and a shift of every channel, which the convolution
    before it can do at no cost.

    Parameters
    ----------
    model, plain : keras.Model
        As from `unetseg.network.unet.build_unet`, the same except for `batch_norm`.
    """
    targets = [layer for layer in plain.layers if layer.weights]
    sources = [layer for layer in model.layers if layer.weights]
    for target in targets:
        kernel, bias = _next(sources)
        target.set_weights([kernel, bias])


def _next(sources: list[keras.Layer]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Take the next convolution from the list; return kernel and bias with its normalisation."""
    weights = sources.pop(0).get_weights()
    if len(weights) == 2:
        kernel, bias = weights
        return kernel, bias
    gamma, beta, mean, variance = (w.astype(np.float64) for w in sources[0].get_weights())
    scale = gamma / np.sqrt(variance + sources.pop(0).epsilon)
    return (weights[0] * scale).astype(np.float32), (beta - mean * scale).astype(np.float32)
