"""Distribute work, such as prediction, to many machines with dask.distributed.

Every worker sees the same files (a shared file system), reads what it needs of the volume, and
writes, syncs and hashes whole chunks of the result; it hashes the volume too, if that is many
files. Nothing but names and hashes goes over the network.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from unetseg.errors import InputError, UnetsegError
from unetseg.progress import Progress
from unetseg.stacks.hashing import Hashed, Hasher, Hashes, hash_file, in_threads
from unetseg.stacks.location import is_there
from unetseg.stacks.pieces import Piece

if TYPE_CHECKING:
    from unetseg.engine.ensemble import Treatment
    from unetseg.stacks.omezarr import ZarrPieces

Item = TypeVar("Item")
Result = TypeVar("Result")

# TensorFlow uses all cores for one piece; two at a time would only take twice the memory.
_ONE_AT_A_TIME = threading.Lock()

SECONDS_TO_CONNECT = 30

# NFS may take so long to show one machine what another has written.
SECONDS_TO_APPEAR = 60


@dataclass(frozen=True)
class Job:
    """What a worker must know: absolute paths, and how to predict.

    `identity` is that of the run: a worker outlives runs, and must not reuse files of another.
    """

    models: tuple[Path, ...]
    volume: Path
    output: Path
    shape: tuple[int, int, int]
    treatment: Treatment
    identity: str


def predict_on_cluster(
    scheduler: str, job: Job, pieces: Sequence[Piece], output: ZarrPieces, progress: Progress
) -> Iterator[Piece]:
    """Let the workers of a cluster predict and write pieces.

    Parameters
    ----------
    scheduler : str
        Address, such as tcp://host:8786.
    job : Job
    pieces : sequence of Piece
    output : ZarrPieces
        The result; its journal is kept by this process.
    progress : Progress

    Yields
    ------
    Piece
        Pieces as they are finished, in any order.

    Raises
    ------
    UnetsegError
        As for `cluster_map`; or if a worker does not see the files.
    """
    work = partial(_predict_piece, job=job)
    for piece, written in cluster_map(scheduler, work, pieces, progress):
        output.record(written)
        yield piece


def cluster_map(
    scheduler: str,
    work: Callable[[Item], Result],
    items: Sequence[Item],
    progress: Progress,
) -> Iterator[Result]:
    """Let the workers of a cluster apply a function to many items.

    If a worker dies, others repeat the items that it was working on.

    Parameters
    ----------
    scheduler : str
        Address, such as tcp://host:8786.
    work : callable
        Takes an item. Items and results pass through the scheduler.
    items : sequence
    progress : Progress

    Yields
    ------
    object
        Results as they come, in any order.

    Raises
    ------
    UnetsegError
        If there is no scheduler, or it is lost, or several workers have died of one item.
    """
    with _connected(scheduler, progress) as client:
        from distributed import as_completed

        # Not `pure`: dask must not reuse results of an earlier run with other options.
        futures = client.map(work, items, pure=False)
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            with suppress(CancelledError, OSError):
                client.cancel(futures)


def hasher_of(scheduler: str | None, progress: Progress) -> Hasher:
    """Choose what hashes: the workers of a cluster if there is one, else threads here."""
    return in_threads if scheduler is None else partial(hashing_on, scheduler, progress)


@contextmanager
def hashing_on(scheduler: str, progress: Progress) -> Iterator[Callable[[list[Path]], Hashes]]:
    """Hash files on the workers of a cluster; with bound arguments a `stacks.hashing.Hasher`.

    Raises
    ------
    UnetsegError
        If there is no scheduler, or it is lost, or a worker does not see the files.
    """
    with _connected(scheduler, progress) as client:

        def submit(paths: list[Path]) -> Hashes:
            # Bound to the task, so that dask does not search the paths for objects of its own; not
            # `pure`: the same names may be other files by now.
            task = partial(_hash, [os.path.abspath(path) for path in paths])  # noqa: PTH100
            hashes: Hashes = client.submit(task, pure=False)
            return hashes

        yield submit


@contextmanager
def _connected(scheduler: str, progress: Progress) -> Iterator[Any]:
    """Connect to a cluster, and raise an error of one line for whatever goes wrong there."""
    try:
        from distributed import Client, KilledWorker
        from distributed.comm.core import CommClosedError
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
        if not client.scheduler_info()["workers"]:
            progress.say(f"{scheduler} has no workers yet: waiting for the first")
        try:
            yield client
        except KilledWorker as error:
            raise UnetsegError(
                f"--scheduler {scheduler}: expected workers to live, found that several died of "
                "one piece; give them more memory, and run the same command to resume"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise UnetsegError(
                f"--scheduler {scheduler}: expected it to stay, lost it; start it and its workers, "
                "and run the same command to resume"
            ) from error


def check_written(
    items: Sequence[Item],
    absent: Callable[[Sequence[Item]], list[Item]],
    *,
    where: Path,
    by_others: bool,
) -> None:
    """Check that all that was written is there, whatever workers and disks have reported.

    Parameters
    ----------
    items : sequence
        Everything that must be there.
    absent : callable
        Returns those of them that are missing.
    where : Path
        Path of the files, for the error.
    by_others : bool
        Whether other machines have written them, so that they may take a while to appear here.

    Raises
    ------
    UnetsegError
        If one is missing.
    """
    deadline = time.monotonic() + SECONDS_TO_APPEAR * by_others
    left = list(items)
    while left := absent(left):
        if time.monotonic() >= deadline:
            remedy = "give a path that all machines share, and " if by_others else ""
            raise UnetsegError(
                f"{where}: expected all of the {len(items)} pieces that were written, found "
                f"{len(items) - len(left)}; {remedy}run the same command to resume"
            )
        time.sleep(1)


def _hash(names: list[str]) -> list[str]:
    """Hash files in a worker: several at a time, as most of the time is waiting for the disk."""
    try:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(hash_file, map(Path, names)))
    except FileNotFoundError as error:
        raise unseen(Path(error.filename)) from error


def _predict_piece(piece: Piece, job: Job) -> tuple[Piece, list[Hashed]]:
    """Predict and write a piece in a worker; if it is already there, return no hashes."""
    with _ONE_AT_A_TIME:
        ensemble, volume, output = _open(job)
        if output.has(piece):
            return piece, []
        return piece, output.put(piece, ensemble.predict(volume, piece))


@lru_cache(maxsize=1)
def _open(job: Job) -> tuple[Any, Any, Any]:
    """Open what a worker keeps open from piece to piece.

    Raises
    ------
    UnetsegError
        If the worker does not see the files: it must not create any of its own.
    """
    from unetseg.engine.ensemble import Ensemble, Member
    from unetseg.stacks.omezarr import ZarrPieces
    from unetseg.stacks.opening import open_volume

    for model in job.models:
        if not model.exists():
            raise unseen(model)
    try:
        output = ZarrPieces(job.output, shape=job.shape, create=False)
    except FileNotFoundError as error:
        raise unseen(job.output) from error
    try:
        volume = open_volume(job.volume)
    except InputError as error:
        if is_there(job.volume):
            raise
        raise unseen(job.volume) from error
    members = [Member.load(model) for model in job.models]
    return Ensemble(members, job.treatment), volume, output


def unseen(path: Path) -> UnetsegError:
    """Return the error of a worker that does not see a path."""
    from distributed import get_worker

    try:
        name = f"{get_worker().address} on {socket.gethostname()}"
    except ValueError:  # no worker runs this
        name = f"on {socket.gethostname()}"
    return UnetsegError(f"worker {name} does not see {path}: give a path that all machines share")
