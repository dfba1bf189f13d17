"""Kill every stage at random moments, many times; what a rerun makes must not differ.

    make torture    (or: python tests/torture.py --kills 200 [STAGE ...])

Takes an hour. Each stage, and what it reads of others, runs once undisturbed. Then, again and
again, it is started in another folder, killed (SIGKILL) at a random moment, checked, and run to its
end: a manifest must only be there with all that it names, and results must be those of the
undisturbed run. Kills that come after the end do not count.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from unetseg.artifacts.manifest import open_stage
from unetseg.errors import InputError

SMALL = ("--epochs", "3", "--epoch-size", "20", "--batch-size", "2", "--patch", "64")
STAGES: dict[str, tuple[str, ...]] = {
    "synthesize": ("--slices", "5", "--test-slices", "12", "--height", "64", "--width", "96"),
    "augment": ("--volume", "synthesize", "--labels", "synthesize", "--copies", "3"),
    "preprocess": ("--input", "augment"),
    "train": ("--input", "preprocess", *SMALL),
    "predict": ("--model", "train", "--volume", "synthesize"),
    "predict-zarr": ("--model", "train", "--volume", "synthesize", "--name", "p.ome.zarr"),
    "suggest": ("--model", "train", "--volume", "synthesize", "--patch", "64"),
    "segment": ("--prediction", "predict"),
    "segment-blocks": ("--prediction", "drawn.npy", "--link"),
    "segment-zarr": ("--prediction", "drawn.npy", "--name", "labels.ome.zarr"),
    "evaluate": ("--prediction", "train"),
    "gallery": ("synthesize",),
    "report": ("--work", "work"),
    "export": ("--model", "train"),
    "crossvalidate": ("--input", "augment", "--folds", "2", *SMALL),
}
# Those that start TensorFlow get fewer kills.
SLOW = ("train", "predict", "predict-zarr", "suggest", "export", "crossvalidate")
# Where `unetseg report` looks for them.
FOLDERS = {"model": "train", "evaluation": "evaluate", "prediction": "predict", "cells": "segment"}
# `unetseg` with blocks so small that the slices of drawn.npy have 24 each.
SMALL_BLOCKS = """import sys
from unetseg.cli.commands import main
from unetseg.engine.blocks import Layout
from unetseg.stages import segment
segment.LAYOUT = Layout(edge=48, halo=40, multiple=16)
main(sys.argv[1:])
"""


def draw_prediction(path: Path) -> None:
    """A prediction of crooked cells that go on from slice to slice; (4, 180, 260)."""
    noise = np.random.default_rng(0).normal(size=(4, 180, 260))
    smooth = np.abs(ndimage.gaussian_filter(noise, (1, 5, 5)))
    np.save(path, np.clip(1.5 * smooth / smooth.std(), 0, 1).astype(np.float32))


def needed(chosen: set[str]) -> set[str]:
    """Stages to run so that the chosen ones have what they read."""
    read = {word for stage in chosen for word in STAGES[stage] if word in STAGES}
    if "report" in chosen:
        read |= set(FOLDERS.values())
    return chosen if read <= chosen else needed(chosen | read)


def command(stage: str) -> list[str]:
    """A stage that writes to the folder `killed`."""
    name = stage.split("-")[0]
    unetseg = ["-c", SMALL_BLOCKS] if stage.startswith("segment-") else ["-m", "unetseg"]
    return [sys.executable, *unetseg, name, *STAGES[stage], "--output", "killed"]


def results(folder: Path) -> Any:
    """What must be the same: contents of all outputs, of a model its weights."""
    manifest = json.loads((folder / "manifest.json").read_text())
    details = manifest["details"]
    if manifest["stage"] == "crossvalidate":
        return details["summary"]
    if manifest["stage"] == "train":
        # Files of Keras and pictures say when they were made; history.csv what time was spent.
        return details["weights_sha256"], details["scores"], details["epochs_run"]
    return manifest["outputs"]


def kill_once(stage: str, work: Path, longest: float) -> tuple[bool, bool]:
    """Start, kill, check, finish, compare.

    Returns whether the kill came in time, and whether it met a complete folder.
    """
    folder = work / "killed"
    start = time.monotonic()
    with subprocess.Popen(
        command(stage), cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            process.communicate(timeout=random.uniform(0, longest))
            hit, met = False, "finished before"
        except subprocess.TimeoutExpired:
            process.kill()
            hit, met = True, f"killed after {time.monotonic() - start:.1f} s"
    name = stage.split("-")[0]
    complete = (folder / "manifest.json").exists()
    if complete:
        open_stage(folder, stage=name, fresh=True)
    else:
        try:
            open_stage(folder, stage=name, fresh=True)
        except InputError:
            pass
        else:
            raise SystemExit(f"{stage}, {met}: an incomplete folder was taken for a complete one")
    again = subprocess.run(command(stage), cwd=work, capture_output=True, text=True)
    if again.returncode:
        raise SystemExit(f"{stage}, {met}: the rerun said {again.stderr}")
    if results(folder) != results(work / stage):
        raise SystemExit(f"{stage}, {met}: the rerun made something else; see {work}")
    left = [str(path) for path in folder.rglob(".*")]
    if left:
        raise SystemExit(f"{stage}, {met}: the rerun left {left} behind")
    shutil.rmtree(folder)
    return hit, complete


def main() -> None:
    """Kill, and print a line for each stage."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("stages", metavar="STAGE", nargs="*", help=f"of {', '.join(STAGES)}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    work = Path(tempfile.mkdtemp(prefix="torture-"))
    (work / "work").mkdir()
    for name, stage in FOLDERS.items():
        (work / "work" / name).symlink_to(work / stage)
    draw_prediction(work / "drawn.npy")
    chosen = set(options.stages or STAGES)
    shares = {stage: 1 if stage in SLOW else 2 for stage in chosen}
    total = 0
    for stage in [stage for stage in STAGES if stage in needed(chosen)]:
        start = time.monotonic()
        subprocess.run(command(stage), cwd=work, check=True, capture_output=True)
        took = time.monotonic() - start
        (work / "killed").rename(work / stage)
        if stage not in chosen:
            continue
        wanted = -(-options.kills * shares[stage] // sum(shares.values()))
        kills = late = complete = 0
        while kills < wanted:
            hit, was_complete = kill_once(stage, work, took)
            kills += hit
            late += not hit
            complete += hit and was_complete
        total += kills
        print(
            f"{stage:14} {took:4.1f} s undisturbed: {kills} kills, {complete} of them after the "
            f"last move, {late} too late; all reruns equal",
            flush=True,
        )
    print(f"{total} kills in all")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
