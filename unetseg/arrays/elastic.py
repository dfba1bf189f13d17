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

from unetseg.arrays.geometry import Region
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
    region: Region | None = None,
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
    region : (rows, columns), optional
        Slices with a start and a stop: the part of the result to make; by default all of it.

    Returns
    -------
    image : (H, W) float32, or as large as the region
        Not rounded or clipped; splines overshoot by a few grey levels.
    label : uint8, of the same shape
        0, 126, 127 or 255. No two cells are joined.
    """
    height, width = image.shape
    rows, columns = region or (slice(0, height), slice(0, width))
    # Whether a pixel becomes membrane depends on the one below it and the one on its right.
    wider = (
        slice(rows.start, min(rows.stop + 1, height)),
        slice(columns.start, min(columns.stop + 1, width)),
    )
    # float32 first: in uint8 the overshoot of splines would wrap. It is exact up to 2^24 cells.
    deformed, numbers = ENGINES[engine](
        image.astype(np.float32, copy=False),
        number_cells(label).astype(np.float32),
        displacement,
        _affine(rotation, scale, image.shape),
        order,
        wider,
    )
    kept = slice(rows.stop - rows.start), slice(columns.stop - columns.start)
    return deformed[kept], draw_label(numbers)[kept]


def _affine(rotation: float, scale: float, shape: tuple[int, ...]) -> Field:
    """(2, 3): the rotation and scaling of a slice around its centre, as an affine transform."""
    cos, sin = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    linear = scale * np.array([[cos, -sin], [sin, cos]])
    middle = (np.array(shape) - 1) / 2
    return np.column_stack([linear, middle - linear @ middle])


def _by_elasticdeform(
    image: Pixels, numbers: Pixels, displacement: Field, affine: Field, order: int, region: Region
) -> tuple[Pixels, Pixels]:
    import elasticdeform

    # Its own `rotate` is around the centre of the region; to the result of an affine transform it
    # adds the corner of the region, instead of to what is transformed.
    corner = np.array([part.start for part in region])
    shift = affine[:, 2] + affine[:, :2] @ corner - corner
    deformed, nearest = elasticdeform.deform_grid(
        [image, numbers],
        displacement,
        order=[order, 0],
        mode="mirror",
        crop=region,
        prefilter=[True, False],
        affine=np.column_stack([affine[:, :2], shift]),
    )
    return deformed, nearest


def _by_splines(
    image: Pixels, numbers: Pixels, displacement: Field, affine: Field, order: int, region: Region
) -> tuple[Pixels, Pixels]:
    places = dense_field(displacement, image.shape, region)
    back = np.linalg.inv(affine[:, :2])
    y, x = (np.arange(part.start, part.stop) for part in region)
    y, x = (y - affine[0, 2])[:, None], (x - affine[1, 2])[None]
    for place, (by_y, by_x) in zip(places, back, strict=True):
        place += by_y * y + by_x * x
    return (
        ndimage.map_coordinates(image, places, order=order, mode="mirror"),
        ndimage.map_coordinates(numbers, places, order=0, mode="mirror"),
    )


ENGINES: dict[str, Callable[..., tuple[Pixels, Pixels]]] = {
    "elasticdeform": _by_elasticdeform,
    "splines": _by_splines,
}


def dense_field(displacement: Field, shape: tuple[int, ...], region: Region) -> Field:
    """Interpolate the displacements of a coarse grid to every pixel of a region.

    The same field as elasticdeform's, 50 times faster: its bicubic splines are products of one
    along y and one along x, so that two small matrix products replace the 16 terms at each pixel.

    Parameters
    ----------
    displacement : (2, points, points) float64
        The corners of the grid lie on the corners of the slice.
    shape : (H, W)
        Of the slice.
    region : (rows, columns)

    Returns
    -------
    (2, H, W) float64
        H and W are those of the region.
    """
    points = displacement.shape[1]
    along_y, along_x = (
        _spline_basis(points, size)[part] for size, part in zip(shape, region, strict=True)
    )
    field: Field = along_y @ displacement @ along_x.T
    return field


def _spline_basis(points: int, size: int) -> Field:
    """(size, points): what each control point contributes to each pixel along one axis."""
    nodes = np.linspace(0, points - 1, size)[None]
    units = np.eye(points)
    return np.stack(
        [ndimage.map_coordinates(unit, nodes, order=3, mode="mirror") for unit in units], axis=1
    )
