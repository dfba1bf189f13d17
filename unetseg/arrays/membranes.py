"""Draw membrane of a given width between numbered cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.labelling import INTERIOR, MEMBRANE, Label

NARROWEST = 1.0
"""In pixels: however narrow, a line between pixels takes up one on either side."""

# Least radius, in pixels, within which only the deepest pixels of a thin cell are kept. Within a
# smaller one, steps of a slanting line would look like cells that are thinner than the line.
CLOSEST = 3.0

# The four sides of a pixel: an axis, and the step along it to the neighbour.
SIDES = ((0, -1), (0, 1), (1, -1), (1, 1))


def draw_membranes(numbers: npt.NDArray[Any], *, width: float, close: bool) -> Label:
    """Turn numbers of cells into a label, with membrane of uniform width where two numbers meet.

    Numbers meet along the sides of pixels. A pixel becomes membrane if its centre is within half
    the width of a side at which its own cell meets another. So the line is symmetric, and takes
    nothing from a third cell, nor from cells that 0 keeps apart. Of a cell that is thinner than the
    line, the pixels that are deepest within a distance of the width (3 px at least) stay: no cell
    with 2 x 2 pixels is lost. Where such pixels of two cells touch, the left or upper one becomes
    membrane.

    Parameters
    ----------
    numbers : (H, W) array of integers
        0 on membrane and where unlabelled or missing, positive inside cells.
    width : float
        In pixels, at least 1. Straight lines come out an even number of pixels wide: an odd width
        becomes the next even one.
    close : bool
        Whether numbers also meet across lines of 0 that are one pixel wide: a watershed leaves
        such lines between cells, and nobody has drawn them as membrane.

    Returns
    -------
    (H, W) uint8
        0 on membrane, 255 inside cells. Cells of different numbers are different 4-connected
        components. Pixels farther away than `reach_of` have no effect on a pixel.
    """
    margin = reach_of(width)
    inner = (slice(margin, -margin),) * 2
    padded = np.pad(numbers, margin)
    if close:
        padded[inner] = _close_lines(padded)[inner]
    flat, row = padded.ravel(), padded.shape[1]
    depths = _depths(padded, width)
    drawn = np.isfinite(depths)
    drawn[_deepest(flat, depths, row=row, radius=_apart(width))] = False
    label = np.where((flat > 0) & ~drawn, INTERIOR, MEMBRANE).reshape(padded.shape)
    _part(padded, label)
    return np.where(numbers == 0, MEMBRANE, label[inner])


def _close_lines(padded: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give each 0 with two cells on opposite sides the larger of their numbers."""
    closed = padded
    for way in ((0, 1), (1, 0), (1, 1), (1, -1)):
        one, other = (np.roll(padded, (sign * way[0], sign * way[1]), (0, 1)) for sign in (1, -1))
        between = (padded == 0) & (one > 0) & (other > 0) & (one != other)
        closed = np.where(between, np.maximum(closed, np.maximum(one, other)), closed)
    return closed


def reach_of(width: float) -> int:
    """Return how far away, in pixels along each axis, a number can affect a pixel of a label."""
    # From the other cell's pixel behind a side to the deepest pixel that is compared, from there
    # to the pixel that is kept, from there to one that touches it; and what closes a line.
    return math.floor(width / 2 + 0.5) + 1 + math.floor(_apart(width)) + 1 + 1


def _apart(width: float) -> float:
    """Return the distance within which only the deepest pixels of a thin cell are kept."""
    return max(CLOSEST, width)


def _depths(padded: npt.NDArray[Any], width: float) -> npt.NDArray[np.float32]:
    """Distance of each pixel, flat, to where its cell meets another; inf beyond half the width."""
    flat, row = padded.ravel(), padded.shape[1]
    rims = {
        (axis, step): np.flatnonzero(_meets(padded, axis=axis, step=step)) for axis, step in SIDES
    }
    depths = np.full(flat.shape, np.inf, np.float32)
    # From far to near, so that what is near is written last.
    for distance, side, down, right in _around_sides(width / 2):
        rim = rims[side]
        pixels = rim + (down * row + right)
        depths[pixels[flat[pixels] == flat[rim]]] = distance
    return depths


def _meets(padded: npt.NDArray[Any], *, axis: int, step: int) -> npt.NDArray[np.bool_]:
    """Which pixels have another cell beyond this side; no cell lies in the margin."""
    other = np.roll(padded, -step, axis)
    meets: npt.NDArray[np.bool_] = (padded > 0) & (other > 0) & (padded != other)
    return meets


def _around_sides(radius: float) -> list[tuple[float, tuple[int, int], int, int]]:
    """Offsets of pixels near each side of a pixel: distance, side, down, right; farthest first."""
    most = math.floor(radius + 0.5)
    steps = range(-most, most + 1)
    found = []
    for axis, step in SIDES:
        for across in steps:
            for along in steps:
                distance = math.hypot(across - step / 2, max(0.0, abs(along) - 0.5))
                if distance <= radius:
                    down, right = (across, along) if axis == 0 else (along, across)
                    found.append((distance, (axis, step), down, right))
    return sorted(found, reverse=True)


def _deepest(
    flat: npt.NDArray[Any], depths: npt.NDArray[np.float32], *, row: int, radius: float
) -> npt.NDArray[np.intp]:
    """Find the pixels on the line than which none of their cell within the radius is deeper."""
    found = np.flatnonzero(np.isfinite(depths))
    most = math.floor(radius)
    steps = range(-most, most + 1)
    around = [(math.hypot(down, right), down, right) for down in steps for right in steps]
    for distance, down, right in sorted(around):  # from near to far: most are out soon
        if 0 < distance <= radius:
            other = found + (down * row + right)
            found = found[(flat[other] != flat[found]) | (depths[other] <= depths[found])]
    return found


def _part(padded: npt.NDArray[Any], label: Label) -> None:
    """Turn into membrane the upper or left one of two touching pixels of different cells."""
    inside = label == INTERIOR
    for axis in (0, 1):
        other = np.roll(padded, -1, axis)
        touch = inside & np.roll(inside, -1, axis) & (padded != other)
        label[touch] = MEMBRANE
