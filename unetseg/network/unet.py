"""The U-Net of Ronneberger et al. 2015 (doi 10.1007/978-3-319-24574-4_28), figure 1.

Differences from the figure: convolutions are padded, so that output and input have the same size
(borders are mirrored before prediction instead), and one sigmoid channel replaces two softmax ones.
With a strided stem the whole network works at lower resolution, where more filters cost less.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unetseg.network.normalisation import BatchNormalization
from unetseg.network.startup import keras

layers = keras.layers

LOGITS = "logits"


def build_unet(
    *, base_filters: int, depth: int, stride: int, batch_norm: bool, dropout: float, seed: int
) -> keras.Model:
    """Build a U-Net for slices of any size divisible by ``stride * 2**depth``.

    Parameters
    ----------
    base_filters : int
        Filters at the highest resolution; doubled at each of the `depth` levels below.
    depth : int
        Number of poolings.
    stride : int
        Stride of a first convolution that lowers the resolution, 1 for none. The last layer raises
        it again.
    batch_norm : bool
        Normalise after every convolution.
    dropout : float
        Rate of dropout on the two lowest levels, 0 for none.
    seed : int
        Seed of the first weights and of dropout.

    Returns
    -------
    keras.Model
        (N, H, W, 1) float32 normalised images to (N, H, W, 1) float32 probabilities of
        interior. The layer named `LOGITS` holds their logits.
    """
    rng = np.random.default_rng(seed)

    def draw() -> int:
        return int(rng.integers(2**31))

    inputs = keras.Input((None, None, 1), name="image")
    x = inputs
    if stride > 1:
        initializer = keras.initializers.HeNormal(draw())
        x = layers.Conv2D(
            base_filters, 2 * stride, strides=stride, padding="same", kernel_initializer=initializer
        )(x)
        x = layers.ReLU()(x)
    skips = []
    for level in range(depth):
        x = _convolutions(x, base_filters * 2**level, batch_norm=batch_norm, draw=draw)
        if dropout and level == depth - 1:
            x = layers.Dropout(dropout, seed=draw())(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _convolutions(x, base_filters * 2**depth, batch_norm=batch_norm, draw=draw)
    if dropout:
        x = layers.Dropout(dropout, seed=draw())(x)
    for level in reversed(range(depth)):
        filters = base_filters * 2**level
        initializer = keras.initializers.HeNormal(draw())
        x = layers.Conv2DTranspose(filters, 2, strides=2, kernel_initializer=initializer)(x)
        x = layers.Concatenate()([skips[level], x])
        x = _convolutions(x, filters, batch_norm=batch_norm, draw=draw)
    # One plain convolution: a ReLU before the sigmoid would die, and grey out whole runs.
    initializer = keras.initializers.GlorotUniform(draw())
    convolution = layers.Conv2D if stride == 1 else layers.Conv2DTranspose
    logits = convolution(1, stride, strides=stride, kernel_initializer=initializer, name=LOGITS)(x)
    return keras.Model(inputs, layers.Activation("sigmoid", name="interior")(logits))


def _convolutions(
    x: keras.KerasTensor, filters: int, *, batch_norm: bool, draw: Callable[[], int]
) -> keras.KerasTensor:
    """Two 3 x 3 convolutions, each followed by a ReLU."""
    for _ in range(2):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=not batch_norm,
            kernel_initializer=keras.initializers.HeNormal(draw()),
        )(x)
        if batch_norm:
            x = BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    return x


def with_logits(model: keras.Model) -> keras.Model:
    """The same network without the sigmoid: losses of logits do not saturate."""
    return keras.Model(model.input, model.get_layer(LOGITS).output)
