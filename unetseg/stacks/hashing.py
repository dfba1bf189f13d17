"""Hash a file or folder to one sha256; that of many files is a hash of their hashes.

Files are hashed in batches, by threads or by another `Hasher`. Files that their writer has hashed
in memory are not read again: a journal beside a folder lists size, time and sha256 of its files.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from unetseg.stacks.files import files_under, flush_names, sync
from unetseg.stacks.location import locate
from unetseg.stacks.opening import files_of, names_of

# A batch is complete when it reaches either limit.
FILES_IN_A_BATCH = 256
BYTES_IN_A_BATCH = 2**28

BATCHES_AHEAD = 256  # submitted, with results not yet fetched


class Hashed(NamedTuple):
    """A file as its writer left it: name relative to the folder, size, time and hash."""

    name: str
    size: int
    mtime_ns: int
    sha256: str


class Hashes(Protocol):
    """Hashes that are being computed somewhere."""

    def result(self) -> list[str]:
        """Wait for the hashes."""


# A context manager that gives a function to submit a batch of files for hashing.
Hasher = Callable[[], AbstractContextManager[Callable[[list[Path]], Hashes]]]
Known = dict[tuple[str, int, int], str]  # name, size, mtime_ns: sha256


class _Found(NamedTuple):
    name: str
    path: str
    state: os.stat_result


@contextmanager
def in_threads() -> Iterator[Callable[[list[Path]], Hashes]]:
    """Hash in threads, on all cores of this machine."""
    with ThreadPoolExecutor() as pool:
        yield lambda paths: pool.submit(hash_each, paths)


def hash_each(paths: list[Path]) -> list[str]:
    """Return the sha256 of each file."""
    return [hash_file(path) for path in paths]


def hash_file(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size(path: Path) -> int:
    """Return the size in bytes of the files that `fingerprint` hashes; 0 if there are none."""
    return sum(file.state.st_size for file in _find(path))


def state(path: Path) -> str:
    """Return a hash that changes when a file, or a file of a folder, is written or replaced."""
    states = hashlib.sha256()
    for name, _, found in _find(path):
        written = (name, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        states.update(repr(written).encode())
    return states.hexdigest()


def fingerprint(
    path: Path, *, hasher: Hasher = in_threads, known: Known | None = None
) -> tuple[int, str]:
    """Return size in bytes and sha256 of a file, or of the files that hold the stack at a path.

    That of a folder is the sha256 of ``[(name, size, sha256), ...]`` as Python writes it: names
    relative to the folder, with slashes, sorted by their parts. It does not depend on who hashed
    which file, or when.

    Parameters
    ----------
    path : Path
    hasher : callable
        Hashes the files, if it is not just one.
    known : dict, optional
        Hashes by name, size and time, which are not computed again.

    Raises
    ------
    FileNotFoundError
        If the path does not exist.
    """
    file, _ = locate(path)
    if file.is_file() and files_of(path) == [file]:
        return file.stat().st_size, hash_file(file)
    if not file.is_file() and not file.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    total, whole = 0, hashlib.sha256(b"[")
    comma = b""
    for found, sha256 in _hashed(_find(path), hasher, known or {}):
        part = (found.name, found.state.st_size, sha256)
        whole.update(comma + repr(part).encode())
        total += part[1]
        comma = b", "
    whole.update(b"]")
    return total, whole.hexdigest()


def _find(path: Path) -> Iterator[_Found]:
    """Yield the files at a path, in the order in which they are hashed."""
    folder, names = names_of(path)
    for name in names:
        file = f"{folder}/{name}"
        yield _Found(name, file, os.stat(file))  # noqa: PTH116 - a Path takes longer than the disk


def _batches(files: Iterable[_Found]) -> Iterator[list[_Found]]:
    batch: list[_Found] = []
    weight = 0
    for file in files:
        batch.append(file)
        weight += file.state.st_size
        if len(batch) == FILES_IN_A_BATCH or weight >= BYTES_IN_A_BATCH:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _hashed(files: Iterable[_Found], hasher: Hasher, known: Known) -> Iterator[tuple[_Found, str]]:
    """Yield each file and its sha256 in the same order; at most `BATCHES_AHEAD` are pending."""
    ahead: deque[tuple[list[_Found], list[str], Hashes | None]] = deque()

    def first() -> Iterator[tuple[_Found, str]]:
        batch, hashes, rest = ahead.popleft()
        missing = iter(rest.result() if rest else ())
        for file, sha256 in zip(batch, hashes, strict=True):
            yield file, sha256 or next(missing)

    with ExitStack() as held:
        submit = None
        for batch in _batches(files):
            hashes = [known.get((f.name, f.state.st_size, f.state.st_mtime_ns), "") for f in batch]
            unknown = [Path(f.path) for f, sha256 in zip(batch, hashes, strict=True) if not sha256]
            if unknown and submit is None:
                submit = held.enter_context(hasher())
            ahead.append((batch, hashes, submit(unknown) if submit and unknown else None))
            if len(ahead) >= BATCHES_AHEAD:
                yield from first()
        while ahead:
            yield from first()


def seal(path: Path, *, hasher: Hasher = in_threads) -> tuple[int, str]:
    """Sync a file or folder to the disk, and return size and sha256 as `fingerprint` does.

    Files in its journal are synced and hashed already; the others, and folders, are synced here.
    """
    known = read_journal(path)
    if not known:  # all files, even if only slices are read and hashed
        for name in files_under(path) if path.is_dir() else [""]:
            sync(path / name)
        content = fingerprint(path, hasher=hasher)
    else:
        content = fingerprint(path, hasher=partial(_synced, hasher), known=known)
    folders = (Path(top) for top, _, _ in os.walk(path))
    with ThreadPoolExecutor() as pool:  # each waits for the disk, and they can wait together
        for _ in pool.map(flush_names, folders):
            pass
    return content


@contextmanager
def _synced(hasher: Hasher) -> Iterator[Callable[[list[Path]], Hashes]]:
    """Sync files before they are hashed."""
    with hasher() as submit:

        def sync_first(paths: list[Path]) -> Hashes:
            for path in paths:
                sync(path)
            return submit(paths)

        yield sync_first


def journal_of(path: Path) -> Path:
    """Return the path of the journal of a folder's files."""
    return path.with_name(f".{path.name}.hashes")


def record(path: Path, files: Iterable[Hashed]) -> None:
    """Add files of a folder, which must be synced to the disk already, to its journal."""
    # The newline comes first: it also ends a line that was cut off when its writer was killed.
    text = "".join("\n" + json.dumps(file) for file in files)
    if text:
        with journal_of(path).open("a", encoding="utf-8") as journal:
            journal.write(text)


def read_journal(path: Path) -> Known:
    """Return the hashes in a folder's journal, without lines that were cut off."""
    known: Known = {}
    try:
        with journal_of(path).open(encoding="utf-8", errors="replace") as journal:
            for line in journal:
                try:
                    file = Hashed(*json.loads(line))
                except (ValueError, TypeError):
                    continue
                key = (file.name, file.size, file.mtime_ns)
                # If two processes wrote the same file at once, either may have been the last.
                known[key] = file.sha256 if known.get(key, file.sha256) == file.sha256 else ""
    except FileNotFoundError:
        pass
    return known
