"""Stacks that are stored compressed, in HDF5, so that any part can be read by itself.

Labels shrink to a fourteenth of their size; weights, which are computed from labels, to a tenth.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from unetseg.errors import InputError
from unetseg.stacks.files import Closing

DATASET = "stack"

# A patch of 256 x 256 lies on 9 pieces of this edge, and takes a millisecond: with 64 it is 0.9 and
# the files are a sixth larger, with 256 it is 1.5.
EDGE = 128
LEVEL = 2  # of deflate: with 4 weights are a tenth smaller, and take half as long again


class _Sink(io.FileIO):
    """A file that hides its errors, such as a full disk, from HDF5.

    HDF5 cannot close a file that it cannot write to, and later crashes the process.

    Attributes
    ----------
    error : OSError or None
        What went wrong first; nothing is written after it.
    """

    error: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all of the content, or keep the error."""
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Resize the file, or keep the error."""
        try:
            if self.error is None:
                return super().truncate(size)
        except OSError as error:
            self.error = error
        return size or 0


class CompressedWriter(Closing):
    """Write slices into a new file, one after another.

    Parameters
    ----------
    path : Path
        An existing file is overwritten.
    shape : (Z, Y, X)
    dtype : dtype-like
    """

    def __init__(self, path: Path, *, shape: tuple[int, int, int], dtype: npt.DTypeLike) -> None:
        self._sink = _Sink(path, "w+")
        self._file = h5py.File(self._sink, "w")
        self._stack = self._file.create_dataset(
            DATASET,
            shape,
            np.dtype(dtype),
            chunks=(1, *(min(EDGE, size) for size in shape[1:])),
            compression="gzip",
            compression_opts=LEVEL,
        )
        self._appended = 0

    def append(self, image: npt.NDArray[Any]) -> None:
        """Write the next slice, (Y, X)."""
        self._stack[self._appended] = image
        self._appended += 1
        self._raise()

    def _raise(self) -> None:
        if self._sink.error is not None:
            raise self._sink.error

    def close(self) -> None:
        """Close the file.

        Raises
        ------
        OSError
            If not all of it could be written.
        """
        self._file.close()
        self._sink.close()
        self._raise()


def open_compressed(path: Path, *, dtype: npt.DTypeLike) -> Any:
    """Open such a file, to be indexed like an array; only the indexed parts are read.

    Parameters
    ----------
    path : Path
    dtype : dtype-like
        The pixel type that it must have.

    Returns
    -------
    h5py.Dataset
        (Z, Y, X). Several threads may read it.

    Raises
    ------
    InputError
        If it is not such a file.
    """
    try:
        # Only writers need locks, and not every file system has them.
        stack = h5py.File(path, "r", locking="best-effort")[DATASET]
        shape, found = stack.shape, stack.dtype
    except (OSError, KeyError, AttributeError) as error:
        shape, found = (), (str(error).splitlines() or [type(error).__name__])[0]
    if len(shape) != 3 or found != dtype:
        raise InputError(
            path,
            expected=f"a stack of {np.dtype(dtype)} with axes ZYX",
            found=f"{found} of shape {shape}" if shape else str(found),
            remedy="run unetseg preprocess again",
        )
    return stack
