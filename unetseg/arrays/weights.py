"""The weight map of the U-Net paper: rare classes count more, and gaps between cells most."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.labelling import INTERIOR, UNCOUNTED
from unetseg.arrays.segments import label_cells

# Beyond this many sigma the border term is below w0 * exp(-18) = 2e-8 w0: nothing in float32.
REACH = 6.0


def class_weights(interior_share: float) -> tuple[float, float]:
    """Weights of membrane and interior that give both classes the same total, mean weight 1.

    Parameters
    ----------
    interior_share : float
        Share of interior among the pixels that count in the training labels, between 0 and 1,
        both excluded.

    Returns
    -------
    (membrane, interior)
    """
    return 0.5 / (1 - interior_share), 0.5 / interior_share


def weight_map(
    label: npt.NDArray[np.uint8], *, membrane: float, interior: float, w0: float, sigma: float
) -> npt.NDArray[np.float32]:
    """Weights of the loss, pixel by pixel.

    Ronneberger et al. 2015, equation 2: w = w_class + w0 exp(-(d1 + d2)^2 / (2 sigma^2)), where
    d1 and d2 are the distances to the nearest and the second nearest cell. The second term is
    added on membrane, where both distances are positive.

    Pixels that do not count are in no cell, and distances are measured straight across them. An
    unlabelled cell there could only make the gap narrower and the term larger. Pieces into which
    such pixels cut a cell count as separate cells.

    Parameters
    ----------
    label : (H, W) uint8
        0 on membrane, 255 inside cells, 127 where unlabelled or missing.
    membrane, interior : float
        Class weights, as from `class_weights`.
    w0 : float
        Extra weight where two cells touch.
    sigma : float
        In pixels.

    Returns
    -------
    (H, W) float32
        0 where unlabelled or missing.
    """
    inside = label == INTERIOR
    weights = np.where(inside, interior, membrane).astype(np.float32)
    if w0 > 0:
        nearest, second = two_nearest_cells(inside, reach=REACH * sigma)
        border = w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
        weights += np.where(inside, 0, border).astype(np.float32)
    weights[label == UNCOUNTED] = 0
    return weights


def two_nearest_cells(
    inside: npt.NDArray[np.bool_], *, reach: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Distances to the nearest and the second nearest cell.

    One Euclidean distance transform for each cell, in its bounding box widened by the reach: far
    less work than transforms of the whole slice, and the same result within the reach.

    Parameters
    ----------
    inside : (H, W) bool
        True inside cells; cells are its 4-connected components.
    reach : float
        Distances beyond this may be infinite instead.

    Returns
    -------
    nearest, second : (H, W) float32
        In pixels, from pixel centre to pixel centre; 0 inside the cell itself.
    """
    nearest = np.full(inside.shape, np.inf, np.float32)
    second = nearest.copy()
    cells = label_cells(inside)
    margin = int(np.ceil(reach))
    for number, box in enumerate(ndimage.find_objects(cells), start=1):
        window = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        distance = _transform()(cells[window] != number).astype(np.float32, copy=False)
        first, other = nearest[window], second[window]
        np.minimum(other, np.maximum(first, distance), out=other)
        np.minimum(first, distance, out=first)
    return nearest, second


@cache
def _transform() -> Callable[[npt.NDArray[np.bool_]], npt.NDArray[Any]]:
    """An exact Euclidean distance transform: bioimage-cpp's takes a fifth of the time of SciPy."""
    try:
        from bioimage_cpp.distance import distance_transform
    except ImportError:  # it has no wheels for some machines
        return ndimage.distance_transform_edt  # type: ignore[no-any-return]  # SciPy ships no types
    return distance_transform  # type: ignore[no-any-return]  # nor does it
