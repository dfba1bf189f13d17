"""One run at a time in a folder."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import Self

from unetseg.errors import OutputError
from unetseg.stacks.files import Closing

if sys.platform != "win32":  # where nobody is kept out
    import fcntl

NAME = ".lock"


class FolderLock(Closing):
    """Keep other runs out of a folder, as a context manager.

    The system lets go of the lock when the process ends, however it ends.

    Parameters
    ----------
    folder : Path
        An existing one.
    holder : str
        What runs in it, for others to read.

    Raises
    ------
    OutputError
        On entering, if another run is in the folder.
    """

    def __init__(self, folder: Path, *, holder: str) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._holder = holder
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        if sys.platform == "win32":
            return self
        while self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = os.read(descriptor, 1000).decode(errors="replace")
                os.close(descriptor)
                raise OutputError(
                    f"{self._folder}: expected no other run in this folder, found "
                    f"{text or 'one that has just begun'}; wait for it, or choose another --output"
                ) from None
            if self._is_in_place(descriptor):
                self._descriptor = descriptor
            else:  # whoever held it has removed the file in between
                os.close(descriptor)
        since = time.strftime("%H:%M")
        text = f"{self._holder} (process {os.getpid()} on {socket.gethostname()}, since {since})"
        try:
            os.truncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text.encode(), 0)
        except OSError:  # such as a full disk
            self.close()
            raise
        return self

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            return os.fstat(descriptor).st_ino == self._path.stat().st_ino
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let others in."""
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None
