"""Read parts of slices that are stored uncompressed and contiguously in a file."""

from __future__ import annotations

from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tiles import Box

ENDS_EARLY = "the file ends within its pixels"


@dataclass(frozen=True)
class Run:
    """Position, shape and type of the pixels of a stack in a file.

    Parameters
    ----------
    start : int
        Position of the first pixel, in bytes.
    shape : (Z, Y, X)
    dtype : numpy.dtype
        With the file's byte order.
    """

    start: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    @property
    def end(self) -> int:
        """Position after the last pixel, in bytes."""
        slices, height, width = self.shape
        return self.start + slices * height * width * self.dtype.itemsize

    def read(self, file: BufferedReader, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice.

        Read, not mapped: mapped pages would count as this process's memory.

        Parameters
        ----------
        file : opened for reading bytes
        index : int
            Number of the slice.
        box : Box

        Returns
        -------
        (H, W) array of the file's dtype, as large as the box

        Raises
        ------
        ValueError
            If the file ends early.
        """
        rows, columns = box
        _, height, width = self.shape
        part = np.empty((rows.stop - rows.start, columns.stop - columns.start), self.dtype)
        # Whole rows are contiguous.
        pieces = [part] if part.shape[1] == width else part
        for row, piece in enumerate(pieces, start=rows.start):
            before = (index * height + row) * width + columns.start
            file.seek(self.start + before * self.dtype.itemsize)
            # As bytes, because not every type of pixel may be written into directly.
            if file.readinto(piece.view(np.uint8).data) != piece.nbytes:
                raise ValueError(ENDS_EARLY)
        return part
