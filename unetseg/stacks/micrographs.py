"""A folder of separate micrographs: images of different sizes, which do not form a stack."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from unetseg.arrays.tiles import Box, read_padded
from unetseg.arrays.tissue import Tissue
from unetseg.stacks import omeset
from unetseg.stacks.slicefolder import PNG, Slice, SliceFolder, open_slice
from unetseg.stacks.tiff import Stack
from unetseg.stacks.volume import Volume
from unetseg.stacks.voxel import Voxel


class Micrographs(SliceFolder):
    """Micrographs as slices, padded at the bottom and right to the largest height and width.

    Padding is 0, and counts as missing in `tissue` and `missing`. Each micrograph is measured by
    itself, so that no measure of one depends on another.

    Parameters
    ----------
    path : Path
        Of the folder.
    slices : list of Slice
        What `look_into` has found there.
    """

    separate = True

    def __init__(self, path: Path, slices: list[Slice]) -> None:
        self._sizes = [found.size for found in slices]
        super().__init__(path, slices)
        self._overhead = max(found.overhead for found in slices)
        self._shares: dict[int, float] = {}  # without tissue, padding aside
        voxels = {_voxel(found) for found in slices}
        self.voxel = next(iter(voxels)) if len(voxels) == 1 else None
        small, large = (
            f"{len_y} x {len_x} ({name})"
            for (len_y, len_x), name in (
                choose(zip(self._sizes, self.names, strict=True), key=lambda one: math.prod(one[0]))
                for choose in (min, max)
            )
        )
        self.remarks += (
            f"{path}: images of different sizes, from {small} to {large}, are taken for separate "
            "micrographs: each by itself, with a result of its own name",
        )
        if len(voxels) > 1:
            self.remarks += (
                f"{path}: not all micrographs say the same of the size of a pixel: "
                "what one says counts for it alone",
            )

    def _size(self, slices: list[Slice]) -> tuple[int, int]:
        heights, widths = zip(*self._sizes, strict=True)
        return max(heights), max(widths)

    def alone(self, index: int) -> Volume:
        """Open a micrograph as a stack of its own, which the caller closes."""
        return _open_alone(self._files[index], self._dtypes)

    def own_size(self, index: int) -> tuple[int, int]:
        """Return the size of the micrograph."""
        return self._sizes[index]

    def own_share_missing(self, index: int) -> float:
        """Return the share of the micrograph that shows no tissue."""
        self.tissue(index)
        return self._shares[index]

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice; padding is 0."""
        read = partial(super().read, index)
        return read_padded(read, box, size=self._sizes[index], dtype=self.dtype, padding=0)

    def _find_tissue(self, index: int) -> Tissue:
        """Find the tissue in the micrograph; padding is missing."""
        with self.alone(index) as alone:
            tissue = alone.tissue(0)
        self._shares[index] = tissue.share_missing
        return tissue.padded(self._sizes[index], self.shape[1:])

    @property
    def overhead(self) -> int:
        """The largest overhead of all micrographs."""
        return self._overhead


def _open_alone(file: Path, dtypes: tuple[str, ...]) -> Volume:
    if file.suffix.lower() in PNG or len(omeset.members(file)) > 1:
        return open_slice(file, dtypes=dtypes)
    return Stack(file, dtypes=dtypes)


def _voxel(found: Slice) -> Voxel | None:
    """Return the size of a voxel that the file of a micrograph declares."""
    if found.voxel is not None:
        return found.voxel
    # Slices of a folder are opened without their OME-XML.
    with _open_alone(found.file, found.dtypes) as alone:
        return alone.voxel
