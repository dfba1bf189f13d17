"""Storage of zarr's chunks: the writer hashes each one in memory, and syncs it once."""

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
    """A folder of chunks; a file that has its final name is complete and synced to the disk.

    Parameters
    ----------
    root : Path
    read_only : bool

    Attributes
    ----------
    written : list of Hashed
        Files written since this list was emptied.
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
        # A unique name: two workers may write the same chunk if one of them was given up.
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
        # Not the root: a late worker must not recreate a folder that was published (renamed).
        if folder != self.root:
            self.root.stat()
            folder.mkdir(parents=True, exist_ok=True)
