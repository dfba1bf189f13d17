"""Memory of long runs: 50 epochs of training, and 2,000 predicted slices.

    make torture    (or: python tests/long_runs.py)

Each run is looked at five times a second; what it holds in its last fifth must not be more than
what it held between a third and a half, when all is warmed up. Reads /proc, so it runs on Linux
alone.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOLERATED = 0.02
EPOCHS = 50
SLICES = 2000
STAGES = {
    "synthesize": ("--slices", 10, "--test-slices", SLICES, "--height", 64, "--width", 96),
    "augment": ("--volume", "data", "--labels", "data", "--copies", 9),
    "preprocess": (),
    "train": ("--epochs", EPOCHS, "--patch", 64, "--score-every", 10),
    "predict": (),
}
WATCHED = ("train", "predict")


def watch(command: list[str], work: Path) -> list[int]:
    """Run a command; bytes that it held in memory, five times a second."""
    process = subprocess.Popen(command, cwd=work, stdout=subprocess.DEVNULL)
    held = []
    while process.poll() is None:
        pages = (Path("/proc") / str(process.pid) / "statm").read_text().split()
        held.append(int(pages[1]) * 4096)
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return held


def main() -> None:
    """Run all, and print a line for each that is watched."""
    with tempfile.TemporaryDirectory(prefix="long-runs-") as name:
        work = Path(name)
        for stage, options in STAGES.items():
            command = [sys.executable, "-m", "unetseg", stage, *map(str, options)]
            if stage not in WATCHED:
                subprocess.run(command, cwd=work, check=True, capture_output=True)
                continue
            held = watch(command, work)
            count = len(held)
            early = statistics.median(held[count // 3 : count // 2])
            late = statistics.median(held[-count // 5 :])
            growth = late / early - 1
            print(
                f"{stage:8} {count / 5:.0f} s: {early / 1e6:.0f} MB early, {late / 1e6:.0f} MB "
                f"late, {growth:+.1%}",
                flush=True,
            )
            if growth > TOLERATED:
                raise SystemExit(f"{stage} takes more and more memory")


if __name__ == "__main__":
    main()
