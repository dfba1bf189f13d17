"""Speed and memory of `unetseg segment` on large and many slices, and what blocks change in cells.

    python benchmarks/segment_large.py [--gigapixels 0.01 0.1] [--jobs 1 2] [--workers 2]
    python benchmarks/segment_large.py --slices 10000 --edge 128 [--link]
    python benchmarks/segment_large.py --labels data/train-labels.tif [--edge 192] [--halo 128]

The first draws a prediction of crooked cells, one slice as large as that, the second as many slices
of that edge, each a pixel farther on. Of each run, with so many processes, or so many workers of a
dask cluster on this machine, they say how many sections a second were found, the most memory that
all processes had together (which needs psutil, of unetseg[scale]), the time of a core that they
took, and which share of the time each step took; what is missing from 100 % is the start, and
publishing. `join` is the graph of the blocks' cells, `link` that of the sections.

The third smooths real labels (a Gaussian of one pixel), cuts every slice into small blocks, and
counts the cells that are not those of the slice in one piece: that share less than nine tenths of
their union with any of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

from unetseg.arrays.cells import WHOLE, segment_cells
from unetseg.engine.blocks import Block, Layout, Segmenter, Watershed, forget, save
from unetseg.options import SegmentOptions
from unetseg.stacks.npy import create_npy
from unetseg.stacks.opening import open_volume

TILE = 1024
SAME = 0.9


def draw_prediction(path: Path, slices: int, edge: int) -> None:
    """Slices of mirrored tiles, so that cells go on from tile to tile, and from slice to slice."""
    noise = np.random.default_rng(0).normal(size=(TILE, TILE)).astype(np.float32)
    smooth = np.abs(ndimage.gaussian_filter(noise, 12))
    tile = np.clip(1.5 * smooth / smooth.std(), 0, 1)
    column = np.concatenate([tile, tile[::-1]])
    whole = np.concatenate([column, column[:, ::-1]], axis=1).astype(np.float16)
    with create_npy(path, shape=(slices, edge, edge), dtype=np.float16) as out:
        for z in range(slices):
            at = np.arange(z, z + edge) % len(whole)
            out.append(whole[at][:, at])


@dataclass
class Watch:
    """What all processes that this one has started take together, in bytes and seconds of a core.

    The scheduler of a cluster works in this process, and is not counted.
    """

    peak: int = 0
    seconds: dict[int, float] = field(default_factory=dict)  # by process

    def look(self) -> None:
        """Look at every process once."""
        import psutil

        total = 0
        for one in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
                self.seconds[one.pid] = sum(one.cpu_times()[:2])
        self.peak = max(self.peak, total)

    def follow(self, process: subprocess.Popen[bytes]) -> None:
        """Look again and again until a process has ended."""
        while process.poll() is None:
            self.look()
            time.sleep(0.2)


def measure_speed(label: str, more: Sequence[str], options: argparse.Namespace) -> None:
    """Segment the slices that were drawn, and print what it took."""
    command = [sys.executable, "-m", "unetseg", "segment", "--json", "--memory", options.memory]
    command += [
        "--prediction",
        "p.npy",
        "--output",
        "out",
        "--link" if options.link else "--no-link",
    ]
    watch = Watch()
    watch.look()  # workers have begun already
    before, began = sum(watch.seconds.values()), time.perf_counter()
    process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE)
    watcher = threading.Thread(target=watch.follow, args=(process,))
    watcher.start()
    said, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(process.returncode)  # it has said why
    took, busy = time.perf_counter() - began, sum(watch.seconds.values()) - before
    result = json.loads(said)
    found = result["notes"][-1]
    sections = int(re.findall(r"\d+", found.split(";")[0])[-1])
    shares = ", ".join(f"{step} {part / took:.1%}" for step, part in result["seconds"].items())
    print(
        f"{label}: {found}, {sections / took:.1f} sections a second, {sections / busy:.1f} a "
        f"second of a core; at most {watch.peak / 1e9:.2f} GB; {took:.0f} s, {busy:.0f} of a core "
        f"({shares})",
        flush=True,
    )
    shutil.rmtree("out")


def measure_all(slices: int, edge: int, options: argparse.Namespace) -> None:
    """Draw slices, and print a line for each number of processes, and one for a cluster."""
    size = f"{slices} slices of {edge} x {edge}"
    with tempfile.TemporaryDirectory(dir=".") as folder, contextlib.chdir(folder):
        draw_prediction(Path("p.npy"), slices, edge)
        for jobs in options.jobs:
            measure_speed(f"{size}, --jobs {jobs}", ["--jobs", str(jobs)], options)
        if not options.workers:
            return
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=options.workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster:
            scheduler = ["--scheduler", cluster.scheduler_address]
            measure_speed(f"{size}, {options.workers} workers", scheduler, options)


def segment_in_blocks(probability: np.ndarray, layout: Layout, settings: Watershed) -> np.ndarray:
    """Cells of a slice, as the blocks of a layout give them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(folder / "p.npy", probability[None])
        segmenter = Segmenter(
            prediction=folder / "p.npy",
            drafts=folder,
            watershed=settings,
            layout=layout,
            identity="",
            linked=False,
            patience=0,
        )
        with open_volume(folder / "p.npy") as volume:
            grid = segmenter.grid(volume, 0)
        for place in grid.places:
            segmenter.segment(Block(0, *place))
        segmenter.join(0)
        forget()
        return segmenter.assemble(grid, 0, (slice(0, grid.size[0]), slice(0, grid.size[1])))


