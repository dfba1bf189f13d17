"""The three values of a label, and conversion between labels and numbers of cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from skimage import measure

from unetseg.arrays.segments import label_cells

Label = npt.NDArray[np.uint8]

# Uncounted pixels are unlabelled or missing: they have no part in the loss or in scores, and are
# neither membrane nor interior.
MEMBRANE, UNCOUNTED, INTERIOR = np.uint8(0), np.uint8(127), np.uint8(255)

# Pixels without tissue, while augmented copies are made: their grey levels do not count either.
MISSING = np.uint8(126)

# Values among the numbers of cells, for pixels that are neither in a cell nor on membrane.
NO_NUMBER, NO_TISSUE = -1, -2

# A cell's number covers few connected pieces of a slice, most of it in one; a class or a grey level
# covers many. A class that is a net of membranes is one piece too, but encloses many others.
MOST_PIECES = 10  # for each number, on average
MOSTLY_WHOLE = 0.75  # least share of the numbers of which one piece is at least half
FEW_NUMBERS = 20  # if there are more, none is a class
NET, SMALLEST_MESH = 8, 9  # meshes; px


def number_cells(label: Label) -> npt.NDArray[np.int32]:
    """Number the cells of a label: the 4-connected components of its interior.

    Parameters
    ----------
    label : (H, W) uint8
        0 on membrane, 255 inside cells, 127 where unlabelled, 126 where tissue is missing.

    Returns
    -------
    (H, W) int32
        0 on membrane, 1, 2, ... inside cells, -1 where unlabelled, -2 where tissue is missing.
    """
    numbers = label_cells(label == INTERIOR)
    numbers[label == UNCOUNTED] = NO_NUMBER
    numbers[label == MISSING] = NO_TISSUE
    return numbers


def draw_label(numbers: npt.NDArray[Any]) -> Label:
    """Turn numbers of cells into a label, with a line of one pixel where two numbers meet.

    Parameters
    ----------
    numbers : (H, W) int
        0 on membrane, positive inside cells, -1 where unlabelled, -2 where tissue is missing.

    Returns
    -------
    (H, W) uint8
        0 on membrane, 255 inside cells, 127 where unlabelled, 126 where tissue is missing.
        Of two 4-neighbours with different numbers, the upper or left one is membrane: cells of
        different numbers are different 4-connected components.
    """
    label = np.where(numbers > 0, INTERIOR, MEMBRANE)
    label[numbers < 0] = UNCOUNTED
    label[numbers == NO_TISSUE] = MISSING
    for axis in (0, 1):
        # Views with this axis first: a pixel, and the one below it or on its right.
        cells, drawn = np.moveaxis(numbers, axis, 0), np.moveaxis(label, axis, 0)
        meet = (cells[:-1] != cells[1:]) & (cells[:-1] > 0) & (cells[1:] > 0)
        drawn[:-1][meet] = MEMBRANE
    return label


def looks_numbered(values: npt.NDArray[Any]) -> bool:
    """Whether values are numbers of cells, rather than classes of pixels or grey levels.

    Parameters
    ----------
    values : (H, W) array
        0 is membrane or background; NaN counts as 0.

    Returns
    -------
    bool
        True also if all values are 0.
    """
    found, places = np.unique(np.nan_to_num(values), return_inverse=True)
    places = places.reshape(values.shape)
    # 1, 2, ... for the values, so that 0 is a background that does not occur.
    pieces = measure.label(places + 1, background=0, connectivity=1)  # type: ignore[no-untyped-call]  # has none
    sizes = np.bincount(pieces.ravel())
    value_of = np.zeros(len(sizes), np.intp)
    value_of[pieces] = places
    largest, total = np.zeros(len(found)), np.bincount(places.ravel())
    np.maximum.at(largest, value_of[1:], sizes[1:])
    count = np.bincount(value_of[1:], minlength=len(found))
    numbers = np.flatnonzero(found)
    if len(numbers) == 0:
        return True
    if count[numbers].mean() > MOST_PIECES:
        return False
    if np.mean(2 * largest[numbers] >= total[numbers]) < MOSTLY_WHOLE:
        return False
    return len(numbers) > FEW_NUMBERS or not any(_is_net(places == n) for n in numbers)


def _is_net(mask: npt.NDArray[np.bool_]) -> bool:
    """Whether a mask divides the rest into many pieces, as membranes divide cells."""
    sizes = np.bincount(label_cells(~mask).ravel())[1:]
    return int(np.count_nonzero(sizes >= SMALLEST_MESH)) >= NET
