"""Import Keras and start its backend without messages; the other files import Keras from here.

TensorFlow prints up to a dozen lines before it obeys TF_CPP_MIN_LOG_LEVEL (its issue 100442): while
it is imported, when it looks for a GPU, and when a dataset is first read. None of them is for
users. They come from C++, so the file descriptor of standard error itself is redirected meanwhile;
TF_CPP_MIN_LOG_LEVEL=0 shows them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from unetseg.errors import UnetsegError
from unetseg.network.allocation import keep_freed_memory

STANDARD_ERROR = 2

__all__ = ["keras"]


@contextmanager
def _silence() -> Iterator[None]:
    """Discard what is written to standard error. Exceptions still propagate."""
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


def _choose_backend() -> None:
    """Use TensorFlow, which is always installed, instead of a backend that is not.

    Keras' configuration file may name one, for the sake of other programs. If KERAS_BACKEND is set,
    it is obeyed.
    """
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    if os.environ.get("KERAS_BACKEND"):
        return
    try:
        wanted = str(json.loads(file.read_text(encoding="utf-8"))["backend"])
        missing = find_spec(wanted) is None
    except (OSError, ValueError, KeyError, TypeError, ImportError):
        return
    if missing:
        print(
            f"warning: {file}: names the backend {wanted}, which is not installed: TensorFlow is "
            "used",
            file=sys.stderr,
        )
        os.environ["KERAS_BACKEND"] = "tensorflow"


keep_freed_memory()
_choose_backend()

with _silence():
    try:
        import keras
    except (ImportError, ValueError, AttributeError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnetsegError(
            "Keras: expected a backend that can be imported and settings that it knows, found "
            f"others ({reason}); set KERAS_BACKEND=tensorflow, or mend ~/.keras/keras.json"
        ) from error

    # Keras' configuration file may set something else, for the sake of other programs.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")

    # Do once, in silence, what makes the backend print its messages.
    keras.ops.zeros(1)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # It mistakes the networks of an ensemble for one that is compiled again and again.
        if os.environ["TF_CPP_MIN_LOG_LEVEL"] != "0":
            tf.get_logger().setLevel("ERROR")
        signature = tf.TensorSpec((), tf.int32)
        next(iter(tf.data.Dataset.from_generator(lambda: [0], output_signature=signature)))
