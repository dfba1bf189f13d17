"""Synthetic serial-section electron microscopy: stacks of neural tissue, labels and cells.

The tissue is grown (`neuropil`), cut, drawn and photographed (`micrograph`) as a `tissuelook` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.micrograph import draw, photograph
from unetseg.arrays.neuropil import Ints, Shape, cut_tissue, grow_tissue
from unetseg.arrays.tissuelook import Look

Bytes = npt.NDArray[np.uint8]

INTERIOR, MEMBRANE = 255, 0  # values of the labels


@dataclass(frozen=True)
class Stack:
    """A synthetic stack, each array (slices, height, width)."""

    images: Bytes  # light cytoplasm, dark membranes and organelles
    labels: Bytes  # 255 inside a cell, organelles included; 0 on membrane and between the cells
    cells: npt.NDArray[Any]  # numbers from 1 inside the cells, 0 elsewhere: see `number_cells`


def synthesize(
    *, slices: int, height: int, width: int, rng: np.random.Generator
) -> tuple[Bytes, Bytes]:
    """Make a stack that looks like ISBI 2012, and its labels.

    Parameters
    ----------
    slices, height, width : int
        Shape of the stack, in slices of 50 nm and pixels of 4 nm.
    rng : numpy.random.Generator
        The only source of randomness: the same state gives the same stack.

    Returns
    -------
    images, labels : (slices, height, width) uint8
        As in `Stack`.
    """
    stack = draw_stack((slices, height, width), look=Look(), rng=rng)
    return stack.images, stack.labels


def draw_stack(shape: Shape, *, look: Look, rng: np.random.Generator) -> Stack:
    """Make a stack of a given look; the same `rng` and look give the same stack."""
    tissue = grow_tissue(shape, look=look, rng=rng)
    images, labels = np.empty((2, *shape), np.uint8)
    nearest = np.empty(shape, np.int32)
    for z in range(shape[0]):
        cut = cut_tissue(tissue, z)
        labels[z] = np.where(cut.clearance > 0, INTERIOR, MEMBRANE)
        nearest[z] = cut.cells
        images[z] = photograph(draw(tissue, cut, z, rng=rng), tissue.light(z), look=look, rng=rng)
    return Stack(images, labels, number_cells(nearest, interior=labels == INTERIOR))


def number_cells(nearest: Ints, *, interior: npt.NDArray[np.bool_]) -> Ints:
    """Number the cells through the stack.

    Parameters
    ----------
    nearest : (slices, height, width) int32
        Index of the cell that each pixel belongs to; -1 where no cell claims it.
    interior : (slices, height, width) bool
        What is not membrane.

    Returns
    -------
    (slices, height, width) int32
        0 on membrane, consecutive numbers from 1 elsewhere: one for all sections of a cell, even if
        they do not touch; and one for each connected piece of the places that no cell claims.
        Connected are pixels that share a face, in a slice or from one slice to the next.
    """
    unclaimed = interior & (nearest < 0)
    pieces, _ = ndimage.label(unclaimed)
    claimed = nearest.max(initial=-1) + 1
    raw = np.where(unclaimed, pieces + claimed, nearest + 1) * interior
    used = np.bincount(raw.ravel()) > 0
    used[0] = False
    return np.asarray((np.cumsum(used) * used)[raw], np.int32)
