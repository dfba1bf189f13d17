"""Suggest where labels would teach most: in patches where models are unsure, far from labels.

A slice is cut into blocks, `PARTS` x `PARTS` of which make a patch, and all measures of a patch are
sums over its blocks. So a stack takes a few bytes for each block, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.tiles import Box

# Odd, so that a block is at the centre of a patch.
PARTS = 5
MIDDLE = PARTS // 2

# Least share of a patch that must be tissue.
LEAST_TISSUE = 0.5

# Shares of membrane that differ by less are alike.
ALIKE = 0.01


@dataclass(frozen=True)
class Place:
    """A patch that is worth labelling.

    Attributes
    ----------
    index : int
        Slice, counted from 0.
    top, left, height, width : int
        In pixels.
    score : float
        How unsure models are there: the standard deviation of all probabilities of a pixel,
        averaged over the patch, where missing tissue counts as 0.
    """

    index: int
    top: int
    left: int
    height: int
    width: int
    score: float

    @property
    def box(self) -> Box:
        """Rows and columns of the slice that the patch covers."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )

    @property
    def centre(self) -> tuple[float, float, float]:
        """Slice, row and column of its middle, for a viewer to go to."""
        return self.index, self.top + (self.height - 1) / 2, self.left + (self.width - 1) / 2


@dataclass(frozen=True, eq=False)
class Grid:
    """Blocks of a slice, and the patches made of them.

    Pixels that do not fill a block, less than a fifth of a patch, are shared between both ends of
    a slice, and belong to no patch.

    Attributes
    ----------
    rows, columns : (blocks + 1,) int
        Edges of the blocks. Any `PARTS` blocks in a row are exactly as long as a patch.
    """

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]

    @classmethod
    def of(cls, shape: tuple[int, int], *, patch: int) -> Grid:
        """Divide a slice (H, W) into blocks; patches are no larger than the slice."""
        return cls(*(_edges(size, min(patch, size)) for size in shape))

    @property
    def blocks(self) -> tuple[int, int]:
        """Number of rows and of columns of blocks."""
        return len(self.rows) - 1, len(self.columns) - 1

    @property
    def patch(self) -> tuple[int, int]:
        """Height and width of a patch, in pixels."""
        return int(self.rows[PARTS] - self.rows[0]), int(self.columns[PARTS] - self.columns[0])

    def sum_blocks(self, pixels: npt.NDArray[np.generic], box: Box) -> npt.NDArray[np.float32]:
        """Sum up the pixels of a part of a slice within every block.

        Parameters
        ----------
        pixels : (h, w) float32 or bool
            Values of the part.
        box : Box
            Position of the part in the slice.

        Returns
        -------
        (blocks, blocks) float32
            Summed over all parts, these are the values for the whole slice.
        """
        down, across = (
            _members(edges, side)
            for edges, side in zip((self.rows, self.columns), box, strict=True)
        )
        sums: npt.NDArray[np.float32] = down @ pixels.astype(np.float32) @ across.T
        return sums

    def place(self, index: int, row: int, column: int, score: float) -> Place:
        """Return the patch whose top left block is at this row and column."""
        return Place(index, int(self.rows[row]), int(self.columns[column]), *self.patch, score)


