"""What differs between machines and between the backends of Keras."""

from __future__ import annotations

import keras


def has_accelerator() -> bool:
    """Whether the backend sees a GPU."""
    return bool(keras.distribution.list_devices("gpu"))


def jit() -> str | bool:
    """What `jit_compile` should be: XLA makes training on a CPU more than twice as slow."""
    return "auto" if has_accelerator() else False
