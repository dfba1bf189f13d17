"""What differs between machines and between the backends of Keras."""

from __future__ import annotations

import importlib
from pathlib import Path

from unetseg.errors import UsageError
from unetseg.network.startup import keras

# Where Linux lists the features of a processor.
CPU_INFO = Path("/proc/cpuinfo")


def cpu_flags() -> set[str]:
    """Features of the processor; none on other systems than Linux."""
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


def has_accelerator() -> bool:
    """Whether the backend sees a GPU."""
    if keras.backend.backend() == "torch":  # for which Keras lists no devices
        import torch

        return bool(torch.cuda.is_available())
    return bool(keras.distribution.list_devices("gpu"))


def jit() -> str | bool:
    """What `jit_compile` should be: XLA makes training on a CPU more than twice as slow."""
    return "auto" if has_accelerator() else False


def make_deterministic(seed: int) -> None:
    """Seed the random generators of the backend, and make equal steps give equal results."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def use_full_precision() -> None:
    """Make GPUs multiply in float32 from now on, and not in their 10-bit TensorFloat-32."""
    if keras.backend.backend() == "torch":
        import torch

        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    elif keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")


def require_tensorflow(option: str) -> None:
    """Raise a UsageError unless Keras runs on TensorFlow, which the option requires."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UsageError(
            f"{option}: expected the TensorFlow backend of Keras, found {backend}; run the same "
            "command with KERAS_BACKEND=tensorflow"
        )


def backend_version() -> str:
    """Version of the backend."""
    return str(importlib.import_module(keras.backend.backend()).__version__)


def describe_backend() -> dict[str, str]:
    """Names and versions, for manifests."""
    return {"backend": keras.backend.backend(), "keras": keras.__version__}
