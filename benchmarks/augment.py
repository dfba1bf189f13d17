"""Image-and-label pairs a second: `unetseg augment` against the direct way, in one run.

    python benchmarks/augment.py [--slices 6] [--copies 9] [--size 512]

The direct way is what small U-Net repositories do: for the image and again for the label, draw
two noise fields of full resolution, smooth each with a Gaussian, and resample with map_coordinates
(cubic splines for the image, the nearest pixel for the label). Both sides read a TIFF, deform,
flip, add both kinds of noise, shift the brightness, and write two TIFFs, process start and imports
included.

Also prints the limit: how long the resampling alone takes, which neither side can avoid.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from unetseg.arrays.synthetic import synthesize
from unetseg.engine.parallel import available_cores

DIRECT_SMOOTHNESS = (10, 20)  # px, standard deviation of the Gaussian; weaker ones tear membranes
DIRECT_STRENGTH = 10  # px


def direct_stage(folder: Path, copies: int, smoothness: float) -> None:
    """The whole stage as the ancestors do it, in one process."""
    volume = tifffile.imread(folder / "train-volume.tif")
    labels = tifffile.imread(folder / "train-labels.tif")
    images_out, labels_out = list(volume), list(labels)
    for copy in range(copies):
        for z, (image, label) in enumerate(zip(volume, labels, strict=True)):
            seed = copy * len(volume) + z
            warped = direct_deform(image, seed, smoothness, order=3)
            mask = direct_deform(label, seed, smoothness, order=0)
            rng = np.random.default_rng(seed)
            warped = warped + rng.normal(0, 5, image.shape) + rng.uniform(-5, 5, image.shape) + 10
            images_out.append(np.clip(warped[::-1], 0, 255).astype(np.uint8))
            labels_out.append(mask[::-1].astype(np.uint8))
    tifffile.imwrite(folder / "direct-volume.tif", np.stack(images_out))
    tifffile.imwrite(folder / "direct-labels.tif", np.stack(labels_out))


def direct_deform(image: np.ndarray, seed: int, smoothness: float, *, order: int) -> np.ndarray:
    """One array by two smoothed fields of full resolution."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.uniform(-1, 1, image.shape), smoothness) for _ in "yx"]
    scaled = [field / field.std() * DIRECT_STRENGTH for field in fields]
    places = np.indices(image.shape) + scaled
    return ndimage.map_coordinates(image.astype(float), places, order=order, mode="reflect")


def seconds(command: list[str]) -> float:
    """Wall time of a process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def resampling_seconds(size: int) -> float:
    """Resampling one pair, cubic and linear, and nothing else."""
    rng = np.random.default_rng(0)
    image = rng.random((size, size), np.float32)
    places = np.indices(image.shape) + 0.3
    start = time.perf_counter()
    for _ in range(5):
        for order in (3, 1):
            ndimage.map_coordinates(image, places, order=order, mode="mirror")
    return (time.perf_counter() - start) / 5


def main() -> None:
    """Run both sides and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=6)
    parser.add_argument("--copies", type=int, default=9)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--direct", nargs=2, metavar=("FOLDER", "SMOOTHNESS"))
    options = parser.parse_args()
    if options.direct:
        direct_stage(Path(options.direct[0]), options.copies, float(options.direct[1]))
        return
    shape = {"slices": options.slices, "height": options.size, "width": options.size}
    volume, labels = synthesize(**shape, rng=np.random.default_rng(0))
    pairs = options.slices * options.copies
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tifffile.imwrite(folder / "train-volume.tif", volume, photometric="minisblack")
        tifffile.imwrite(folder / "train-labels.tif", labels, photometric="minisblack")
        ours = ["-m", "unetseg", "augment", "--volume", name, "--labels", name, "--force"]
        ours += ["--output", f"{name}/out", "--copies", str(options.copies), "--no-preview"]
        times = {}
        for smoothness in DIRECT_SMOOTHNESS:
            again = [__file__, "--copies", str(options.copies), "--direct", name, str(smoothness)]
            times[f"direct, Gaussian of {smoothness} px, 1 process"] = seconds(again)
        for jobs in (1, available_cores()):
            times[f"unetseg augment, {jobs} processes"] = seconds([*ours, "--jobs", str(jobs)])
    baseline = next(iter(times.values()))
    print(f"{pairs} pairs of {options.size} x {options.size}")
    for what, took in times.items():
        print(f"{what:40} {pairs / took:6.1f} pairs/s  {baseline / took:5.2f} x")
    limit = resampling_seconds(options.size)
    print(f"resampling alone, 1 process: {1 / limit:.1f} pairs/s ({limit * 1e3:.0f} ms a pair)")


if __name__ == "__main__":
    main()
