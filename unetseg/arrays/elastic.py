"""Smooth deformation of an image and its label by one and the same field."""

from __future__ import annotations

from typing import Any

import elasticdeform
import numpy as np
import numpy.typing as npt

# Grey level between the two values of a label.
LABEL_MIDDLE = 127.5


def draw_displacement(
    rng: np.random.Generator, *, sigma: float, points: int
) -> npt.NDArray[np.float64]:
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
    displacement: npt.NDArray[np.float64],
    rotation: float,
    scale: float,
    order: int,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Deform, rotate and scale an image and its label in a single resampling.

    The displacements are interpolated by bicubic splines to every pixel; beyond its border the
    slice is mirrored. The image is resampled with splines of the given order; the label
    linearly, then cut at the middle between its two values.

    Parameters
    ----------
    image : (H, W) uint8, uint16 or float32
    label : (H, W) uint8
        0 or 255.
    displacement : (2, points, points) float64
        As from `draw_displacement`.
    rotation : float
        Degrees, around the centre.
    scale : float
        Above 1 enlarges.
    order : int
        Of the splines that the image is resampled with, 0 to 4.

    Returns
    -------
    image : (H, W) float32
        Not rounded or clipped; splines overshoot by a few grey levels.
    label : (H, W) uint8
        0 or 255.
    """
    # float32 first: the spline prefilter works in the type of its input, and wraps uint8.
    deformed, mask = elasticdeform.deform_grid(
        [image.astype(np.float32), label.astype(np.float32)],
        displacement,
        order=[order, 1],
        mode="mirror",
        prefilter=[True, False],
        rotate=rotation or None,
        zoom=scale if scale != 1 else None,
    )
    return deformed, np.where(mask > LABEL_MIDDLE, 255, 0).astype(np.uint8)
