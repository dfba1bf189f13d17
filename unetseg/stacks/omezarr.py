"""Write stacks as OME-Zarr, version 0.5 (ngff.openmicroscopy.org/0.5); `zarrvolume` reads them."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.errors import UnetsegError
from unetseg.stacks.files import require_room
from unetseg.stacks.pieces import Piece, PieceWriter
from unetseg.stacks.voxel import Voxel

CHUNK = 512
"""Edge of the chunks that are written, in pixels: 1 MB of float32."""


def import_zarr() -> Any:
    """Import zarr, which only those need who use the format."""
    try:
        import zarr
    except ImportError as error:
        raise UnetsegError(
            "Zarr: expected the package zarr, found none; pip install 'unetseg[scale]'"
        ) from error
    return zarr


class ZarrPieces(PieceWriter):
    """An OME-Zarr image that is written in whole chunks, by any number of processes.

    One of whole numbers is an image of labels, and says so.

    A process that dies leaves whole chunks: zarr writes each beside its place and renames it.

    Parameters
    ----------
    path : Path
        Of the group; one that an earlier run began is gone on with.
    shape : (Z, Y, X)
    voxel : Voxel, optional
        Size of a voxel, to write down.
    dtype : dtype-like
        float32 for probabilities, unsigned integers for numbers of cells.
    chunk : int
        Edge of the chunks, in pixels.
    create : bool
        Begin it where there is none. Who only helps must not: what it does not see others may.

    Raises
    ------
    FileNotFoundError
        If there is none, and none is to be begun.
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
        dtype = np.dtype(dtype)
        # zarr leaves out chunks that hold nothing else: no probability, and no number of a cell.
        self._nothing = np.nan if dtype.kind == "f" else int(np.iinfo(dtype).max)
        self.multiple = chunk
        self._path = path
        if not (path / "0" / "zarr.json").exists():
            if not create:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            require_room(path.parent, math.prod(shape) * dtype.itemsize)
            group = zarr.open_group(path, mode="w", zarr_format=3)
            labels: dict[str, Any] = {} if dtype.kind == "f" else {"image-label": {}}
            group.attrs["ome"] = {**_attributes(path.name, voxel), **labels}
            group.create_array(
                "0",
                shape=shape,
                chunks=(1, min(chunk, shape[1]), min(chunk, shape[2])),
                dtype=dtype.name,
                dimension_names=("z", "y", "x"),
                fill_value=self._nothing,
            )
        self._array = zarr.open_array(path / "0", mode="r+")

    def holds(self, piece: Piece) -> bool:
        """Whether all chunks of a piece have their files; what is in them is left alone."""
        try:
            return all(chunk.stat().st_size for chunk in self._chunks(piece))
        except FileNotFoundError:
            return False

    def has(self, piece: Piece) -> bool:
        """Whether all chunks of a piece are there, and whole."""
        if not self.holds(piece):
            return False
        # After a power cut a file may have its name, and nothing in it.
        try:
            pixels = np.asarray(self._array[(piece.index, *piece.box)])
        except Exception:  # of whatever kind the codec raises
            return False
        absent = np.isnan(pixels) if pixels.dtype.kind == "f" else pixels == self._nothing
        return not absent.any()

    def _chunks(self, piece: Piece) -> Iterator[Path]:
        _, height, width = self._array.chunks
        for row in range(piece.top // height, -(-piece.bottom // height)):
            for column in range(piece.left // width, -(-piece.right // width)):
                key = self._array.metadata.encode_chunk_key((piece.index, row, column))
                yield self._path / "0" / key

    def write(self, piece: Piece, pixels: npt.NDArray[Any]) -> None:
        """Write the chunks of a piece."""
        self._array[(piece.index, *piece.box)] = pixels

    def close(self) -> None:
        """Nothing is held open."""


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
