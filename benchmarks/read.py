"""Seconds that compressed slices take to be read one by one, against tifffile's whole stack.

    python benchmarks/read.py [--size 4096] [--slices 10]

4096 x 4096, 10 slices, deflate, strips of 8 kB, two cores that others worked on too: unetseg
2.17 s, tifffile, which decodes strips side by side, 1.58 s, ratio 1.37. The first slice took
0.19 s, the tenth 0.27 s: the time of a slice does not depend on how many are before it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from unetseg.stacks.opening import open_volume

STRIP = 8192  # bytes before compression, as libtiff writes them
RUNS = 3  # by turns, of which the fastest counts


def main() -> None:
    """Print what each slice took, and the ratio to tifffile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--slices", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stack.tif")
        write(path, arguments.size, arguments.slices)
        ours, theirs = [], []
        for _ in range(RUNS):
            start = time.perf_counter()
            tifffile.imread(path)
            theirs.append(time.perf_counter() - start)
            ours.append(read(path))
    slices = min(ours, key=sum)
    print("slices, s: " + " ".join(f"{seconds:.2f}" for seconds in slices))
    print(f"unetseg {sum(slices):.2f} s, tifffile {min(theirs):.2f} s")
    print(f"ratio {sum(slices) / min(theirs):.2f}")


def write(path: Path, size: int, slices: int) -> None:
    """A stack that deflate makes smaller, as it does micrographs."""
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.normal(128, 400, (size, size)), 4).clip(0, 255)
    stack = np.broadcast_to(image.astype(np.uint8), (slices, size, size))
    rows = max(1, STRIP // size)
    settings = {"compression": "zlib", "rowsperstrip": rows, "photometric": "minisblack"}
    tifffile.imwrite(path, stack, **settings)


def read(path: Path) -> list[float]:
    """Seconds of each slice."""
    seconds = []
    with open_volume(path) as volume:
        for index in range(len(volume)):
            start = time.perf_counter()
            volume[index]
            seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
