"""Memory: how much a user allows, and how much was taken."""

from __future__ import annotations

import re
import sys

from unetseg.errors import UsageError

UNITS = {"MB": 1e6, "GB": 1e9, "MIB": 2.0**20, "GIB": 2.0**30}


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


def peak_memory() -> int | None:
    """Most bytes that this process has had in memory at once; None where nobody counts them."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
