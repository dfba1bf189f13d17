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
    """Slices of several stacks in sequence, padded at the bottom and right to the largest size.

    Padding counts as missing. Grey levels are as in the files, in a type that holds those of all
    stacks.

    Parameters
    ----------
    volumes : sequence of Volume
        At least one. The caller closes them.
    padding : int
        Value of the padding.
    """

    def __init__(self, volumes: Sequence[Volume], *, padding: int = 0) -> None:
        self._volumes = list(volumes)
        self._padding = padding
        counts, heights, widths = zip(*(volume.shape for volume in volumes), strict=True)
        self._firsts = [sum(counts[:number]) for number in range(len(counts))]
        self.shape = sum(counts), max(heights), max(widths)
        self.dtype = np.result_type(*(volume.dtype for volume in volumes))
        self.path = self._volumes[0].path

    def _of(self, index: int) -> tuple[Volume, int]:
        """Return the stack that holds a slice, and the number of the slice there."""
        which = bisect.bisect_right(self._firsts, index) - 1
        return self._volumes[which], index - self._firsts[which]

    def own_size(self, index: int) -> tuple[int, int]:
        """Return the size of a slice in its own stack."""
        volume, number = self._of(index)
        return volume.own_size(number)

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice."""
        volume, number = self._of(index)
        return read_padded(
            partial(volume.part, number),  # so that errors name that stack
            box,
            size=volume.shape[1:],
            dtype=self.dtype,
            padding=self._padding,
        )

    def _find_tissue(self, index: int) -> Tissue:
        volume, number = self._of(index)
        return volume.tissue(number).padded(volume.shape[1:], self.shape[1:])

    def close(self) -> None:
        """Do nothing: the caller closes the stacks."""
