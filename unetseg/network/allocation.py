"""Keep freed memory in the process, for the tensors of the next step.

Each step of training frees all its tensors and allocates them again. The C library returns large
blocks to the system, which clears every page anew: this takes a third of the time of a step and
more (benchmarks/allocation.py).
"""

from __future__ import annotations

import ctypes
import os

# From <malloc.h>; BEYOND is in bytes.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER, NONE, BEYOND = -1, 0, 64 * 2**20


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory, unless environment variables MALLOC_* are set.

    Returns
    -------
    bool
        Whether it does, which requires mallopt, as in glibc.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or os.name != "posix":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((M_MMAP_MAX, NONE), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, BEYOND))
    return all(mallopt(parameter, value) for parameter, value in settings)
