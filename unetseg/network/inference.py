"""A trained network as a function from image to probability."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from unetseg.network.backend import jit
from unetseg.network.startup import keras

# What a process takes before it predicts, most of it TensorFlow. Measured: 650 MB, and the weights
# one and a half times; a reader of compressed files keeps 128 MB more.
BYTES_BEFORE = 850e6
BYTES_PER_WEIGHT = 8
# Of every network beside the first, on top of its weights; measured: 10 MB.
BYTES_PER_NETWORK = 20e6

# What a network takes for each pixel of its highest level and base filter: measured, 25 to 29. And
# for each pixel of the image what it is read, normalised and summed up in.
BYTES_PER_PIXEL_AND_FILTER = 30
BYTES_PER_PIXEL = 40


def prepare(
    model: keras.Model,
) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """Make a network a function of one image.

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
    """Longest side in pixels of a square image that a process predicts within the memory.

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
    """Bytes that suffice for a square image with this side: the inverse of `longest_edge`."""
    pixels = _bytes_per_pixel(base_filters, stride) * edge**2
    return BYTES_BEFORE + BYTES_PER_WEIGHT * weights + pixels


def bytes_of_another(weights: int) -> float:
    """Bytes that a further network takes, which waits while the first predicts."""
    return BYTES_PER_NETWORK + BYTES_PER_WEIGHT * weights


def _bytes_per_pixel(base_filters: int, stride: int) -> float:
    return BYTES_PER_PIXEL_AND_FILTER * base_filters / stride**2 + BYTES_PER_PIXEL


def fold_normalisation(model: keras.Model, plain: keras.Model) -> None:
    """Fill a network without batch normalisation so that it does what one with it does.

    Normalisation by fixed moments is a scale and a shift of every channel, which the convolution
    before it can do for nothing.

    Parameters
    ----------
    model, plain : keras.Model
        As from `unetseg.network.unet.build_unet`, alike but for `batch_norm`.
    """
    targets = [layer for layer in plain.layers if layer.weights]
    sources = [layer for layer in model.layers if layer.weights]
    for target in targets:
        kernel, bias = _next(sources)
        target.set_weights([kernel, bias])


def _next(sources: list[keras.Layer]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Kernel and bias of the next convolution, with the normalisation that follows it."""
    weights = sources.pop(0).get_weights()
    if len(weights) == 2:
        kernel, bias = weights
        return kernel, bias
    gamma, beta, mean, variance = (w.astype(np.float64) for w in sources[0].get_weights())
    scale = gamma / np.sqrt(variance + sources.pop(0).epsilon)
    return (weights[0] * scale).astype(np.float32), (beta - mean * scale).astype(np.float32)
