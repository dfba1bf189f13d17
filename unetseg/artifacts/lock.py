"""A lock that lets one run at a time work in a folder."""

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

# Errors of NFS without its lock daemon, and of some FUSE file systems.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class FolderLock(Closing):
    """Keep other runs out of a folder, as a context manager.

    The system releases the lock when the process ends, however it ends. On a file system without
    locks, a file that names the process is used instead; it is ignored if that process has died on
    this machine.

    Parameters
    ----------
    folder : Path
        An existing folder.
    holder : str
        Name of the run, shown to others that find the folder locked.

    Attributes
    ----------
    stands_in : bool
        Whether a file is used instead of a lock.

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
            with suppress(FileNotFoundError):  # the holder has just released it
                text = " ".join(Path(lock.lock_file).read_text(errors="replace").split())
            raise OutputError(
                f"{self._folder}: expected no other run in this folder, found "
                f"{text or 'one that has just begun'}; wait for it, or choose another --output"
            ) from None
        self._lock = lock

    def _sign(self, descriptor: int) -> None:
        """Write into the lock file who holds it."""
        since = time.strftime("%H:%M")
        text = f"{self._holder} (process {os.getpid()} on {socket.gethostname()}, since {since})"
        os.truncate(descriptor, 0)
        os.write(descriptor, text.encode())

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            if not self.stands_in:  # a lock is held on even when its file is unlinked
                Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()
            self._lock = None
