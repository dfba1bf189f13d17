"""The three values of a label, and numbers of cells instead of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.segments import label_cells

Label = npt.NDArray[np.uint8]

# What does not count is unlabelled or missing: no loss, no score, neither membrane nor interior.
MEMBRANE, UNCOUNTED, INTERIOR = np.uint8(0), np.uint8(127), np.uint8(255)

# Among numbers of cells: no cell, but no membrane either.
NO_NUMBER = -1


def number_cells(label: Label) -> npt.NDArray[np.int32]:
    """Number the cells of a label: the 4-connected components of its interior.

    Parameters
    ----------
    label : (H, W) uint8
        0 on membrane, 255 inside cells, 127 where nothing counts.

    Returns
    -------
    (H, W) int32
        0 on membrane, 1, 2, ... inside cells, -1 where nothing counts.
    """
    numbers = label_cells(label == INTERIOR)
    numbers[label == UNCOUNTED] = NO_NUMBER
    return numbers


def draw_label(numbers: npt.NDArray[Any], *, line: int) -> Label:
    """Turn numbers of cells into a label, with membrane where two numbers meet.

    Parameters
    ----------
    numbers : (H, W) int
        0 on membrane, positive inside cells, negative where nothing counts.
    line : int
        Width in pixels of what is drawn between two different numbers that are 4-neighbours:
        1, at the expense of the upper or left one, or 2, at that of both.

    Returns
    -------
    (H, W) uint8
        0 on membrane, 255 inside cells, 127 where nothing counts. Cells of different numbers are
        different 4-connected components.
    """
    label = np.where(numbers > 0, INTERIOR, MEMBRANE)
    label[numbers < 0] = UNCOUNTED
    for axis in (0, 1):
        # Views with this axis first: a pixel, and the one below it or on its right.
        cells, drawn = np.moveaxis(numbers, axis, 0), np.moveaxis(label, axis, 0)
        meet = (cells[:-1] != cells[1:]) & (cells[:-1] > 0) & (cells[1:] > 0)
        drawn[:-1][meet] = MEMBRANE
        if line > 1:
            drawn[1:][meet] = MEMBRANE
    return label