def _edges(size: int, patch: int) -> npt.NDArray[np.intp]:
    """Return the edges of the blocks along an axis of so many pixels."""
    # Although they are rounded down, any edge and the fifth after it differ by a whole patch.
    edges: npt.NDArray[np.intp] = np.arange(PARTS * size // patch + 2) * patch // PARTS
    edges = edges[edges <= size]
    edges += (size - edges[-1]) // 2
    return edges


def _members(edges: npt.NDArray[np.intp], side: slice) -> npt.NDArray[np.float32]:
    """Whether each pixel along an axis is in each block: (blocks, pixels), 1 or 0."""
    pixels = np.arange(side.start, side.stop)
    inside = (pixels >= edges[:-1, None]) & (pixels < edges[1:, None])
    return inside.astype(np.float32)


def _sum_patches(blocks: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Sum up the blocks of every patch."""
    windows = np.lib.stride_tricks.sliding_window_view(blocks, (PARTS, PARTS))
    sums: npt.NDArray[np.float32] = windows.sum((-2, -1))
    return sums


def free_patches(
    tissue: npt.NDArray[np.float32], labelled: npt.NDArray[np.float32], grid: Grid
) -> npt.NDArray[np.bool_]:
    """Which patches of a slice can be suggested: at least half tissue, and not labelled at all.

    Parameters
    ----------
    tissue, labelled : (blocks, blocks) float32
        Number of pixels of each block that are tissue, and that are labelled.
    grid : Grid

    Returns
    -------
    (patches, patches) bool
        Indexed by the top left block of each patch.
    """
    height, width = grid.patch
    enough = _sum_patches(tissue) >= LEAST_TISSUE * height * width
    free: npt.NDArray[np.bool_] = enough & (_sum_patches(labelled) == 0)
    return free


def patch_means(sums: npt.NDArray[np.float32], grid: Grid) -> npt.NDArray[np.float32]:
    """Average over the pixels of every patch of a slice.

    Parameters
    ----------
    sums : (blocks, blocks) float32
        Sum over the pixels of each block.
    grid : Grid

    Returns
    -------
    (patches, patches) float32
        Indexed by the top left block of each patch.
    """
    height, width = grid.patch
    return _sum_patches(sums) / np.float32(height * width)


def choose_places(
    scores: npt.NDArray[np.float32],
    membrane: npt.NDArray[np.float32],
    free: npt.NDArray[np.bool_],
    labelled: npt.NDArray[np.bool_],
    grid: Grid,
    *,
    apart: float,
) -> Iterator[Place]:
    """Choose patches one after the other, each depending on those already chosen.

    The next one has the highest score, multiplied by its distance to the nearest labelled block or
    chosen patch if that is less than 1. Distances are between centres; 1 is the length of a patch
    within a slice, or `apart` slices: a patch beside a chosen one keeps its full score, one above
    it in the next slice does not. No patch overlaps another one of its slice.

    Scores of patches with more membrane than usual are reduced. Models are unsure where membranes
    are cut obliquely, but so are people, and labels of such a patch tell little about others.

    Parameters
    ----------
    scores : (Z, patches, patches) float32
        How unsure models are in each patch, slice by slice. The standard deviation correlates with
        errors of cells as well as any measure that was compared: docs/few-labels.md.
    membrane : (Z, patches, patches) float32
        Share of each patch that is membrane, by the same models.
    free : (Z, patches, patches) bool
        Which patches may be chosen.
    labelled : (Z, blocks, blocks) bool
        Where anything is labelled.
    grid : Grid
    apart : float
        Slices after which tissue looks different.

    Yields
    ------
    Place
        Until none is free. Of patches with equal worth, the first.
    """
    free = free.copy()
    near = _nearness(labelled, apart)
    usual = _usualness(membrane, free)
    z, y, x = np.ogrid[tuple(slice(size) for size in scores.shape)]
    while free.any():
        worth = np.where(free, scores * near * usual, -1)
        index, row, column = (int(i) for i in np.unravel_index(worth.argmax(), worth.shape))
        yield grid.place(index, row, column, float(scores[index, row, column]))
        down, right = np.abs(y - row), np.abs(x - column)
        distance = np.sqrt(((z - index) / apart) ** 2 + (down**2 + right**2) / PARTS**2)
        np.minimum(near, distance, out=near, casting="same_kind")
        free[index] &= ((down >= PARTS) | (right >= PARTS))[0]


def _usualness(
    membrane: npt.NDArray[np.float32], free: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """1 up to the median share of membrane of free patches; above, as a Gaussian of their spread.

    Less membrane than usual is no reason to leave a patch out: a model misses faint ones.
    """
    if not free.any():
        return np.ones_like(membrane)
    shares = membrane[free]
    excess = np.maximum(membrane - np.median(shares), 0) / max(shares.std(), ALIKE)
    usualness: npt.NDArray[np.float32] = np.exp(-(excess**2) / 2).astype(np.float32)
    return usualness


def _nearness(labelled: npt.NDArray[np.bool_], apart: float) -> npt.NDArray[np.float32]:
    """Distance of the centre of every patch to the nearest labelled block, at most 1."""
    centres = np.s_[:, MIDDLE:-MIDDLE, MIDDLE:-MIDDLE]
    if not labelled.any():
        return np.ones(labelled[centres].shape, np.float32)
    sampling = (1 / apart, 1 / PARTS, 1 / PARTS)
    distance = ndimage.distance_transform_edt(~labelled, sampling=sampling)[centres]
    nearness: npt.NDArray[np.float32] = np.minimum(1, distance).astype(np.float32)
    return nearness
