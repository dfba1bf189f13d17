"""Files that are replaced whole or not at all, and that survive a power cut."""

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

DRAFT = ".draft"  # ending of what is being written


class Closing(ABC):
    """What holds files open, and lets go of them at the end of a `with` block."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the files."""

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
    """Write a file beside its place; when the block ends well it takes the place of the old one."""
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
    """Raise the OSError of a full disk now, not in hours, if so many bytes will not fit."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def files_under(folder: Path | str) -> Iterator[str]:
    """Names of all files in a folder and those in it, with slashes, sorted by their parts."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            for name in files_under(entry.path):
                yield f"{entry.name}/{name}"
        elif entry.is_file():
            yield entry.name


def flush_names(folder: Path) -> None:
    """Bring to the disk which files are in a folder; what is in them is left alone."""
    try:
        sync(folder)
    except OSError as error:
        # Some file systems, such as SMB, have no such thing.
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise


def sync(path: Path) -> None:
    """Bring what is in a file to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
