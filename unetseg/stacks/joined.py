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
        One at least. They stay the caller's to close.
    padding : int
        Value of what pads a slice.
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
        """The stack of a slice, and its number there."""
        which = bisect.bisect_right(self._firsts, index) - 1
        return self._volumes[which], index - self._firsts[which]

    def own_size(self, index: int) -> tuple[int, int]:
        """That in its own stack."""
        volume, number = self._of(index)
        return volume.own_size(number)

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice."""
        volume, number = self._of(index)
        return read_padded(
            partial(volume.part, number),  # an error is to name that stack
            box,
            size=volume.shape[1:],
            dtype=self.dtype,
            padding=self._padding,
        )

    def _find_tissue(self, index: int) -> Tissue:
        volume, number = self._of(index)
        return volume.tissue(number).padded(volume.shape[1:], self.shape[1:])

    def close(self) -> None:
        """They are not ours."""
