"""Convolutions with cheaper gradients are those of Keras in all that counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from unetseg.network import backend, convolution
from unetseg.network.convolution import Conv2D, can_stand_in, is_cheaper
from unetseg.network.startup import keras

tf = pytest.importorskip("tensorflow")

Cpu = Callable[[str], int]


@pytest.fixture
def cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cpu:
    """A machine without a GPU that says this of its processor."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(backend, "CPU_INFO", path)
    monkeypatch.setattr(convolution, "has_accelerator", lambda: False)
    return path.write_text


def gradients(layer: keras.Layer, images: np.ndarray, upstream: np.ndarray) -> list[np.ndarray]:
    """Outputs of a layer, and gradients by its inputs, its kernel and its bias."""
    inputs = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
        loss = tf.reduce_sum(outputs * upstream)
    variables = [weight.value for weight in layer.trainable_weights]
    return [one.numpy() for one in (outputs, *tape.gradient(loss, [inputs, *variables]))]


@pytest.mark.parametrize("shape", [(1, 5, 7, 3), (3, 8, 4, 2), (2, 1, 6, 1), (2, 6, 1, 4)])
def test_outputs_and_gradients_are_those_of_keras(shape: tuple[int, ...]):
    rng = np.random.default_rng(0)
    images = rng.normal(size=shape).astype(np.float32)
    upstream = rng.normal(size=(*shape[:3], 5)).astype(np.float32)
    found = {}
    for kind in (keras.layers.Conv2D, Conv2D):
        layer = kind(5, 3, padding="same", kernel_initializer=keras.initializers.HeNormal(1))
        found[kind] = gradients(layer, images, upstream)
    for plain, cheap in zip(*found.values(), strict=True):
        np.testing.assert_allclose(cheap, plain, rtol=1e-5, atol=1e-5)


def test_a_gradient_by_hand():
    """One pixel of 2 in the middle, one of 3 upstream, right above: only that shift has 6."""
    images, upstream = np.zeros((2, 1, 5, 5, 1), np.float32)
    images[0, 2, 2], upstream[0, 1, 2] = 2, 3
    layer = Conv2D(1, 3, padding="same", kernel_initializer="ones")
    _, by_inputs, by_kernel, by_bias = gradients(layer, images, upstream)
    expected = np.zeros((3, 3))
    expected[2, 1] = 6
    np.testing.assert_array_equal(by_kernel[..., 0, 0], expected)
    # Whatever lies within a pixel of it has a share.
    expected = np.zeros((5, 5))
    expected[0:3, 1:4] = 3
    np.testing.assert_array_equal(by_inputs[0, :, :, 0], expected)
    assert by_bias == 3


@pytest.mark.parametrize(
    ("layer", "cheaper"),
    [
        (keras.layers.Conv2D(2, 3, padding="same"), True),
        (keras.layers.Conv2D(2, 3, padding="valid"), False),
        (keras.layers.Conv2D(2, 3, padding="same", strides=2), False),
        (keras.layers.Conv2D(2, 3, padding="same", dilation_rate=2), False),
        (keras.layers.Conv2D(2, 3, padding="same", groups=2), False),
        (keras.layers.Conv2D(2, 5, padding="same"), False),
        (keras.layers.Conv2DTranspose(2, 3, padding="same"), False),
    ],
)
def test_other_layers_stay_as_they_are(layer: keras.Layer, cheaper: bool, cpu: Cpu):
    cpu("flags : fpu avx2 avx512f")
    assert is_cheaper()
    assert can_stand_in(layer) is (cheaper and keras.backend.backend() == "tensorflow")


@pytest.mark.parametrize("flag", ["avx512_vnni", "avx512_bf16"])
def test_none_is_replaced_where_tensorflow_is_fast(flag: str, cpu: Cpu):
    cpu(f"processor : 0\nflags : fpu avx2 {flag} sha")
    assert not is_cheaper()
