"""How near training and prediction come to what the processor could do at all.

The limit is the time that the multiply-adds of the network's convolutions would take at the rate of
a large matrix product, measured in the same run. A training step needs three times the forward
pass: forward, the gradient by the activations, and the gradient by the weights.

    python benchmarks/step.py

First come the 3 x 3 convolutions alone, at the four resolutions of the compact network: forward,
and the gradients by the inputs and by the kernel, each by TensorFlow's kernels and as in training.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from unetseg.engine.prediction import Predictor, build_network
from unetseg.network.backend import make_deterministic
from unetseg.network.batches import Patches, Slices
from unetseg.network.convolution import Conv2D
from unetseg.network.precision import choose_precision
from unetseg.network.recipes import NETWORKS, RECIPES
from unetseg.network.startup import keras
from unetseg.network.training import Trainer
from unetseg.options import TrainOptions

DEFAULTS = TrainOptions()
EPOCHS = 5
CONVOLUTIONS = (
    (128, (64, 32)),
    (128, (32, 32)),
    (64, (64, 64)),
    (32, (128, 128)),
    (16, (256, 256)),
)


def multiply_adds(model: keras.Model, edge: int) -> int:
    """Of all convolutions, for one image of edge x edge pixels."""
    total = 0
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    shapes = keras.Model(model.input, [(layer.input, layer.output) for layer in convolutions])
    outputs = shapes(np.zeros((1, edge, edge, 1), np.float32))
    for layer, (before, after) in zip(convolutions, outputs, strict=True):
        # A transposed convolution places its kernel on every pixel of its input, not its output.
        transposed = isinstance(layer, keras.layers.Conv2DTranspose)
        pixels = math.prod((before if transposed else after).shape[1:3])
        total += pixels * math.prod(layer.kernel.shape)
    return total


def matrix_product_rate(size: int = 2048) -> float:
    """Multiply-adds a second of a matrix product in the backend, the best of ten."""
    rng = np.random.default_rng(0)
    a, b = (
        keras.ops.convert_to_tensor(rng.standard_normal((size, size)).astype(np.float32))
        for _ in range(2)
    )
    return size**3 / min(_seconds(lambda: np.asarray(keras.ops.matmul(a, b))) for _ in range(10))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def convolution_seconds(
    kind: type[keras.layers.Conv2D], edge: int, channels: tuple[int, int]
) -> list[float]:
    """Forward, gradient by the inputs, gradient by the kernel; of four images, the best of ten."""
    import tensorflow as tf

    layer = kind(channels[1], 3, padding="same", use_bias=False)
    images = tf.random.normal((4, edge, edge, channels[0]))
    upstream = tf.random.normal((4, edge, edge, channels[1]))
    layer(images)  # has a kernel now

    def gradient(by_inputs: bool) -> Any:
        kernel = tf.convert_to_tensor(layer.kernel)
        by = images if by_inputs else kernel
        with tf.GradientTape() as tape:
            tape.watch(by)
            outputs = layer.convolution_op(images, kernel)
        return tape.gradient(outputs, by, upstream)

    best = []
    for work in (lambda: layer(images), lambda: gradient(True), lambda: gradient(False)):
        compiled = tf.function(work)
        compiled()
        best.append(min(_seconds(compiled) for _ in range(10)))
    return best


def measure_convolutions(rate: float) -> None:
    """Print a line for each resolution, in milliseconds."""
    print(
        "3 x 3 convolutions of 4 images: limit; forward; by inputs, by kernel: TensorFlow -> here"
    )
    for edge, channels in CONVOLUTIONS:
        plain = convolution_seconds(keras.layers.Conv2D, edge, channels)
        here = convolution_seconds(Conv2D, edge, channels)
        limit = 4 * edge**2 * 9 * math.prod(channels) / rate
        gradients = ", ".join(
            f"{one * 1e3:.1f} -> {other * 1e3:.1f}"
            for one, other in zip(plain[1:], here[1:], strict=True)
        )
        print(
            f"  {edge} x {edge}, {channels[0]} to {channels[1]} channels: {limit * 1e3:.1f}; "
            f"{plain[0] * 1e3:.1f}; {gradients} ms"
        )


def training_seconds(
    network: str, folder: Path, *, batches: int, batch_size: int, precision: str
) -> float:
    """A step's mean over an epoch, in the median epoch, patches cut from files included."""
    patches = Patches(
        make_slices(folder, batches * batch_size),
        shape=(DEFAULTS.patch, DEFAULTS.patch),
        count=batches * batch_size,
        batch_size=batch_size,
        overhang=NETWORKS[network].border,
        seed=0,
    )
    trainer = Trainer(
        build_network(NETWORKS[network], seed=0),
        patches,
        minutes=0,
        **replace(RECIPES[DEFAULTS.recipe], epochs=EPOCHS).for_trainer(),
        precision=choose_precision(precision),
    )
    clock = []
    trainer.run(lambda epoch: clock.append(epoch.seconds))
    # The first epoch compiles.
    return statistics.median(np.diff(clock)) / batches


