"""Disk and seconds of `unetseg augment` and `unetseg preprocess`, and what a batch costs to cut.

    python benchmarks/prepare.py [--stacks data/isbi2012] [--copies 9] [--against FOLDER]

`--against` names a checkout of another version, which does the same in the same run, by its own
defaults or with as many `--copies`: seconds of a machine that others use differ from hour to hour,
ratios hold. Seconds of processors count those of all processes, whatever else the machine does.

Batches of 4 patches of 256 x 256 are cut from what preprocess wrote, and from the same slices as
float32 and uint8 arrays that are mapped into memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from unetseg.artifacts.manifest import MANIFEST, Manifest
from unetseg.artifacts.prepared import open_slices
from unetseg.network.batches import Patches, Slices

HERE = Path(__file__).parents[1]
STAGES = {"augment": "augmented", "preprocess": "preprocessed"}
BATCHES = 60
MAPPED = 60  # slices that are written as plain arrays


def run(version: Path, stacks: Path, work: Path, copies: int | None) -> dict[str, list[float]]:
    """Megabytes, seconds, and seconds of processors, of both stages of a checkout."""
    stacks = stacks.resolve()
    augmented, preprocessed = (work / folder for folder in STAGES.values())
    altered = [] if copies is None else ["--copies", copies]
    commands = {
        "augment": ["--volume", stacks, "--labels", stacks, *altered],
        "preprocess": ["--input", augmented],
    }
    measured = {}
    for (stage, options), output in zip(commands.items(), (augmented, preprocessed), strict=True):
        command = [sys.executable, "-m", "unetseg", stage, *options, "--output", output, "--quiet"]
        before, start = processors(), time.perf_counter()
        subprocess.run(
            [str(word) for word in command],
            check=True,
            cwd=version,
            env={**os.environ, "PYTHONPATH": str(version)},
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - start
        size = sum(file.stat().st_size for file in output.iterdir()) / 1e6
        measured[stage] = [size, seconds, processors() - before]
    measured["both"] = [sum(values) for values in zip(*measured.values(), strict=True)]
    return measured


def processors() -> float:
    """Seconds that processors have worked for processes of this one that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def milliseconds(slices: Slices) -> float:
    """Of this process, for a batch; the median."""
    patches = Patches(
        slices, shape=(256, 256), count=4 * BATCHES, batch_size=4, overhang=32, seed=0
    )
    times = []
    for index in range(BATCHES):
        start = time.process_time()
        patches.batch(1, index)
        times.append(time.process_time() - start)
    return float(np.median(times)) * 1e3


def mapped(slices: Slices, folder: Path) -> Slices:
    """The first slices as plain arrays."""
    arrays = []
    for name in ("images", "labels", "weights"):
        stack = getattr(slices, name)
        path = folder / f"{name}.npy"
        np.save(path, np.stack([stack[index] for index in range(min(MAPPED, len(stack)))]))
        arrays.append(np.load(path, mmap_mode="r"))
    return Slices(*arrays)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stacks", type=Path, default=Path("data/isbi2012"))
    parser.add_argument("--copies", type=int, help="of each slice, instead of the default")
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        now = run(HERE, options.stacks, work / "now", options.copies)
        before = None
        if options.against:
            against = options.against.resolve()
            before = run(against, options.stacks, work / "before", options.copies)
        print("| stage | MB | seconds | of processors |\n| --- | --- | --- | --- |")
        for stage, values in now.items():
            pairs = zip(before[stage] if before else values, values, strict=True)
            cells = (
                f"{old:.0f} -> {new:.0f} ({new / old:.2f})" if before else f"{new:.0f}"
                for old, new in pairs
            )
            print(f"| {stage} | {' | '.join(cells)} |")
        folder = work / "now" / STAGES["preprocess"]
        slices = open_slices(folder, Manifest.read(folder / MANIFEST), "train")
        plain = mapped(slices, work)
        print(f"a batch from {folder.name}/: {milliseconds(slices):.1f} ms")
        print(f"a batch from plain arrays: {milliseconds(plain):.1f} ms")


if __name__ == "__main__":
    main()
