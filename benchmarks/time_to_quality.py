"""V_Rand of held-out slices against minutes of training, by what training begins with and how.

    python benchmarks/time_to_quality.py [--minutes 20] [--input work/preprocessed]

Trains three times for as long: with all defaults (from the starter), from nothing, and with
`--network paper --recipe paper` (64 filters, Adam 1e-4, plain cross-entropy, no normalisation, no
weights). All score the held-out slices after every epoch, at the best threshold and without
averaging over flips; the time that this takes counts. Draws the curves and prints when each first
passed 0.95.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from pathlib import Path

from matplotlib.figure import Figure

COURSES = {
    "from the starter": (),
    "from nothing": ("--from", "nothing"),
    "paper": ("--network", "paper", "--recipe", "paper"),
}
GOAL = 0.95


def train(folder: Path, source: Path, minutes: float, settings: tuple[str, ...]) -> None:
    """Run `unetseg train` for so many minutes."""
    # More epochs than fit: the clock ends all, and sets the default recipe's learning rate.
    course = ("--epochs", "100000", "--minutes", str(minutes), "--score-every", "1")
    command = [sys.executable, "-m", "unetseg", "train", "--input", str(source)]
    subprocess.run([*command, "--output", str(folder), *course, *settings], check=True)


def read_curve(folder: Path) -> list[tuple[float, float]]:
    """Minutes and V_Rand of every epoch."""
    with (folder / "history.csv").open() as file:
        return [(float(row["seconds"]) / 60, float(row["v_rand"])) for row in csv.DictReader(file)]


def draw(path: Path, curves: dict[str, list[tuple[float, float]]]) -> None:
    """V_Rand against time, all in one figure."""
    figure = Figure(figsize=(6, 4), layout="constrained", dpi=120)
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), marker=".", label=name)
    axes.axhline(GOAL, color="0.6", linestyle=":")
    axes.set(xlabel="minutes of training", ylabel="V_Rand of held-out slices", xlim=(0, None))
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Software": None})


def main() -> None:
    """Train all, draw and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20, help="of each")
    parser.add_argument("--input", type=Path, default=Path("work/preprocessed"))
    parser.add_argument("--output", type=Path, default=Path("work/time-to-quality"))
    options = parser.parse_args()
    curves = {}
    for name, settings in COURSES.items():
        train(options.output / name, options.input, options.minutes, settings)
        curves[name] = read_curve(options.output / name)
    draw(options.output / "time-to-quality.png", curves)
    for name, curve in curves.items():
        passed = next((f"after {minutes:.2f} min" for minutes, v in curve if v >= GOAL), "never")
        best = max(v for _, v in curve)
        print(f"{name:16} V_Rand {GOAL} passed {passed}, best {best:.4f} in {len(curve)} epochs")


if __name__ == "__main__":
    main()
