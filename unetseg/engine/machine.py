"""Memory: how much the user allows, and how much was used."""

from __future__ import annotations

import math
import re
import sys

from unetseg.engine.parallel import available_cores
from unetseg.errors import UsageError

UNITS = {"MB": 1e6, "GB": 1e9, "MIB": 2.0**20, "GIB": 2.0**30}

# Bytes of a process that has imported the code for segmenting; measured, and a quarter added.
PROCESS = 1.5e8


def parse_memory(text: str) -> float:
    """Return the number of bytes of a size such as 2GB or 800 MB.

    Raises
    ------
    UsageError
        If the text is no such size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG]i?B)", text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"--memory: expected a size such as 2GB or 800MB, found {text!r}")
    return float(match[1]) * UNITS[match[2].upper()]


def processes_within(memory: float, each: float, *, what: str, instead: str | None = None) -> int:
    """Return how many processes fit into memory: at least 1, and at most one for each core.

    Parameters
    ----------
    memory : float
        Bytes that all of them may take.
    each : float
        Bytes that one takes, without those of Python itself.
    what : str
        What takes them, for the error.
    instead : str, optional
        An option that avoids it, for the error.

    Raises
    ------
    UsageError
        If not even one fits.
    """
    if memory < each + PROCESS:
        raise UsageError(
            f"--memory: expected more than {memory / 1e9:.2g}GB, which {what} does not fit into; "
            f"give {math.ceil((each + PROCESS) / 1e8) / 10}GB"
            + (f", or {instead}" if instead else "")
        )
    # If there are others, this process only waits for them.
    return max(1, min(available_cores(), int((memory - PROCESS) / (each + PROCESS))))


def peak_memory() -> int | None:
    """Return the peak memory of this process in bytes; None where it is not counted (Windows)."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
