"""Memory: how much a user allows, and how much was taken."""

from __future__ import annotations

import math
import re
import sys

from unetseg.engine.parallel import available_cores
from unetseg.errors import UsageError

UNITS = {"MB": 1e6, "GB": 1e9, "MIB": 2.0**20, "GIB": 2.0**30}

# Bytes of a process that has imported what segments cells; measured, and a quarter added.
PROCESS = 1.5e8


def parse_memory(text: str) -> float:
    """Bytes that a text such as 2GB or 800 MB stands for.

    Raises
    ------
    UsageError
        If it is no such text.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG]i?B)", text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"--memory: expected a size such as 2GB or 800MB, found {text!r}")
    return float(match[1]) * UNITS[match[2].upper()]


def processes_within(memory: float, each: float, *, what: str, instead: str | None = None) -> int:
    """How many processes, of no more than there are cores, fit into memory.

    Parameters
    ----------
    memory : float
        Bytes that all of them may take.
    each : float
        Bytes that one takes, beside those of Python itself.
    what : str
        For which it takes them.
    instead : str, optional
        An option that spares it.

    Raises
    ------
    UsageError
        If not one fits.
    """
    if memory < each + PROCESS:
        raise UsageError(
            f"--memory: expected more than {memory / 1e9:.2g}GB, which {what} does not fit into; "
            f"give {math.ceil((each + PROCESS) / 1e8) / 10}GB"
            + (f", or {instead}" if instead else "")
        )
    # Beside others, the first one only waits for them.
    return max(1, min(available_cores(), int((memory - PROCESS) / (each + PROCESS))))


def peak_memory() -> int | None:
    """Most bytes that this process has had in memory at once; None where nobody counts them."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
