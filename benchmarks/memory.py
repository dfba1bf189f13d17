"""Peak resident memory of `unetseg augment`, all its processes together, at growing stacks.

    python benchmarks/memory.py [--slices 1000 3000 10000]

Reads /proc, so it runs on Linux alone. The deformation is switched off: it takes time, not memory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from unetseg.arrays.synthetic import synthesize
from unetseg.stacks.tiffwriter import create_stack

COPIES = 9
QUICK = ("--elastic-sigma", "0", "--rotation", "0", "--scaling", "0")


def resident(group: int) -> int:
    """Bytes that the processes of a group hold at this moment."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(state[2]) == group:
                total += int((folder / "statm").read_text().split()[1]) * 4096
        except OSError:  # ended in between
            continue
    return total


def peak(command: list[str]) -> int:
    """Largest sum that was seen while a command ran."""
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    most = 0
    while process.poll() is None:
        most = max(most, resident(process.pid))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return most


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, nargs="+", default=[1000, 3000, 10000])
    volume, labels = synthesize(slices=1, height=512, width=512, rng=np.random.default_rng(0))
    for slices in parser.parse_args().slices:
        originals = slices // (COPIES + 1)
        with tempfile.TemporaryDirectory() as name:
            shape = (originals, 512, 512)
            for kind, stack in (("volume", volume), ("labels", labels)):
                path = Path(name, f"train-{kind}.tif")
                with create_stack(path, shape=shape, dtype=np.uint8) as out:
                    for _ in range(originals):
                        out.append(stack[0])
            command = [sys.executable, "-m", "unetseg", "augment", "--copies", str(COPIES)]
            command += ["--volume", name, "--labels", name, "--output", f"{name}/out", *QUICK]
            start = time.perf_counter()
            most = peak(command)
            took = time.perf_counter() - start
        print(f"{slices:6} slices of 512 x 512: {most / 1e9:.2f} GB at most, {took:.0f} s")


if __name__ == "__main__":
    main()
