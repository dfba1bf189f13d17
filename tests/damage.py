"""Ways to damage files, and what must become of them: one line, or a bounded reading."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unetseg.errors import InputError
from unetseg.stacks.opening import open_volume

SECONDS = 10
MEGABYTES = 500  # beside what the process has already: after other tests, that may be gigabytes
SLICES, EDGE = 8, 1000
"""How much is read of a stack that says it is larger than any that was written."""


def check_line(error: InputError) -> None:
    """It is one, and says what to do."""
    assert "\n" not in str(error)
    assert "; " in str(error)


def read_some(path: Path) -> np.ndarray | None:
    """The stack, or as much of it as is good for a test; None where it is refused with one line."""
    start = time.monotonic()
    before = watch_memory()
    try:
        with open_volume(path) as volume:
            slices, height, width = volume.shape
            box = slice(0, min(height, EDGE)), slice(0, min(width, EDGE))
            found = [volume.read(index, box) for index in range(min(slices, SLICES))]
            assert found[0].dtype == volume.dtype
            return np.stack(found)
    except InputError as error:
        check_line(error)
        return None
    finally:
        assert time.monotonic() - start < SECONDS
        assert peak() - before < MEGABYTES


def watch_memory() -> float:
    """Begin to watch the memory of this process, where the system lets us; what it has now."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    return peak()


def peak() -> float:
    """The most memory that was taken since, in megabytes; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def flips(whole: bytes, count: int, *, first: int = 0, most: int = 4) -> Iterator[bytes]:
    """The file with some bytes replaced, all over it and, by turns, among the first ones."""
    rng = np.random.default_rng(0)
    for number in range(count):
        changed = bytearray(whole)
        end = first if first and number % 2 else len(whole)
        for place in rng.integers(min(end, len(whole)), size=rng.integers(1, most)):
            changed[place] = rng.choice((0, 1, 0x7F, 0xFF, rng.integers(256)))
        yield bytes(changed)


def cuts(whole: bytes, count: int) -> Iterator[bytes]:
    """The file cut off at many places; the last one lacks a byte."""
    for number in range(count):
        yield whole[: (len(whole) - 1) * (number + 1) // count]
