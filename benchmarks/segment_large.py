"""Speed and memory of `unetseg segment` on one large slice, and what blocks change in its cells.

    python benchmarks/segment_large.py [--gigapixels 0.01 0.1] [--memory 1.5GB] [--jobs 2]
    python benchmarks/segment_large.py --labels data/train-labels.tif [--edge 192] [--halo 128]

The first draws a prediction of crooked cells, as large as that, and says how many sections a second
were found, the most memory that all processes had together (which needs psutil, of
unetseg[scale]), and which share of the time each step took.

The second smooths real labels (a Gaussian of one pixel), cuts every slice into small blocks, and
counts the cells that are not those of the slice in one piece: that share less than nine tenths of
their union with any of them.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
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


def draw_prediction(path: Path, edge: int) -> None:
    """A slice of mirrored tiles, so that cells go on from tile to tile."""
    noise = np.random.default_rng(0).normal(size=(TILE, TILE)).astype(np.float32)
    smooth = np.abs(ndimage.gaussian_filter(noise, 12))
    tile = np.clip(1.5 * smooth / smooth.std(), 0, 1)
    column = np.concatenate([tile, tile[::-1]])
    row = np.concatenate([column, column[:, ::-1]], axis=1)
    wide = np.tile(row, (1, -(-edge // len(row))))[:, :edge]
    with create_npy(path, shape=(1, edge, edge), dtype=np.float32) as out:
        pixels = np.take(wide, np.arange(edge) % len(wide), axis=0)
        out.append(pixels)


def watch_memory(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    """Keep the largest sum of what a process and its children have in memory."""
    import psutil

    while process.poll() is None:
        total = 0
        try:
            parent = psutil.Process(process.pid)
            for one in (parent, *parent.children(recursive=True)):
                total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        peak[0] = max(peak[0], total)
        time.sleep(0.2)


def measure_speed(gigapixels: float, options: argparse.Namespace, folder: Path) -> None:
    """Draw a slice, segment it and print what it took."""
    edge = math.isqrt(round(gigapixels * 1e9))
    draw_prediction(folder / "p.npy", edge)
    command = [sys.executable, "-m", "unetseg", "segment", "--json", "--memory", options.memory]
    command += ["--prediction", str(folder / "p.npy"), "--output", str(folder / "out")]
    command += ["--jobs", str(options.jobs)]
    began, peak = time.perf_counter(), [0]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    watcher = threading.Thread(target=watch_memory, args=(process, peak))
    watcher.start()
    said, _ = process.communicate()
    watcher.join()
    took = time.perf_counter() - began
    result = json.loads(said)
    cells = int(result["notes"][0].split()[0])
    shares = ", ".join(f"{step} {part / took:.1%}" for step, part in result["seconds"].items())
    print(
        f"{gigapixels} gigapixels, one slice of {edge} x {edge}: {cells} sections, "
        f"{cells / took:.1f} a second, at most {peak[0] / 1e9:.2f} GB, {took:.0f} s ({shares})",
        flush=True,
    )


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
        for index in range(min(len(labels), options.slices)):
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
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--slices", type=int, default=1000)
    parser.add_argument("--edge", type=int, default=192)
    parser.add_argument("--halo", type=int, default=128)
    options = parser.parse_args()
    if options.labels is not None:
        measure_blocks(options)
        return
    for gigapixels in options.gigapixels:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            measure_speed(gigapixels, options, Path(folder))


if __name__ == "__main__":
    main()
