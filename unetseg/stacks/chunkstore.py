"""Where zarr puts chunks: each is hashed while it is in memory, and synced once, by its writer."""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

from zarr.storage import LocalStore

from unetseg.stacks.files import DRAFT
from unetseg.stacks.hashing import Hashed


class ChunkStore(LocalStore):
    """A folder of chunks, whose names stand for whole files that are on the disk.

    Parameters
    ----------
    root : Path
    read_only : bool

    Attributes
    ----------
    written : list of Hashed
        What was written since this list was emptied.
    """

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self.written: list[Hashed] = []

    async def set(self, key: str, value: Any) -> None:
        """Write a file."""
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Any) -> None:
        """Write a file."""
        self._check_writable()
        content = memoryview(value.as_numpy_array())
        path = self.root / key
        # Not of one name: two workers may write the same chunk, one of which was given up.
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}{DRAFT}")
        self._make_room(path.parent)
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                state = os.fstat(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sha256 = hashlib.sha256(content).hexdigest()
        self.written.append(Hashed(key, state.st_size, state.st_mtime_ns, sha256))

    def _make_room(self, folder: Path) -> None:
        # Not the root: who is late must not begin anew what has been published.
        if folder != self.root:
            self.root.stat()
            folder.mkdir(parents=True, exist_ok=True)
