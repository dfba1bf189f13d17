"""Several stacks as one."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tiles import Box, read_padded
from unetseg.arrays.tissue import Tissue
from unetseg.stacks.volume import Volume


class Joined(Volume):
    """Slices of several stacks, one stack after another, each at the top left of the largest size.

    What pads a slice is missing. Grey levels are as in the files; only their type is that which
    holds those of all.

    Parameters
    ----------
    volumes : sequence of Volume
        One at least. They are closed with it.
    padding : int
        Value of what pads a slice.

    Attributes
    ----------
    volumes : list of Volume
    firsts : list of int
        Number of the first slice of each.
    """

    def __init__(self, volumes: Sequence[Volume], *, padding: int = 0) -> None:
        self.volumes = list(volumes)
        self._padding = padding
        counts, heights, widths = zip(*(volume.shape for volume in volumes), strict=True)
        self.firsts = [sum(counts[:number]) for number in range(len(counts))]
        self.shape = sum(counts), max(heights), max(widths)
        self.dtype = np.result_type(*(volume.dtype for volume in volumes))
        self.path = self.volumes[0].path
        self.remarks = tuple(remark for volume in volumes for remark in volume.remarks)
        sizes = {volume.voxel for volume in volumes}
        self.voxel = next(iter(sizes)) if len(sizes) == 1 else None

    def place(self, index: int) -> tuple[int, int]:
        """Which stack a slice is of, and its number there."""
        which = bisect.bisect_right(self.firsts, index) - 1
        return which, index - self.firsts[which]

    def _of(self, index: int) -> tuple[Volume, int]:
        which, number = self.place(index)
        return self.volumes[which], number

    def own_size(self, index: int) -> tuple[int, int]:
        """That in its own stack."""
        volume, number = self._of(index)
        return volume.own_size(number)

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice."""
        volume, number = self._of(index)
        return read_padded(
            partial(volume.part, number),
            box,
            size=volume.shape[1:],
            dtype=self.dtype,
            padding=self._padding,
        )

    def _find_tissue(self, index: int) -> Tissue:
        volume, number = self._of(index)
        return volume.tissue(number).padded(volume.shape[1:], self.shape[1:])

    @property
    def overhead(self) -> int:
        """That of the stack that takes most."""
        return max(volume.overhead for volume in self.volumes)

    def close(self) -> None:
        """Close all of them."""
        for volume in self.volumes:
            volume.close()

    def __str__(self) -> str:
        return " and ".join(map(str, self.volumes))
