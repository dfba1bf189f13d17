"""Stacks that are kept compressed on the disk, and of which any part is read by itself: HDF5.

Labels become a sixteenth of their size, weights, which follow from labels, a tenth.
"""

from __future__ import annotations

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
LEVEL = 4  # of deflate: with 6 weights are a twentieth smaller, and take a quarter longer


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
        self._file = h5py.File(path, "w")
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

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_compressed(path: Path, *, dtype: npt.DTypeLike) -> Any:
    """Open such a file, to be indexed like an array; parts that are not asked for are not read.

    Parameters
    ----------
    path : Path
    dtype : dtype-like
        What the array must hold.

    Returns
    -------
    h5py.Dataset
        (Z, Y, X). Several threads may read it.

    Raises
    ------
    InputError
        If it is no such file.
    """
    try:
        # Locks are for those who write, and not every file system has them.
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
