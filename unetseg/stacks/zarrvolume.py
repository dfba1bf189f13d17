"""Read images and arrays of any Zarr, in a folder or zipped; `omezarr` writes them.

It reads OME-Zarr 0.1 to 0.5 at full resolution, bioformats2raw's layout if it holds one image, and
plain arrays, of versions 2 and 3.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError
from unetseg.stacks.kinds import not_read
from unetseg.stacks.location import locate
from unetseg.stacks.omezarr import import_zarr
from unetseg.stacks.sliced import SlicedVolume
from unetseg.stacks.volume import DTYPES, ZARR_MARKS, check_segment
from unetseg.stacks.zarrimages import find_image

CHUNKS_AT_ONCE = 10  # zarr's async.concurrency


class ZarrVolume(SlicedVolume):
    """A single-channel image or array in a Zarr.

    Parameters
    ----------
    path : Path
        Of the Zarr, or of an image or array in it: x.zarr/0, or x.zarr.zip:/0.
    dtypes : tuple of str
        Allowed pixel types. Others are read as one of them that holds the same numbers.

    Raises
    ------
    InputError
        If it is missing or damaged, holds several images, several channels or times, or another
        type of pixel.
    UnetsegError
        If the package zarr is missing.
    """

    kind = "a Zarr"

    def __init__(self, path: Path, *, dtypes: tuple[str, ...] = DTYPES) -> None:
        self.path = path
        file, inside = locate(path)
        if not file.exists():
            raise InputError(path, expected="a Zarr", found="no such folder", remedy="check it")
        zarr = import_zarr()
        self._packed: Any = None
        try:
            with self._damage_is_an_error(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about files that are no part of a Zarr
                if file.is_file():
                    inside = _root_in(file) + inside
                    self._packed = zarr.storage.ZipStore(file, mode="r")
                    node = zarr.open(self._packed, path=inside, mode="r")
                else:
                    node = zarr.open(file / inside, mode="r")
                image = find_image(node, path)
                self._array, self.voxel = image.array, image.voxel
                # Chunks that are packed into one file (a shard) are decoded one by one.
                layout = {"names": image.names, "chunks": image.array.chunks}
                self._describe(image.array.shape, image.array.dtype, dtypes, **layout)
        except BaseException:
            self.close()
            raise

    def _chunks_at_once(self) -> int:
        edges = dict(zip(self._axes, self._array.chunks, strict=True))
        chunks = -(-self.shape[1] // edges["y"]) * -(-self.shape[2] // edges["x"])
        return min(int(chunks), CHUNKS_AT_ONCE)

    def _part(self, index: int, box: Box) -> Any:
        return self._array[self._place(index, box)]

    def close(self) -> None:
        """Close the file, if it is zipped; folders are not held open."""
        if self._packed is not None:
            self._packed.close()


def _root_in(file: Path) -> str:
    """Return where the Zarr begins in a ZIP file: at its top, or in its only folder.

    Raises
    ------
    InputError
        If there is none in it, or a file in it would unpack to more than a chunk may take.
    """
    with zipfile.ZipFile(file) as packed:
        members = packed.infolist()
    largest = max((member.file_size for member in members), default=0)
    check_segment(file, largest, kind="chunks", remedy="unpack it and give the folder")
    names: set[str] = {member.filename for member in members}
    tops = {name.split("/")[0] + "/" for name in names if "/" in name}
    for root in ["", *sorted(tops)[: len(tops) == 1]]:
        if any(root + mark in names for mark in ZARR_MARKS):
            return root
    raise not_read(file, expected="a Zarr")
