"""Which axes of an array are slices, rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError

EXACT = {"bool": "uint8", "int8": "float32", "int16": "float32", "float16": "float32"}
"""Pixel types that are not supported, and supported ones that hold the same numbers."""

SINGLE = "."
"""The letter of an axis of length 1 that is dropped."""


def find_axes(path: Path, shape: Sequence[int], names: Sequence[str] | None = None) -> str:
    """Find slices, rows and columns; axes of length 1 may be anywhere.

    Parameters
    ----------
    path : Path
        Where the array lies, for the error.
    shape : sequence of int
    names : sequence of str, optional
        Of the axes, such as "t", "c", "z", "y", "x"; without, the last two are rows and columns.

    Returns
    -------
    str
        A letter for each axis: "z", "y", "x", or `SINGLE`.

    Raises
    ------
    InputError
        If there are several channels or times, no pixels, or axes in another order than Z, Y, X.
    """
    if names is None:
        letters = _unnamed(shape)
    else:
        letters = "".join(
            name.lower() if name.lower() in ("z", "y", "x") or size > 1 else SINGLE
            for name, size in zip(names, shape, strict=True)
        )
    if letters.replace(SINGLE, "") in ("zyx", "yx") and 0 not in shape:
        return letters
    if names is None:
        found = f"an array of shape {tuple(shape)}"
    else:
        found = ", ".join(f"{name} {size}" for name, size in zip(names, shape, strict=True))
    raise InputError(
        path,
        expected="one channel of slices (ZYX)",
        found=found,
        remedy="extract one, with its axes in that order",
    )


def _unnamed(shape: Sequence[int]) -> str:
    """Drop axes of length 1 beyond three, and a last one (channels) of three; name the others."""
    axes = range(len(shape))
    single: set[int] = set()
    for axis in (*axes[-1:], *axes[:-1]):
        too_many = len(axes) - len(single) > 3 or (axis == 2 and len(axes) == 3)
        if shape[axis] == 1 and too_many:
            single.add(axis)
    kept = len(axes) - len(single)
    letters = iter("zyx"[max(0, 3 - kept) :].rjust(kept, "?"))
    return "".join(SINGLE if axis in single else next(letters) for axis in axes)


def shape_of(letters: str, shape: Sequence[int]) -> tuple[int, int, int]:
    """(Z, Y, X) of an array with these axes."""
    sizes = dict(zip(letters, map(int, shape), strict=True))
    return sizes.get("z", 1), sizes["y"], sizes["x"]


def place(letters: str, index: int, box: Box) -> tuple[int | slice, ...]:
    """Return the index of a part of a slice in the array."""
    places: dict[str, int | slice] = {SINGLE: 0, "z": index, "y": box[0], "x": box[1]}
    return tuple(places[letter] for letter in letters)


def pixels_as(path: Path, dtype: np.dtype[Any], dtypes: tuple[str, ...]) -> np.dtype[Any]:
    """Return the type, in the machine's byte order, as which pixels of `dtype` are read.

    Raises
    ------
    InputError
        If none of `dtypes` holds the same numbers.
    """
    name = EXACT.get(dtype.name, dtype.name)
    if name not in dtypes:
        raise InputError(
            path,
            expected=f"pixels of {', '.join(dtypes[:-1])} or {dtypes[-1]}",
            found=str(dtype),
            remedy="convert it",
        )
    return np.dtype(name)