def count_other(cells: np.ndarray, reference: np.ndarray) -> int:
    """Cells that share less than SAME of their union with any of the reference."""
    pairs, shared = np.unique(
        np.stack([cells.ravel(), reference.ravel()]), axis=1, return_counts=True
    )
    one, other = np.bincount(cells.ravel()), np.bincount(reference.ravel())
    share = shared / (one[pairs[0]] + other[pairs[1]] - shared)
    found = pairs[0][(share >= SAME) & (pairs > 0).all(axis=0)]
    return int(cells.max()) - len(found)


def measure_blocks(options: argparse.Namespace) -> None:
    """Print how many cells differ, over all slices."""
    default = SegmentOptions()
    settings = Watershed(
        default.smoothing, default.seed_threshold, default.smallest, default.grow, False
    )
    layout = Layout(edge=options.edge, halo=options.halo, multiple=options.edge // 4)
    of_blocks = of_whole = total = pixels = differ = 0
    with open_volume(options.labels) as labels:
        for index in range(min(len(labels), options.slices or len(labels))):
            probability = ndimage.gaussian_filter((labels[index] > 0).astype(np.float32), 1)
            whole = segment_cells(probability, **vars(settings), cut=WHOLE)
            blocks = segment_in_blocks(probability, layout, settings)
            total += int(whole.max())
            of_blocks += count_other(blocks, whole)
            of_whole += count_other(whole, blocks)
            pixels += whole.size
            differ += int(((whole > 0) != (blocks > 0)).sum())
    print(
        f"blocks of {options.edge}, halo {options.halo}: of {total} cells {of_whole} are no cells "
        f"of blocks, and {of_blocks} of blocks are none of these; lines differ in "
        f"{differ / pixels:.3%} of the pixels",
        flush=True,
    )


def main() -> None:
    """Print a line for each size, or one for the cells."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gigapixels", type=float, nargs="+", default=[0.01, 0.1])
    parser.add_argument("--memory", default="1.5GB")
    parser.add_argument("--jobs", type=int, nargs="*", default=[2])
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--link", action="store_true")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--slices", type=int)
    parser.add_argument("--edge", type=int, default=192)
    parser.add_argument("--halo", type=int, default=128)
    options = parser.parse_args()
    if options.labels is not None:
        measure_blocks(options)
    elif options.slices is not None:
        measure_all(options.slices, options.edge, options)
    else:
        for gigapixels in options.gigapixels:
            measure_all(1, math.isqrt(round(gigapixels * 1e9)), options)


if __name__ == "__main__":
    main()
