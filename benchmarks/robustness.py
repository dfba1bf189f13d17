"""Scores of one model on slices as they are, and on the same slices as laboratories have them.

    python benchmarks/robustness.py --model work/model --stacks data/isbi2012

Predicts the slices that the model's training has held out: as they are, in a border of black, with
hot pixels, with pixels of half and of twice the size, and with their contrast turned round. Each
is predicted by the options that its owner would give, and scored by the labels of the slices
themselves; a prediction on another grid is resampled to theirs first.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from unetseg.arrays.resampling import Taps, resample
from unetseg.artifacts.manifest import MANIFEST, Manifest
from unetseg.cli.terminal import Terminal
from unetseg.options import EvaluateOptions, PredictOptions
from unetseg.running import run_stage
from unetseg.stacks.opening import find_stack, open_volume

Stack = npt.NDArray[Any]

BORDER = 64
HOT = 5  # pixels of each slice


def variants(volume: Stack, nm: float) -> Iterator[tuple[str, Stack, dict[str, Any]]]:
    """What it is, the stack, and the options that it is predicted with."""
    yield "as it is", volume, {}
    around = ((0, 0), (BORDER, BORDER), (BORDER, BORDER))
    yield f"in {BORDER} px of black", np.pad(volume, around), {}
    yield "16 bits, no more than 1021 levels", 20000 + 4 * volume.astype(np.uint16), {}
    hot = 20000 + 4 * volume.astype(np.uint16)
    rng = np.random.default_rng(0)
    for image in hot:
        image[tuple(rng.integers(n, size=HOT) for n in image.shape)] = 65535
    yield f"the same, {HOT} hot pixels in each slice", hot, {}
    for scale in (0.5, 2.0):
        size = round(volume.shape[1] * scale), round(volume.shape[2] * scale)
        pixel = nm / scale
        yield (
            f"pixels of {pixel:g} nm, --voxel",
            to_grid(volume, size).round().astype(np.uint8),
            {"voxel": f"50 {pixel} {pixel}"},
        )
    yield "turned round, --invert", 255 - volume, {"invert": True}


def to_grid(stack: Stack, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Slices of another height and width."""
    sides = zip(stack.shape[1:], size, strict=True)
    rows, columns = (Taps.of(slice(0, new), old=old, new=new) for old, new in sides)
    return np.stack([resample(image.astype(np.float32), rows, columns) for image in stack])


def score(model: Path, volume: Stack, labels: Stack, options: dict[str, Any]) -> dict[str, Any]:
    """Predict a stack, and score it where the labels are."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tifffile.imwrite(folder / "volume.tif", volume, photometric="minisblack")
        tifffile.imwrite(folder / "labels.tif", labels, photometric="minisblack")
        predicted = PredictOptions(
            model=(model,), volume=folder / "volume.tif", output=folder / "p", **options
        )
        run_stage("predict", predicted, Terminal())
        prediction = tifffile.imread(folder / "p/prediction.tif")
        if prediction.shape[1] == labels.shape[1] + 2 * BORDER:
            prediction = prediction[:, BORDER:-BORDER, BORDER:-BORDER]
        height, width = labels.shape[1:]
        tifffile.imwrite(folder / "there.tif", to_grid(prediction, (height, width)))
        scored = EvaluateOptions(
            prediction=folder / "there.tif", labels=folder / "labels.tif", output=folder / "e"
        )
        return run_stage("evaluate", scored, Terminal()).data


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=Path("work/model"))
    parser.add_argument("--stacks", type=Path, default=Path("data"))
    arguments = parser.parse_args()
    details = Manifest.read(arguments.model / MANIFEST).details
    if details.get("voxel") is None:
        raise SystemExit("--model: expected one made by unetseg augment --voxel, found none")
    volume, labels = (
        np.stack([stack[index] for index in details["held_out"]])
        for stack in (
            open_volume(find_stack(arguments.stacks, f"train-{kind}.tif"))
            for kind in ("volume", "labels")
        )
    )
    print("| slices | V_Rand | V_Info |\n| --- | --- | --- |")
    for name, stack, options in variants(volume, details["voxel"][1]):
        data = score(arguments.model, stack, labels, options)
        print(f"| {name} | {data['v_rand']:.4f} | {data['v_info']:.4f} |", flush=True)


if __name__ == "__main__":
    main()
