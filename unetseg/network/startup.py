"""Keras, whose backend starts here without its messages: the other files import it from this one.

TensorFlow prints up to a dozen lines before it obeys TF_CPP_MIN_LOG_LEVEL (its issue 100442): while
it is imported, when it looks for a GPU, and when a dataset is first read. None of them is for
users. They come from C++, so the file descriptor itself must look away for that moment; whoever
wants to see them sets TF_CPP_MIN_LOG_LEVEL=0.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from unetseg.errors import UnetsegError
from unetseg.network.allocation import keep_freed_memory

STANDARD_ERROR = 2

__all__ = ["keras"]


@contextmanager
def _silence() -> Iterator[None]:
    """Send what is written to standard error to nowhere. Exceptions still come through."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        yield
        return
    kept = os.dup(STANDARD_ERROR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STANDARD_ERROR)
        yield
    finally:
        os.dup2(kept, STANDARD_ERROR)
        os.close(nowhere)
        os.close(kept)


keep_freed_memory()

with _silence():
    try:
        import keras
    except (ImportError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnetsegError(
            f"Keras: expected a backend that can be imported, found none ({reason}); set "
            "KERAS_BACKEND=tensorflow, or mend ~/.keras/keras.json"
        ) from error

    # That file may want something else, for the sake of other programs.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")

    # Once what makes the backend talk.
    keras.ops.zeros(1)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # It takes the networks of an ensemble for one that is compiled again and again.
        if os.environ["TF_CPP_MIN_LOG_LEVEL"] != "0":
            tf.get_logger().setLevel("ERROR")
        signature = tf.TensorSpec((), tf.int32)
        next(iter(tf.data.Dataset.from_generator(lambda: [0], output_signature=signature)))
