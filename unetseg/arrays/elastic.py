"""Deform an image and its label smoothly, by the same field.

The library elasticdeform does this. Where it cannot be imported (its wheels are older than NumPy
2), our own splines replace it, and give the same field.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.labelling import draw_label, number_cells

Field = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]


@cache
def find_engine() -> str:
    """Name the engine to deform with: elasticdeform if it can be imported, else our splines."""
    try:
        # NumPy 2 writes a page about modules that were built for NumPy 1.
        with contextlib.redirect_stderr(io.StringIO()):
            import elasticdeform  # noqa: F401  # to see whether it can be
    except ImportError:
        return "splines"
    return "elasticdeform"


def draw_displacement(rng: np.random.Generator, *, sigma: float, points: int) -> Field:
    """Draw the displacement vectors of a coarse grid.

    Ronneberger et al. 2015, section 3.1: "random displacement vectors on a coarse 3 by 3 grid",
    from a Gaussian with a standard deviation of 10 pixels.

    Parameters
    ----------
    rng : numpy.random.Generator
    sigma : float
        Standard deviation of the displacements in pixels.
    points : int
        Control points along each axis.

    Returns
    -------
    (2, points, points) float64
        Displacements along y and x, in pixels.
    """
    return rng.normal(0.0, sigma, (2, points, points))


def deform(
    image: npt.NDArray[Any],
    label: npt.NDArray[np.uint8],
    *,
    displacement: Field,
    rotation: float,
    scale: float,
    order: int,
    engine: str,
) -> tuple[Pixels, npt.NDArray[np.uint8]]:
    """Deform, rotate and scale an image and its label in a single resampling.

    The slice is mirrored beyond its border. The image is resampled with splines of the given
    order. Of the label, the cell numbers are resampled, from the nearest pixel, and membrane is
    drawn where two of them meet: if the label itself were interpolated and thresholded, a line one
    pixel wide would be torn, and the cells on either side joined.

    Parameters
    ----------
    image : (H, W) uint8, uint16 or float32
    label : (H, W) uint8
        0 on membrane, 255 inside cells, 127 where unlabelled, 126 where tissue is missing.
    displacement : (2, points, points) float64
        As from `draw_displacement`: offset from a pixel of the result to the place that its value
        is taken from.
    rotation : float
        Degrees around the centre, counter-clockwise.
    scale : float
        Above 1 enlarges, around the centre.
    order : int
        Of the splines that the image is resampled with, 0 to 5.
    engine : str
        One of `ENGINES`, as from `find_engine`.

    Returns
    -------
    image : (H, W) float32
        Not rounded or clipped; splines overshoot by a few grey levels.
    label : (H, W) uint8
        0, 126, 127 or 255. No two cells are joined.
    """
    # float32 first: in uint8 the overshoot of splines would wrap. It is exact up to 2^24 cells.
    deformed, numbers = ENGINES[engine](
        image.astype(np.float32, copy=False),
        number_cells(label).astype(np.float32),
        displacement,
        rotation,
        scale,
        order,
    )
    return deformed, draw_label(numbers)


def _by_elasticdeform(
    image: Pixels, numbers: Pixels, displacement: Field, rotation: float, scale: float, order: int
) -> tuple[Pixels, Pixels]:
    import elasticdeform

    deformed, nearest = elasticdeform.deform_grid(
        [image, numbers],
        displacement,
        order=[order, 0],
        mode="mirror",
        prefilter=[True, False],
        rotate=rotation,
        zoom=scale,
    )
    return deformed, nearest


def _by_splines(
    image: Pixels, numbers: Pixels, displacement: Field, rotation: float, scale: float, order: int
) -> tuple[Pixels, Pixels]:
    places = dense_field(displacement, height=image.shape[0], width=image.shape[1])
    middle_y, middle_x = ((size - 1) / 2 for size in image.shape)
    y = (np.arange(image.shape[0]) - middle_y)[:, None] / scale
    x = (np.arange(image.shape[1]) - middle_x)[None, :] / scale
    cos, sin = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    places[0] += y * cos + x * sin + middle_y
    places[1] += x * cos - y * sin + middle_x
    return (
        ndimage.map_coordinates(image, places, order=order, mode="mirror"),
        ndimage.map_coordinates(numbers, places, order=0, mode="mirror"),
    )


ENGINES: dict[str, Callable[..., tuple[Pixels, Pixels]]] = {
    "elasticdeform": _by_elasticdeform,
    "splines": _by_splines,
}


def dense_field(displacement: Field, *, height: int, width: int) -> Field:
    """Interpolate the displacements of a coarse grid to every pixel, by bicubic splines.

    The same field as elasticdeform's, 50 times faster: its splines are products of one along y and
    one along x, so that two small matrix products replace the 16 terms at each pixel.

    Parameters
    ----------
    displacement : (2, points, points) float64
        The corners of the grid lie on the corners of the slice.
    height, width : int

    Returns
    -------
    (2, height, width) float64
    """
    points = displacement.shape[1]
    field: Field = _spline_basis(points, height) @ displacement @ _spline_basis(points, width).T
    return field


def _spline_basis(points: int, size: int) -> Field:
    """(size, points): what each control point contributes to each pixel along one axis."""
    nodes = np.linspace(0, points - 1, size)[None]
    units = np.eye(points)
    return np.stack(
        [ndimage.map_coordinates(unit, nodes, order=3, mode="mirror") for unit in units], axis=1
    )
