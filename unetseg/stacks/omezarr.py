"""Write stacks as OME-Zarr, version 0.5 (ngff.openmicroscopy.org/0.5); `zarrvolume` reads them."""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.errors import UnetsegError
from unetseg.stacks.files import DRAFT, require_room
from unetseg.stacks.hashing import Hashed, Known, journal_of, read_journal, record
from unetseg.stacks.pieces import Piece, PieceWriter
from unetseg.stacks.voxel import Voxel

CHUNK = 512
"""Edge of the chunks that are written, in pixels: 1 MB of float32."""

# Size after compression, as a share, with a margin: measured were 0.81 for probabilities, and 0.03
# for cell numbers.
LEFT = {"f": 1.0, "u": 0.1}


def least_bytes(shape: tuple[int, int, int], dtype: npt.DTypeLike) -> int:
    """Return how many bytes must be free on the disk for an OME-Zarr."""
    dtype = np.dtype(dtype)
    return round(math.prod(shape) * dtype.itemsize * LEFT[dtype.kind])


def import_zarr() -> Any:
    """Import zarr, which is needed only for this format."""
    try:
        import zarr
    except ImportError as error:
        raise UnetsegError(
            "Zarr: expected the package zarr, found none; pip install 'unetseg[scale]'"
        ) from error
    return zarr


class ZarrPieces(PieceWriter):
    """An OME-Zarr image that is written in whole chunks, by any number of processes.

    An image of integers is marked as an image of labels.

    A process that dies leaves only complete chunks: each is written to a temporary file, synced and
    renamed. A journal beside the group lists the written files with their hashes, so that they
    need not be read again to publish the group, or to resume.

    Parameters
    ----------
    path : Path
        Of the group; one that an earlier run began is continued.
    shape : (Z, Y, X)
    voxel : Voxel, optional
        Size of a voxel, to record.
    dtype : dtype-like
        float32 for probabilities, unsigned integers for numbers of cells.
    chunk : int
        Edge of the chunks, in pixels.
    create : bool
        Create it if it is missing. A helping process must not: others may see a group that it
        does not see yet.

    Raises
    ------
    FileNotFoundError
        If it is missing, and `create` is False.
    """

    multiple = CHUNK

    def __init__(
        self,
        path: Path,
        *,
        shape: tuple[int, int, int],
        voxel: Voxel | None = None,
        dtype: npt.DTypeLike = np.float32,
        chunk: int = CHUNK,
        create: bool = True,
    ) -> None:
        zarr = import_zarr()
        from unetseg.stacks.chunkstore import ChunkStore

        dtype = np.dtype(dtype)
        # Neither a probability nor a cell number: zarr does not write chunks that hold only this.
        self._nothing = np.nan if dtype.kind == "f" else int(np.iinfo(dtype).max)
        self.multiple = chunk
        self._path = path
        if not (path / "0" / "zarr.json").exists():
            if not create:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            require_room(path.parent, least_bytes(shape, dtype))
            journal_of(path).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)  # begun, but without its array
            path.mkdir()
            store = ChunkStore(path)
            labels: dict[str, Any] = {} if dtype.kind == "f" else {"image-label": {}}
            about = {"ome": {**_attributes(path.name, voxel), **labels}}
            group = zarr.create_group(store, zarr_format=3, attributes=about)
            group.create_array(
                "0",
                shape=shape,
                chunks=(1, min(chunk, shape[1]), min(chunk, shape[2])),
                dtype=dtype.name,
                dimension_names=("z", "y", "x"),
                fill_value=self._nothing,
            )
            self.record(store.written)
        self._store = ChunkStore(path)
        self._array = zarr.open_array(self._store, path="0", mode="r+")

    @cached_property
    def _known(self) -> Known:
        return read_journal(self._path)

    def has(self, piece: Piece) -> bool:
        """Whether all chunks of a piece are there, and complete."""
        try:
            if all(self._is_known(chunk) for chunk in self._chunks(piece)):
                return True
        except FileNotFoundError:
            return False
        # From another process, or from before a power cut, which may leave a file empty.
        try:
            pixels = np.asarray(self._array[(piece.index, *piece.box)])
        except Exception:  # of whatever kind the codec raises
            return False
        absent = np.isnan(pixels) if pixels.dtype.kind == "f" else pixels == self._nothing
        return not absent.any()

    def _is_known(self, chunk: str) -> bool:
        """Whether a chunk matches its line in the journal.

        Raises
        ------
        FileNotFoundError
            If the chunk is missing.
        """
        state = (self._path / chunk).stat()
        return bool(self._known.get((chunk, state.st_size, state.st_mtime_ns)))

    def absent(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return the pieces that lack the file of a chunk, as far as this machine can see."""

        # The names of a row of chunks at once: checking each file would take minutes.
        @lru_cache(maxsize=4096)
        def names(folder: str) -> frozenset[str]:
            try:
                found = list((self._path / folder).iterdir())
            except FileNotFoundError:
                return frozenset()
            for draft in (file for file in found if file.name.endswith(DRAFT)):
                draft.unlink(missing_ok=True)  # of a process that was killed
            return frozenset(file.name for file in found)

        def is_there(chunk: str) -> bool:
            folder, _, name = chunk.rpartition("/")
            return name in names(folder)

        return [piece for piece in pieces if not all(map(is_there, self._chunks(piece)))]

    def _chunks(self, piece: Piece) -> Iterator[str]:
        """Yield the names of the files of a piece, relative to the group."""
        _, height, width = self._array.chunks
        for row in range(piece.top // height, -(-piece.bottom // height)):
            for column in range(piece.left // width, -(-piece.right // width)):
                yield "0/" + self._array.metadata.encode_chunk_key((piece.index, row, column))

    def write(self, piece: Piece, pixels: npt.NDArray[Any]) -> None:
        """Write the chunks of a piece, and list them in the journal."""
        self.record(self.put(piece, pixels))

    def put(self, piece: Piece, pixels: npt.NDArray[Any]) -> list[Hashed]:
        """Write the chunks of a piece; return the files for the process that keeps the journal."""
        self._store.written.clear()
        self._array[(piece.index, *piece.box)] = pixels
        return list(self._store.written)

    def record(self, written: Iterable[Hashed]) -> None:
        """List written files in the journal."""
        record(self._path, written)

    def close(self) -> None:
        """Do nothing: no file is held open."""


def _attributes(name: str, voxel: Voxel | None) -> dict[str, Any]:
    """Metadata of an image with axes ZYX and one resolution."""
    scale = [1.0, 1.0, 1.0] if voxel is None else list(voxel.edges)
    unit = {} if voxel is None else {"unit": "nanometer"}
    return {
        "version": "0.5",
        "multiscales": [
            {
                "name": name,
                "axes": [{"name": axis, "type": "space", **unit} for axis in "zyx"],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [{"type": "scale", "scale": scale}],
                    }
                ],
            }
        ],
    }
