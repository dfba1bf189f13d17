"""Append slices to a file whose header is already there: what .npy and TIFF have in common."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt


class SliceWriter:
    """Write slices one after another into room that is reserved first.

    A full disk is an OSError here, where a memory-mapped file would end the process with SIGBUS.

    Parameters
    ----------
    path : Path
        An existing file.
    offset : int
        Where the first pixel belongs, in bytes.
    shape : (Z, Y, X)
    dtype : numpy.dtype
    """

    def __init__(
        self, path: Path, *, offset: int, shape: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self._missing = shape[0]
        self._file = path.open("r+b")
        self._file.seek(offset)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        try:
            if hasattr(os, "posix_fallocate"):  # not on macOS and Windows
                os.posix_fallocate(self._file.fileno(), offset, size)
        except OSError:
            self._file.close()
            raise

    def append(self, image: npt.NDArray[Any]) -> None:
        """Write the next slice, (Y, X)."""
        if self._missing == 0 or image.shape != self.shape[1:]:
            raise ValueError(f"{image.shape} does not fit {self.shape} with {self._missing} left")
        self._missing -= 1
        self._file.write(np.ascontiguousarray(image, self.dtype).data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is None and self._missing:
            raise ValueError(f"{self._missing} of {self.shape[0]} slices were never written")
