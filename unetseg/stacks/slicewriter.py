"""Write slices into a file that already has its header; shared by .npy and TIFF."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tiles import Box
from unetseg.stacks.files import Closing, require_room


class SliceWriter(Closing):
    """Write slices, one after another or in parts, into space that is reserved first.

    As a context manager it raises a ValueError at the end unless all slices were appended.

    A full disk raises an OSError here; a memory-mapped file would kill the process with SIGBUS.

    Parameters
    ----------
    path : Path
        An existing file.
    offset : int
        Position of the first pixel in the file, in bytes.
    shape : (Z, Y, X)
    dtype : numpy.dtype
    """

    def __init__(
        self, path: Path, *, offset: int, shape: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> None:
        self.offset = offset
        self.shape = shape
        self.dtype = dtype
        self._appended = 0
        self._file = path.open("r+b")
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), offset, size)
            else:  # macOS and Windows
                require_room(path.parent, offset + size - path.stat().st_size)
        except OSError:
            self._file.close()
            raise

    def append(self, image: npt.NDArray[Any]) -> None:
        """Write the next slice, (Y, X)."""
        missing = self.shape[0] - self._appended
        if missing == 0 or image.shape != self.shape[1:]:
            raise ValueError(f"{image.shape} does not fit {self.shape} with {missing} left")
        self._write(self._appended, 0, 0, image)
        self._appended += 1

    def write(self, index: int, box: Box, pixels: npt.NDArray[Any]) -> None:
        """Write a part of a slice, as large as the box; the caller ensures that none is missing."""
        rows, columns = box
        if columns.stop - columns.start == self.shape[2]:
            self._write(index, rows.start, 0, pixels)
            return
        for row, line in enumerate(pixels, start=rows.start):
            self._write(index, row, columns.start, line)

    def _write(self, index: int, row: int, column: int, pixels: npt.NDArray[Any]) -> None:
        _, height, width = self.shape
        before = (index * height + row) * width + column
        self._file.seek(self.offset + before * self.dtype.itemsize)
        self._file.write(np.ascontiguousarray(pixels, self.dtype).data)

    def flush(self) -> None:
        """Sync what was written to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, even if slices are missing."""
        self._file.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, tb)
        missing = self.shape[0] - self._appended
        if kind is None and missing:
            raise ValueError(f"{missing} of {self.shape[0]} slices were never written")
