"""Replace files atomically, so that they survive a power cut."""

from __future__ import annotations

import errno
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

DRAFT = ".draft"  # ending of files that are being written


class Closing(ABC):
    """Base class of what holds files open and closes them at the end of a `with` block."""

    @abstractmethod
    def close(self) -> None:
        """Close the files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a temporary file, which replaces `path` when the block ends without an error."""
    draft = path.with_name(f".{path.name}{DRAFT}")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def require_room(folder: Path, size: int) -> None:
    """Raise the OSError of a full disk now, not after hours, if `size` bytes do not fit."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def files_under(folder: Path | str) -> Iterator[str]:
    """Yield the names of all files under a folder, with slashes, sorted by their parts."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            for name in files_under(entry.path):
                yield f"{entry.name}/{name}"
        elif entry.is_file():
            yield entry.name


def flush_names(folder: Path) -> None:
    """Sync the entries of a folder to the disk, but not the contents of its files."""
    try:
        sync(folder)
    except OSError as error:
        # Some file systems, such as SMB, cannot sync a folder.
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise


def sync(path: Path) -> None:
    """Sync a file to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
