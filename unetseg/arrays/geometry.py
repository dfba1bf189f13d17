"""Moves of whole pixels: flips, quarter turns, crops, mirrored padding. Nothing is resampled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Pixel = TypeVar("Pixel", bound=np.generic)


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


def crop_and_pad(
    image: npt.NDArray[Pixel], *, top: int, left: int, height: int, width: int
) -> npt.NDArray[Pixel]:
    """Keep one region where it is, and mirror it outwards until the slice is full again.

    Parameters
    ----------
    image : (H, W) array
    top, left, height, width : int
        The region, in pixels.

    Returns
    -------
    (H, W) array
    """
    region = image[top : top + height, left : left + width]
    below = image.shape[0] - top - height
    right = image.shape[1] - left - width
    return np.pad(region, ((top, below), (left, right)), mode="symmetric")
