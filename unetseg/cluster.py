"""Prediction by many machines: pieces of an OME-Zarr, handed out by dask.distributed.

Every worker sees the same files (a shared file system), reads what it needs of the volume, and
writes whole chunks of the result. Nothing but the names of pieces goes over the network.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from unetseg.errors import UnetsegError
from unetseg.pieces import Piece

# TensorFlow uses all cores for one piece; two at a time would only take twice the memory.
_ONE_AT_A_TIME = threading.Lock()

SECONDS_TO_CONNECT = 30


@dataclass(frozen=True)
class Job:
    """What a worker must know: absolute paths, and how to predict."""

    models: tuple[Path, ...]
    volume: Path
    output: Path
    shape: tuple[int, int, int]
    tta: bool


def predict_on_cluster(scheduler: str, job: Job, pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Let the workers of a cluster predict and write pieces.

    A worker that dies costs what it was working on: its pieces go to others, and chunks that it
    had finished are not written again.

    Parameters
    ----------
    scheduler : str
        Address, such as tcp://host:8786.
    job : Job
    pieces : sequence of Piece

    Yields
    ------
    Piece
        As they are finished, in any order.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise UnetsegError(
            "--scheduler: expected the package distributed, found none; "
            "pip install 'unetseg[scale]'"
        ) from error
    try:
        client = Client(scheduler, timeout=SECONDS_TO_CONNECT)
    except (OSError, ValueError) as error:
        raise UnetsegError(
            f"--scheduler {scheduler}: expected a dask scheduler, found none there; "
            "start one with dask scheduler"
        ) from error
    with client:
        # Not `pure`: a piece of an earlier run of other options is not this one.
        futures = client.map(_predict_piece, pieces, job=job, pure=False)
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            client.cancel(futures)


def _predict_piece(piece: Piece, job: Job) -> Piece:
    """Predict and write a piece, in a worker."""
    with _ONE_AT_A_TIME:
        ensemble, volume, output = _open(job)
        if not output.has(piece):
            output.write(piece, ensemble.predict(volume, piece))
    return piece


@lru_cache(maxsize=1)
def _open(job: Job) -> tuple[Any, Any, Any]:
    """What a worker keeps from piece to piece."""
    from unetseg.formats import open_volume
    from unetseg.omezarr import ZarrPieces
    from unetseg.prediction import Ensemble

    return (
        Ensemble(job.models, tta=job.tta),
        open_volume(job.volume),
        ZarrPieces(job.output, shape=job.shape),
    )
