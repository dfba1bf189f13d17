"""Peak resident memory and time of `unetseg predict` on one slice of growing size.

    python benchmarks/predict_large.py --model work/model [--gigabytes 0.4 2 10] [--memory 1.5GB]

The stack is a sparse BigTIFF of float32 zeros, which takes no room on the disk; the prediction
takes as much as the stack says. No averaging over the 8 symmetries, which only takes time.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tifffile


def predict(model: Path, gigabytes: float, memory: str, folder: Path) -> None:
    """Make a stack, predict it and print what it took."""
    edge = math.isqrt(int(gigabytes * 1e9) // 4)
    stack = folder / "stack.tif"
    tifffile.imwrite(
        stack, shape=(edge, edge), dtype="float32", bigtiff=True, photometric="minisblack"
    )
    command = [sys.executable, "-m", "unetseg", "predict", "--model", str(model), "--no-tta"]
    command += ["--volume", str(stack), "--output", str(folder / "out"), "--memory", memory]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    took = time.perf_counter() - start
    details = json.loads((folder / "out/manifest.json").read_text())["details"]
    print(
        f"{gigabytes:5} GB, one slice of {edge} x {edge}: at most "
        f"{details['peak_memory_bytes'] / 1e9:.2f} GB, {took:.0f} s in all, "
        f"{details['pixels_per_second'] / 1e6:.2f} megapixels a second while predicting",
        flush=True,
    )


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("work/model"))
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.4, 2, 10])
    parser.add_argument("--memory", default="1.5GB")
    options = parser.parse_args()
    for gigabytes in options.gigabytes:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            predict(options.model, gigabytes, options.memory, Path(folder))


if __name__ == "__main__":
    main()
