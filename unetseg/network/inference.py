"""A trained network as a function from image to probability."""

from __future__ import annotations

import math

import keras
import numpy as np
import numpy.typing as npt

from unetseg.network.backend import jit

# Bytes that a network takes for each pixel of its highest level and base filter: about 12 float32
# arrays live at once at the widest place of the decoder.
BYTES_PER_PIXEL_AND_FILTER = 48


def compile_for_prediction(model: keras.Model) -> keras.Model:
    """Prepare a network for `predict_image`."""
    model.compile(jit_compile=jit())
    return model


def predict_image(model: keras.Model, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Probability of interior for one image.

    Parameters
    ----------
    model : keras.Model
        As from `unetseg.network.unet.build_unet`.
    image : (H, W) float32
        Standardised; sides divisible by the network's total pooling.

    Returns
    -------
    (H, W) float32
    """
    output = model.predict_on_batch(np.ascontiguousarray(image)[None, :, :, None])
    probability: npt.NDArray[np.float32] = np.asarray(output, np.float32)[0, :, :, 0]
    return probability


def longest_edge(*, memory: float, base_filters: int, stride: int) -> int:
    """Longest side in pixels of a square image that the network predicts within the memory.

    Parameters
    ----------
    memory : float
        In gigabytes (10^9 bytes).
    base_filters, stride : int
        Of the network.
    """
    pixels = memory * 1e9 / (BYTES_PER_PIXEL_AND_FILTER * base_filters)
    return stride * math.isqrt(int(pixels))
