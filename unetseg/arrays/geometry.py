"""Moves of whole pixels: flips, quarter turns, crops, mirrored padding. Nothing is resampled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Pixel = TypeVar("Pixel", bound=np.generic)
Region = tuple[slice, slice]


def flip(
    image: npt.NDArray[Pixel], *, vertical: bool, horizontal: bool, quarter_turns: int
) -> npt.NDArray[Pixel]:
    """Flip a slice upside down, left to right, then turn it counter-clockwise by quarters.

    Parameters
    ----------
    image : (H, W) array
    vertical, horizontal : bool
    quarter_turns : int
        0 to 3; only even numbers keep the shape of a slice that is not square.

    Returns
    -------
    (H, W) or (W, H) array
        A view.
    """
    rows = slice(None, None, -1 if vertical else 1)
    columns = slice(None, None, -1 if horizontal else 1)
    return np.rot90(image[rows, columns], quarter_turns)


def find_origin(
    region: Region,
    shape: tuple[int, ...],
    *,
    vertical: bool,
    horizontal: bool,
    quarter_turns: int,
) -> Region:
    """Find the part of a slice that `flip` moves into a region of the flipped slice.

    Parameters
    ----------
    region : (rows, columns)
        Of the flipped slice.
    shape : (H, W)
        Of the slice before it is flipped.
    vertical, horizontal : bool
    quarter_turns : int
        0 to 3.

    Returns
    -------
    (rows, columns)
    """
    rows, columns = region
    for turn in range(quarter_turns, 0, -1):
        # The rows of a slice that was turned are columns of the one before, from the right.
        rows, columns = columns, _mirrored(rows, shape[turn % 2])
    if vertical:
        rows = _mirrored(rows, shape[0])
    if horizontal:
        columns = _mirrored(columns, shape[1])
    return rows, columns


def _mirrored(part: slice, size: int) -> slice:
    return slice(size - part.stop, size - part.start)


def symmetries(
    image: npt.NDArray[Pixel],
) -> Iterator[tuple[npt.NDArray[Pixel], tuple[bool, int]]]:
    """Yield the 8 flips and rotations of a slice, each with what `undo_symmetry` needs."""
    for vertical in (False, True):
        for turns in range(4):
            turned = flip(image, vertical=vertical, horizontal=False, quarter_turns=turns)
            yield turned, (vertical, turns)


def undo_symmetry(image: npt.NDArray[Pixel], symmetry: tuple[bool, int]) -> npt.NDArray[Pixel]:
    """Turn a slice back from one of the 8 `symmetries`."""
    vertical, turns = symmetry
    return flip(np.rot90(image, -turns), vertical=vertical, horizontal=False, quarter_turns=0)


def mirror_outwards(
    image: npt.NDArray[Pixel], region: Region, shape: tuple[int, ...]
) -> npt.NDArray[Pixel]:
    """Put an image where a region is, and mirror it outwards until the slice is full.

    Parameters
    ----------
    image : array, as large as the region
    region : (rows, columns)
    shape : (H, W)

    Returns
    -------
    (H, W) array
    """
    margins = [(part.start, size - part.stop) for part, size in zip(region, shape, strict=True)]
    return np.pad(image, margins, mode="symmetric")
