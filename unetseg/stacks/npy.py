"""Read and write stacks as .npy files, slice by slice; the only room that knows the format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.errors import InputError
from unetseg.stacks.slicewriter import SliceWriter


def create_npy(path: Path, *, shape: tuple[int, int, int], dtype: npt.DTypeLike) -> SliceWriter:
    """Start a .npy file of known shape, to append its slices.

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


def open_npy(path: Path, *, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Memory-map a stack for reading.

    Parameters
    ----------
    path : Path
    dtype : dtype-like
        What the array must hold.

    Returns
    -------
    (Z, Y, X) array

    Raises
    ------
    InputError
        If it is no such array.
    """
    expected = f"a .npy array of {np.dtype(dtype)} with axes ZYX"
    remedy = "run unetseg preprocess again"
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy's reader of headers raises every kind on damaged ones
        found = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(path, expected=expected, found=found, remedy=remedy) from error
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.dtype != dtype:
        found = f"{getattr(array, 'dtype', type(array))} of shape {getattr(array, 'shape', '?')}"
        raise InputError(path, expected=expected, found=found, remedy=remedy)
    return array