def make_slices(folder: Path, count: int) -> Slices:
    """Memory-mapped arrays of noise, as large as slices of ISBI 2012."""
    rng = np.random.default_rng(0)
    for name, dtype in (("images", np.float32), ("labels", np.uint8), ("weights", np.float32)):
        np.save(folder / f"{name}.npy", rng.integers(2, size=(count, 512, 512)).astype(dtype))
    images, labels, weights = (
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "labels", "weights")
    )
    return Slices(images, labels, weights)


def prediction_seconds(network: str, edge: int) -> float:
    """One slice, the median of ten."""
    predictor = Predictor(build_network(NETWORKS[network], seed=0), NETWORKS[network])
    image = np.zeros((edge, edge), np.float32)
    predictor.run(image)
    return statistics.median(_seconds(lambda: predictor.run(image)) for _ in range(10))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", choices=tuple(NETWORKS), default=DEFAULTS.network)
    parser.add_argument("--batches", type=int, default=20, help="steps in each of five epochs")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="float32")
    options = parser.parse_args()
    network, edge = options.network, DEFAULTS.patch
    adds = multiply_adds(build_network(NETWORKS[network], seed=0), edge)
    print(f"{network}: {adds / 1e9:.2f} G multiply-adds forward for {edge} x {edge} pixels")

    with tempfile.TemporaryDirectory() as folder:

        def train() -> float:
            return training_seconds(
                network,
                Path(folder),
                batches=options.batches,
                batch_size=DEFAULTS.batch_size,
                precision=options.precision,
            )

        before = matrix_product_rate()
        measure_convolutions(before)
        loose = train()
        make_deterministic(0)
        strict = train()
        chosen = "unetseg.network.training.is_cheaper"
        with patch(chosen, lambda: False):
            plain = train()
        with patch(chosen, lambda: True):
            products = train()
    slice_edge = 2 * edge
    forward = prediction_seconds(network, slice_edge)
    after = matrix_product_rate()
    rate = (before + after) / 2
    print(f"matrix product: {rate / 1e9:.0f} G multiply-adds a second")
    limit = 3 * DEFAULTS.batch_size * adds / rate
    steps = {
        "operations in any order": loose,
        "as it is": strict,
        "gradients by TensorFlow's kernels": plain,
        "gradients by matrix products": products,
    }
    for name, seconds in steps.items():
        print(
            f"training step, {name}: {seconds * 1e3:.0f} ms, limit {limit * 1e3:.0f} ms: "
            f"{limit / seconds:.0%} of the limit"
        )
    limit = (slice_edge / edge) ** 2 * adds / rate
    print(
        f"prediction of {slice_edge} x {slice_edge}: {forward * 1e3:.0f} ms, limit "
        f"{limit * 1e3:.0f} ms: {limit / forward:.0%} of the limit"
    )


if __name__ == "__main__":
    main()
