"""Batch normalisation, in TensorFlow's one fused operation where TensorFlow is the backend.

`keras.layers.BatchNormalization` is a dozen operations there, each of which reads and writes the
whole activation: a fifth of a training step on two cores, where the fused one takes a twelfth.
"""

from __future__ import annotations

from typing import Any

from unetseg.network.startup import keras


class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras ships no types
    """The layer of Keras: same weights, same outputs."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise over all axes but the last."""
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        if not training:
            outputs, _, _ = tf.compat.v1.nn.fused_batch_norm(
                inputs,
                self.gamma,
                self.beta,
                mean=self.moving_mean,
                variance=self.moving_variance,
                epsilon=self.epsilon,
                is_training=False,
            )
            return outputs
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        for moving, present in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + present * (1 - self.momentum))
        return outputs
