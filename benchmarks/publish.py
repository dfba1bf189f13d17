"""What it takes to publish an OME-Zarr of many small chunks, and to identify one that is read.

    python benchmarks/publish.py [--chunks 100000] [--edge 16] [--workers 2] [--folder .]

Chunks of 16 x 16 pixels are about 1 kB, so that what is measured is the price of a file, not of a
byte. "Before" is how it was done without a journal: zarr wrote chunks without syncing them, and
when all were there one process opened, synced, read and hashed one file after the other. "Now"
each is hashed in memory and synced where it is written, and who publishes looks each up.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from zarr.storage import LocalStore

from unetseg.engine.cluster import hashing_on
from unetseg.progress import Silent
from unetseg.stacks import omezarr
from unetseg.stacks.hashing import fingerprint, journal_of, read_journal, seal, state
from unetseg.stacks.pieces import Piece

T = TypeVar("T")

CHUNKS_IN_A_ROW = 32  # as in slices of 16384 x 16384 pixels, with chunks of 512 x 512


def flush_as_before(path: Path) -> None:
    """Sync a folder's files and folders, one after the other."""
    if path.is_dir():
        for entry in path.iterdir():
            flush_as_before(entry)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fingerprint_as_before(path: Path) -> tuple[int, str]:
    """Read and hash a folder's files, one after the other."""
    files = sorted(Path(top, name) for top, _, names in os.walk(path) for name in names)
    parts = []
    for found in files:
        with found.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        parts.append((found.relative_to(path).as_posix(), found.stat().st_size, digest))
    return sum(part[1] for part in parts), hashlib.sha256(repr(parts).encode()).hexdigest()


def publish_as_before(path: Path) -> tuple[int, str]:
    """Sync, then hash."""
    flush_as_before(path)
    return fingerprint_as_before(path)


def timed(label: str, chunks: int, work: Callable[[], T]) -> tuple[float, T]:
    """Do something, and print how long it took."""
    start, busy = time.perf_counter(), time.process_time()
    result = work()
    took, worked = time.perf_counter() - start, time.process_time() - busy
    each = 1e5 / chunks
    print(
        f"{label:44} {took * each:8.1f} s per 100,000, {worked * each:6.1f} s of a core",
        flush=True,
    )
    return took, result


def write(path: Path, slices: int, edge: int) -> None:
    """Write a result slice by slice, of pixels that do not compress."""
    rng = np.random.default_rng(0)
    side = CHUNKS_IN_A_ROW * edge
    with omezarr.ZarrPieces(path, shape=(slices, side, side)) as output:
        for index in range(slices):
            pixels = rng.random((side, side), np.float32)
            output.write(Piece(index, 0, side, 0, side), pixels)


def write_as_before(path: Path, slices: int, edge: int) -> None:
    """The same with what zarr brings."""
    from unetseg.stacks import chunkstore

    class Plain(LocalStore):
        written: list[object] = []  # noqa: RUF012 - it stays empty

    ours, chunkstore.ChunkStore = chunkstore.ChunkStore, Plain  # type: ignore
    try:
        write(path, slices, edge)
    finally:
        chunkstore.ChunkStore = ours  # type: ignore


def compare(folder: Path, slices: int, edge: int, workers: int) -> None:
    """Print a line for each way."""
    chunks = slices * CHUNKS_IN_A_ROW**2
    say = partial(timed, chunks=chunks)
    old, new = folder / "a" / "r.ome.zarr", folder / "b" / "r.ome.zarr"
    for path in (old, new):
        path.parent.mkdir()
    write_old, _ = say("write, before", work=lambda: write_as_before(old, slices, edge))
    publish_old, before = say("publish, before", work=lambda: publish_as_before(old))
    write_new, _ = say("write, now: hashed and synced", work=lambda: write(new, slices, edge))
    output = omezarr.ZarrPieces(new, shape=(slices, side := CHUNKS_IN_A_ROW * edge, side))
    pieces = [Piece(index, 0, side, 0, side) for index in range(slices)]
    look, absent = say("look whether all are there", work=lambda: output.absent(pieces))
    publish_new, now = say("publish, now", work=lambda: seal(new))
    assert not absent
    assert before == now
    assert len(read_journal(new)) > chunks
    publish_new += look
    print(f"publishing: {publish_old / publish_new:.1f} times as fast")
    both = (write_old + publish_old) / (write_new + publish_new)
    print(f"writing and publishing by one process: {both:.1f} times as fast", flush=True)
    journal_of(new).unlink()
    say("look at names, sizes and times of an input", work=lambda: state(new))
    one, _ = say("identify, before", work=lambda: fingerprint_as_before(new))
    threads, again = say("identify, now: threads", work=lambda: fingerprint(new))
    assert again == now
    print(f"identifying, threads: {one / threads:.1f} times as fast", flush=True)
    if workers:
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster:
            hasher = partial(hashing_on, cluster.scheduler_address, Silent())
            label = f"identify, now: {workers} workers here"
            took, again = say(label, work=lambda: fingerprint(new, hasher=hasher))
        assert again == now
        print(f"identifying, workers: {one / took:.1f} times as fast", flush=True)


def main() -> None:
    """Compare both ways."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--edge", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path())
    options = parser.parse_args()
    omezarr.CHUNK = options.edge
    slices = math.ceil(options.chunks / CHUNKS_IN_A_ROW**2)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        compare(Path(folder), slices, options.edge, options.workers)


if __name__ == "__main__":
    main()
