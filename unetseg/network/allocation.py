"""Memory that is freed stays with the process, for the tensors of the next step.

A step of training frees all its tensors and takes them again. The C library hands large blocks
back to the system, which clears every page anew: a third of the time of a step and more
(benchmarks/allocation.py).
"""

from __future__ import annotations

import ctypes
import os

# Of <malloc.h>; the size beyond what is asked for is in bytes.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER, NONE, BEYOND = -1, 0, 64 * 2**20


def keep_freed_memory() -> bool:
    """Tell the C library to keep what is freed, unless its own variables say something.

    Returns
    -------
    bool
        Whether it does: there must be a mallopt, as in glibc.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or os.name != "posix":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((M_MMAP_MAX, NONE), (M_TRIM_THRESHOLD, NEVER), (M_TOP_PAD, BEYOND))
    return all(mallopt(parameter, value) for parameter, value in settings)
