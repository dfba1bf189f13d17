"""3 x 3 convolutions whose gradients are cheap on a CPU, in float32.

TensorFlow's own kernels for the two gradients take up to four times as long as the convolution, at
high resolution with few channels, though each has as many multiply-adds; only with AVX-512 they do
not. Both can be computed by operations that run at full speed. A network with these layers has the
same weights as one with those of Keras, and the same outputs; gradients differ by rounding.
"""

from __future__ import annotations

from typing import Any

from unetseg.network.backend import cpu_flags, has_accelerator
from unetseg.network.startup import keras

KERNEL = (3, 3)

# With one of these TensorFlow calls oneDNN, with whose gradients a step takes four fifths of the
# time.
ONEDNN = {"avx512_vnni", "avx512_bf16"}


class Conv2D(keras.layers.Conv2D):  # type: ignore[misc]  # Keras ships no types
    """Keras' layer for TensorFlow, with KERNEL, stride 1, and padding to the size of the input."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve (N, H, W, C) with (3, 3, C, F) to (N, H, W, F)."""
        import tensorflow as tf

        return tf.custom_gradient(_convolve)(inputs, tf.convert_to_tensor(kernel))


def is_cheaper() -> bool:
    """Whether `Conv2D` saves time on this machine, where it can stand in for a layer."""
    return not has_accelerator() and ONEDNN.isdisjoint(cpu_flags())


def can_stand_in(layer: keras.Layer) -> bool:
    """Whether `Conv2D` computes the same as a layer."""
    return (
        keras.backend.backend() == "tensorflow"
        and type(layer) is keras.layers.Conv2D
        and layer.kernel_size == KERNEL
        and layer.strides == layer.dilation_rate == (1, 1)
        and layer.padding == "same"
        and layer.groups == 1
    )


def _convolve(inputs: Any, kernel: Any) -> tuple[Any, Any]:
    """Return a convolution, and the function that computes its gradients."""
    import tensorflow as tf

    def gradients(upstream: Any) -> tuple[Any, Any]:
        # By the inputs: a convolution with the kernel turned by 180 degrees, from F channels to C.
        turned = tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
        return tf.nn.conv2d(upstream, turned, 1, "SAME"), _kernel_gradient(inputs, upstream)

    return tf.nn.conv2d(inputs, kernel, 1, "SAME"), gradients


def _kernel_gradient(inputs: Any, upstream: Any) -> Any:
    """Compute the gradient by a kernel as three matrix products; (3, 3, C, F).

    Each image gets a frame of zeros, and all rows of all images are put in one line of pixels. A
    shift of the kernel is then a shift of this line: by one pixel for a column, for which three
    shifted copies are put side by side, and by the length of a row for a row, which costs nothing.
    """
    import tensorflow as tf

    row = tf.shape(inputs)[2] + 2
    pixels, gradients = (
        tf.reshape(tf.pad(one, ((0, 0), (1, 1), (1, 1), (0, 0))), (-1, one.shape[-1]))
        for one in (inputs, upstream)
    )
    first = row + 1
    count = tf.shape(pixels)[0] - 2 * first

    def shifted(line: Any, by: Any) -> Any:
        return line[first + by : first + by + count]

    beside = tf.concat([shifted(gradients, -column) for column in (-1, 0, 1)], axis=1)
    products = [
        tf.matmul(shifted(pixels, line * row), beside, transpose_a=True) for line in (-1, 0, 1)
    ]
    by_shift = tf.reshape(tf.stack(products), (3, inputs.shape[-1], 3, upstream.shape[-1]))
    return tf.transpose(by_shift, (0, 2, 1, 3))
