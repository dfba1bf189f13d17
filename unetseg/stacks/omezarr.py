"""Read and write stacks as OME-Zarr; the only room that knows the format.

Written is version 0.5 (ngff.openmicroscopy.org/0.5), read are 0.4 and 0.5, at full resolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError, UnetsegError
from unetseg.stacks.files import require_room
from unetseg.stacks.pieces import Piece, PieceWriter
from unetseg.stacks.volume import DTYPES, Volume
from unetseg.stacks.voxel import Voxel

EXPECTED = "an OME-Zarr image"
CHUNK = 512
"""Edge of the chunks that are written, in pixels: 1 MB of float32."""


def import_zarr() -> Any:
    """Import zarr, which only those need who use the format."""
    try:
        import zarr
    except ImportError as error:
        raise UnetsegError(
            "OME-Zarr: expected the package zarr, found none; pip install 'unetseg[scale]'"
        ) from error
    return zarr


class ZarrVolume(Volume):
    """A single-channel OME-Zarr image.

    Parameters
    ----------
    path : Path
        Of the image's group.

    Raises
    ------
    InputError
        If it is missing or damaged, has several channels or times, or another type of pixel.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_dir():
            raise InputError(path, expected=EXPECTED, found="no such folder", remedy="check it")
        with _damage_is_an_error(path):
            group = import_zarr().open_group(path, mode="r")
            attributes = group.attrs.get("ome", group.attrs)
            image = attributes["multiscales"][0]
            axes = [axis["name"] for axis in image["axes"]]
            self._array: Any = group[image["datasets"][0]["path"]]
            sizes = dict(zip(axes, self._array.shape, strict=True))
            self.voxel = _voxel(image)
        if axes[-2:] != ["y", "x"] or any(sizes[axis] > 1 for axis in axes[:-2] if axis != "z"):
            found = ", ".join(f"{axis} {size}" for axis, size in sizes.items())
            raise InputError(
                path, expected="one channel of slices (ZYX)", found=found, remedy="extract one"
            )
        if self._array.dtype.name not in DTYPES:
            raise InputError(
                path,
                expected=f"pixels of {', '.join(DTYPES)}",
                found=self._array.dtype.name,
                remedy="convert it",
            )
        self._axes = axes
        self.shape = (int(sizes.get("z", 1)), int(sizes["y"]), int(sizes["x"]))
        self.dtype = self._array.dtype.newbyteorder("=")

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice; chunks outside of it are left alone."""
        place = tuple(index if axis == "z" else 0 for axis in self._axes[:-2])
        with _damage_is_an_error(self.path):
            return np.asarray(self._array[(*place, *box)], self.dtype)

    def close(self) -> None:
        """Nothing is held open."""


def _voxel(image: dict[str, Any]) -> Voxel | None:
    """Size of a voxel at full resolution; each scale multiplies those before."""
    size = [1.0] * len(image["axes"])
    for holder in (image["datasets"][0], image):
        for step in holder.get("coordinateTransformations", []):
            if step.get("type") == "scale" and len(step.get("scale", [])) == len(size):
                size = [a * float(b) for a, b in zip(size, step["scale"], strict=True)]
    units = [axis.get("unit") for axis in image["axes"]]
    return Voxel.of(tuple(size[-3:]), tuple(units[-3:])) if len(size) > 2 else None


@contextmanager
def _damage_is_an_error(path: Path) -> Iterator[None]:
    """Turn every exception of zarr and its codecs into an InputError."""
    try:
        yield
    except (UnetsegError, MemoryError):
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise InputError(
            path, expected=EXPECTED, found=f"damage ({reason})", remedy="copy or write it again"
        ) from error


class ZarrPieces(PieceWriter):
    """An OME-Zarr image of float32 that is written in whole chunks, by any number of processes.

    A process that dies leaves whole chunks: zarr writes each beside its place and renames it.

    Parameters
    ----------
    path : Path
        Of the group; one that an earlier run began is gone on with.
    shape : (Z, Y, X)
    voxel : Voxel, optional
        Size of a voxel, to write down.
    """

    multiple = CHUNK

    def __init__(
        self, path: Path, *, shape: tuple[int, int, int], voxel: Voxel | None = None
    ) -> None:
        zarr = import_zarr()
        self._path = path
        if not (path / "0" / "zarr.json").exists():
            require_room(path.parent, math.prod(shape) * np.dtype(np.float32).itemsize)
            group = zarr.open_group(path, mode="w", zarr_format=3)
            group.attrs["ome"] = _attributes(path.name, voxel)
            group.create_array(
                "0",
                shape=shape,
                chunks=(1, min(CHUNK, shape[1]), min(CHUNK, shape[2])),
                dtype="float32",
                dimension_names=("z", "y", "x"),
                # zarr leaves out chunks that hold nothing else: no probability is NaN.
                fill_value=np.nan,
            )
        self._array = zarr.open_array(path / "0", mode="r+")

    def has(self, piece: Piece) -> bool:
        """Whether all chunks of a piece are there, and whole."""
        if not all(chunk.is_file() for chunk in self._chunks(piece)):
            return False
        # After a power cut a file may have its name, and nothing in it.
        try:
            pixels = np.asarray(self._array[(piece.index, *piece.box)])
        except Exception:  # of whatever kind the codec raises
            return False
        return not np.isnan(pixels).any()

    def _chunks(self, piece: Piece) -> Iterator[Path]:
        _, height, width = self._array.chunks
        for row in range(piece.top // height, -(-piece.bottom // height)):
            for column in range(piece.left // width, -(-piece.right // width)):
                key = self._array.metadata.encode_chunk_key((piece.index, row, column))
                yield self._path / "0" / key

    def write(self, piece: Piece, pixels: npt.NDArray[np.float32]) -> None:
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
