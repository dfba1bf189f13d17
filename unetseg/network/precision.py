"""Choose the precision of training: float32, or bfloat16 where a processor is built for it.

Unlike float16, bfloat16 has the range of float32, so that no loss needs scaling. Weights, their
updates and the logits are float32 in either case.
"""

from __future__ import annotations

import time

import numpy as np

from unetseg.errors import UsageError
from unetseg.network.backend import cpu_flags, has_accelerator
from unetseg.network.startup import keras

FLOAT32, BFLOAT16 = "float32", "mixed_bfloat16"  # as Keras calls them

CPU_FLAGS = {"avx512_bf16", "amx_bf16"}

# A typical convolution of a U-Net: images, edge, channels. The rest of a training step gains
# little, so bfloat16 is only worth it if convolutions gain much.
MEASURED = (4, 64, 64)
REPEATS = 10
WORTH_IT = 1.5


def choose_precision(wanted: str) -> str:
    """Choose what to train in on this machine.

    Parameters
    ----------
    wanted : str
        float32, bfloat16, or auto for the faster one.

    Returns
    -------
    str
        `FLOAT32` or `BFLOAT16`.

    Raises
    ------
    UsageError
        If bfloat16 is wanted, but the processor does not support it.
    """
    possible = wanted != "float32" and has_bfloat16()
    if wanted == "auto":
        return BFLOAT16 if possible and (has_accelerator() or _is_worth_it()) else FLOAT32
    if wanted == "bfloat16" and not possible:
        raise UsageError(
            "--precision bfloat16: expected a processor that has it (avx512_bf16 or amx_bf16 among "
            "its flags, or a GPU since Ampere), found none; leave it out"
        )
    return BFLOAT16 if possible else FLOAT32


def has_bfloat16() -> bool:
    """Whether the processor or GPU supports bfloat16 itself, rather than emulating it."""
    if not has_accelerator():
        return not CPU_FLAGS.isdisjoint(cpu_flags())
    if keras.backend.backend() == "torch":
        import torch

        return bool(torch.cuda.is_bf16_supported())
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        details = tf.config.experimental.get_device_details(
            tf.config.list_physical_devices("GPU")[0]
        )
        ampere = (8, 0)  # the first generation that has it
        return bool(details.get("compute_capability", ampere) >= ampere)
    return True


def _is_worth_it() -> bool:
    """Whether a convolution is much faster in bfloat16: some processors only claim support."""
    seconds = _measure()
    return seconds["float32"] > WORTH_IT * seconds["bfloat16"]


def _measure() -> dict[str, float]:
    """Measure how long processors work for a convolution, in either type; the shortest of each.

    In turns, and not by elapsed time: the choice must not depend on what else the machine does.
    """
    count, edge, channels = MEASURED
    times: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for _ in range(REPEATS):
        for dtype, measured in times.items():
            images = keras.ops.ones((count, edge, edge, channels), dtype)
            kernel = keras.ops.ones((3, 3, channels, channels), dtype)
            began = time.process_time()
            np.asarray(keras.ops.convert_to_numpy(keras.ops.conv(images, kernel, padding="same")))
            measured.append(time.process_time() - began)
    return {dtype: min(measured) for dtype, measured in times.items()}
