"""Read and write stacks as .npy files, slice by slice; the only module that knows the format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError
from unetseg.stacks.rawpixels import Run
from unetseg.stacks.sliced import SlicedVolume
from unetseg.stacks.slicewriter import SliceWriter
from unetseg.stacks.volume import DTYPES


def create_npy(path: Path, *, shape: tuple[int, int, int], dtype: npt.DTypeLike) -> SliceWriter:
    """Create a .npy file of known shape, to append its slices.

    Parameters
    ----------
    path : Path
        An existing file is overwritten.
    shape : (Z, Y, X)
    dtype : dtype-like
    """
    dtype = np.dtype(dtype)
    with path.open("wb") as file:
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        offset = file.tell()
    return SliceWriter(path, offset=offset, shape=shape, dtype=dtype)


def open_npy(path: Path, *, dtype: npt.DTypeLike | tuple[npt.DTypeLike, ...]) -> npt.NDArray[Any]:
    """Memory-map a stack for reading.

    Parameters
    ----------
    path : Path
    dtype : dtype-like, or several in a tuple
        The pixel type that the array must have, or several of which it must have one.

    Returns
    -------
    (Z, Y, X) array

    Raises
    ------
    InputError
        If it is not such an array.
    """
    dtypes = [np.dtype(one) for one in (dtype if isinstance(dtype, tuple) else (dtype,))]
    expected = f"a .npy array of {' or '.join(map(str, dtypes))} with axes ZYX"
    remedy = "run unetseg preprocess again"
    array = _map(path, expected=expected, remedy=remedy)
    if array.ndim != 3 or array.dtype not in dtypes:
        found = f"{array.dtype} of shape {array.shape}"
        raise InputError(path, expected=expected, found=found, remedy=remedy)
    return array


def _map(path: Path, *, expected: str, remedy: str) -> np.memmap[Any, Any]:
    """Memory-map any array."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy's reader of headers raises every kind on damaged ones
        found = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(path, expected=expected, found=found, remedy=remedy) from error
    if not isinstance(array, np.memmap):
        raise InputError(path, expected=expected, found=str(type(array)), remedy=remedy)
    return array


class NpyVolume(SlicedVolume):
    """A stack in a .npy file.

    Parameters
    ----------
    path : Path
    dtypes : tuple of str
        Allowed pixel types. Others are read as one of them that holds the same numbers.

    Raises
    ------
    InputError
        If it is damaged, has several channels, or holds other pixels.
    """

    kind = "a .npy array"

    def __init__(self, path: Path, *, dtypes: tuple[str, ...] = DTYPES) -> None:
        self.path = path
        array = _map(path, expected=self.kind, remedy="save it again with numpy.save")
        self._describe(array.shape, array.dtype, dtypes)
        self._run = Run(int(array.offset), self.shape, array.dtype)
        # NumPy reads the parts of arrays in Fortran order.
        self._columns = None if array.flags.c_contiguous else array
        self._file = path.open("rb")

    def _part(self, index: int, box: Box) -> Any:
        if self._columns is not None:
            return self._columns[self._place(index, box)]
        return self._run.read(self._file, index, box)

    def close(self) -> None:
        """Close the file."""
        self._columns = None
        self._file.close()
