"""One run at a time in a folder."""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from unetseg.errors import OutputError
from unetseg.stacks.files import Closing

LOCK, MARKER = ".lock", ".lock.marker"

# What NFS without its lock daemon, and some file systems of FUSE, answer.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class FolderLock(Closing):
    """Keep other runs out of a folder, as a context manager.

    The system lets go of the lock when the process ends, however it ends. Where the file system has
    no locks, a file that names the process stands in for one; of a process that has died on this
    machine it does not count.

    Parameters
    ----------
    folder : Path
        An existing one.
    holder : str
        What runs in it, for others to read.

    Attributes
    ----------
    stands_in : bool
        Whether a file stands in for the lock.

    Raises
    ------
    OutputError
        On entering, if another run is in the folder.
    """

    def __init__(self, folder: Path, *, holder: str) -> None:
        self._folder = folder
        self._holder = holder
        self._lock: BaseFileLock | None = None
        self.stands_in = False

    def __enter__(self) -> Self:
        try:
            self._acquire(FileLock(self._folder / LOCK, on_acquired=self._sign))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            (self._folder / LOCK).unlink(missing_ok=True)
            self.stands_in = True
            self._acquire(SoftFileLock(self._folder / MARKER))
        return self

    def _acquire(self, lock: BaseFileLock) -> None:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            text = ""
            with suppress(FileNotFoundError):  # who held it has just let go
                text = " ".join(Path(lock.lock_file).read_text(errors="replace").split())
            raise OutputError(
                f"{self._folder}: expected no other run in this folder, found "
                f"{text or 'one that has just begun'}; wait for it, or choose another --output"
            ) from None
        self._lock = lock

    def _sign(self, descriptor: int) -> None:
        """Say in the lock who has it."""
        since = time.strftime("%H:%M")
        text = f"{self._holder} (process {os.getpid()} on {socket.gethostname()}, since {since})"
        os.truncate(descriptor, 0)
        os.write(descriptor, text.encode())

    def close(self) -> None:
        """Let others in."""
        if self._lock is not None:
            if not self.stands_in:  # a lock outlives the name of its file
                Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()
            self._lock = None
