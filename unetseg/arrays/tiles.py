"""Predict a slice in parts, with exactly the same result as for the whole slice in one piece.

Ronneberger et al. 2015, section 2: the overlap-tile strategy, with the missing context at the
borders of a slice made by mirroring.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.geometry import symmetries, undo_symmetry

Box = tuple[slice, slice]
"""Rows and columns of a slice; both begin and end within it."""


@dataclass(frozen=True)
class Canvas:
    """A slice and its mirrored border, as large as the network needs it.

    Parameters
    ----------
    height, width : int
        Of the slice, in pixels.
    border : int
        Least width of the mirrored border, in pixels.
    multiple : int
        What the sides of the canvas must be divisible by: the network's total pooling.
    """

    height: int
    width: int
    border: int
    multiple: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width with the border."""
        height, width = (
            math.ceil((size + 2 * self.border) / self.multiple) * self.multiple
            for size in (self.height, self.width)
        )
        return height, width

    def around(self, box: Box, *, halo: int) -> Box:
        """Return the part of the canvas that the network must see to predict a part of the slice.

        Corners fall on multiples of the network's total pooling, so that a tile is pooled along
        the same grid as the whole canvas; a tile ends where the canvas ends, so that the network
        sees the same edge.

        Parameters
        ----------
        box : Box
            Part of the slice.
        halo : int
            Context around it, in pixels: the network's receptive field to one side.

        Returns
        -------
        Box
            Part of the canvas.
        """
        rows, columns = (
            slice(
                max(0, (side.start + self.border - halo) // self.multiple * self.multiple),
                min(size, -(-(side.stop + self.border + halo) // self.multiple) * self.multiple),
            )
            for side, size in zip(box, self.shape, strict=True)
        )
        return rows, columns

    def read(self, read: Callable[[Box], npt.NDArray[Any]], seen: Box) -> npt.NDArray[Any]:
        """Return the pixels of a part of the canvas; `read` reads boxes of the slice."""
        rows, columns = (
            mirrored(side, border=self.border, size=size)
            for side, size in zip(seen, (self.height, self.width), strict=True)
        )
        box = (
            slice(int(rows.min()), int(rows.max()) + 1),
            slice(int(columns.min()), int(columns.max()) + 1),
        )
        return read(box)[np.ix_(rows - box[0].start, columns - box[1].start)]


def middle_of(shape: Sequence[int], *, most: int) -> Box:
    """Return the middle of a slice (H, W), at most `most` pixels high and wide."""
    edges = [min(size, most) for size in shape]
    rows, columns = (
        slice((size - edge) // 2, (size + edge) // 2)
        for size, edge in zip(shape, edges, strict=True)
    )
    return rows, columns


def square_around(middle: tuple[int, int], *, edge: int, size: Sequence[int]) -> Box:
    """Return a square around a pixel, moved and cut down to lie inside a slice (H, W)."""
    box = []
    for centre, length in zip(middle, size, strict=True):
        side = min(edge, length)
        start = min(max(centre - side // 2, 0), length - side)
        box.append(slice(start, start + side))
    return box[0], box[1]


def mirrored(side: slice, *, border: int, size: int) -> npt.NDArray[np.intp]:
    """Return the row (or column) of a slice that each row of a part of its canvas shows.

    Parameters
    ----------
    side : slice
        Rows of the canvas.
    border : int
        Rows of the canvas before the slice begins.
    size : int
        Rows of the slice.
    """
    # The canvas repeats the slice and its mirror image without end: ... 1 0 | 0 1 2 | 2 1 0 | 0 ...
    period = np.arange(side.start - border, side.stop - border) % (2 * size)
    return np.where(period < size, period, 2 * size - 1 - period)


def plan_boxes(shape: tuple[int, int], *, largest: tuple[int, int], multiple: int) -> list[Box]:
    """Cut a slice into boxes of nearly equal size.

    Parameters
    ----------
    shape : (H, W)
        Of the slice.
    largest : (height, width)
        Largest size of a box, which is at least one `multiple` long in any case.
    multiple : int
        Boxes end at multiples of this, in pixels, or at the end of the slice.
    """
    sides = [
        cut_side(size, most=most, multiple=multiple)
        for size, most in zip(shape, largest, strict=True)
    ]
    return [(rows, columns) for rows in sides[0] for columns in sides[1]]


def cut_side(size: int, *, most: int, multiple: int) -> list[slice]:
    """Cut one axis of a slice, as `plan_boxes` does."""
    units = math.ceil(size / multiple)
    pieces = math.ceil(units / max(1, most // multiple)) if size > most else 1
    edges = [min(size, units * i // pieces * multiple) for i in range(pieces + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def predict_box(
    read: Callable[[Box], npt.NDArray[np.float32]],
    box: Box,
    network: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    *,
    canvas: Canvas,
    halo: int,
    tta: bool,
) -> npt.NDArray[np.float32]:
    """Predict a part of a slice: the mean of what `predict_views` yields.

    Returns
    -------
    array of float32, as large as the box
    """
    total, views = np.zeros([side.stop - side.start for side in box], np.float32), 0
    for pixels in predict_views(read, box, network, canvas=canvas, halo=halo, tta=tta):
        total += pixels
        views += 1
    total /= views
    return total


def predict_views(
    read: Callable[[Box], npt.NDArray[np.float32]],
    box: Box,
    network: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    *,
    canvas: Canvas,
    halo: int,
    tta: bool,
) -> Iterator[npt.NDArray[np.float32]]:
    """Predict a part of a slice as it is, or under every symmetry, and turn the results back.

    Parameters
    ----------
    read : callable
        Takes a box of the slice, returns its normalised pixels.
    box : Box
        The part to predict.
    network : callable
        Takes an image with sides divisible by the canvas' multiple, returns probabilities of its
        shape.
    canvas : Canvas
    halo : int
        As for `Canvas.around`.
    tta : bool
        Test-time augmentation: all 8 flips and rotations, rather than only the slice as it is.

    Yields
    ------
    array of float32, as large as the box
    """
    seen = canvas.around(box, halo=halo)
    rows, columns = (
        slice(b.start + canvas.border - s.start, b.stop + canvas.border - s.start)
        for b, s in zip(box, seen, strict=True)
    )
    pixels = canvas.read(read, seen)
    views = symmetries(pixels) if tta else [(pixels, (False, 0))]
    for view, symmetry in views:
        yield undo_symmetry(network(view), symmetry)[rows, columns]


def read_padded(
    read: Callable[[Box], npt.NDArray[Any]],
    box: Box,
    *,
    size: tuple[int, int],
    dtype: npt.DTypeLike,
    padding: float,
) -> npt.NDArray[Any]:
    """Read a part of a larger slice, which has the slice at its top left and padding elsewhere.

    Parameters
    ----------
    read : callable
        Takes a box of the slice, returns its pixels.
    box : Box
        A part of the larger slice.
    size : (H, W)
        Of the slice.
    dtype : numpy.dtype
        Of the result.
    padding : float
        Value of pixels outside the slice.
    """
    pixels = np.full([side.stop - side.start for side in box], padding, dtype)
    rows, columns = (
        slice(side.start, max(side.start, min(side.stop, edge)))
        for side, edge in zip(box, size, strict=True)
    )
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if height and width:
        pixels[:height, :width] = read((rows, columns))
    return pixels
