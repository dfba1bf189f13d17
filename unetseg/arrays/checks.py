"""Detect, before training begins, faults in labels and images that would silently ruin it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.intensity import FLAT
from unetseg.arrays.labelling import INTERIOR, MEMBRANE

# Thresholds for correlations of labels with images. In ISBI 2012, labels correlate with their own
# images by 0.41 or more, and by 0.27 more than with any other; in synthetic stacks by 0.10 more.
# Unrelated labels and images correlate by 0.04 there, and by more only if slices are small.
FITTING, CLEARLY_HIGHER = 0.15, 0.05

# Structures narrower than 9 pixels are lines, after noise is smoothed away.
LINE_SMOOTHING, LINE_WIDTH = 2.0, (9, 9)


def interior_contrast(image: npt.NDArray[np.generic], interior: npt.NDArray[np.bool_]) -> float:
    """Measure how much brighter the inside of cells is than membrane.

    Parameters
    ----------
    image : (H, W) or (N,) array
        A slice, or only those of its pixels that count.
    interior : bool, of the same shape

    Returns
    -------
    float
        Difference of the means, in standard deviations of the image; 0 if there is only interior
        or only membrane, or the image is constant.
    """
    grey = image.astype(np.float64)
    if interior.all() or not interior.any():
        return 0.0
    deviation = grey.std()
    if deviation < FLAT:
        return 0.0
    return float((grey[interior].mean() - grey[~interior].mean()) / deviation)


def line_contrast(image: npt.NDArray[np.floating]) -> float:
    """Measure whether an image has more thin dark lines or more thin bright ones.

    Membranes are lines. A closing fills dark lines, and an opening removes bright ones (top-hat
    transforms; Serra 1982, Image Analysis and Mathematical Morphology).

    Parameters
    ----------
    image : (H, W) float

    Returns
    -------
    float
        From -1 (only bright lines) to 1 (only dark lines); 0 if there are none.
    """
    smooth = ndimage.gaussian_filter(image.astype(np.float64), LINE_SMOOTHING)
    dark = float((ndimage.grey_closing(smooth, LINE_WIDTH) - smooth).mean())
    bright = float((smooth - ndimage.grey_opening(smooth, LINE_WIDTH)).mean())
    return (dark - bright) / (dark + bright) if dark + bright > 0 else 0.0


def balance(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Turn a label into a pattern whose product with an image sums to their correlation.

    Parameters
    ----------
    label : (H, W) uint8
        0 on membrane, 255 inside cells, 127 where unlabelled or missing.

    Returns
    -------
    (H, W) float32
        Positive inside cells, negative on membrane, 0 where unlabelled or missing; 0 everywhere if
        there is only membrane or no membrane. Its sum is 0, and with an image of mean 0 and
        standard deviation 1 its product sums to Pearson's coefficient over the pixels that count.
    """
    pattern = np.zeros(label.shape, np.float32)
    inside, membrane = label == INTERIOR, label == MEMBRANE
    count = int(np.count_nonzero(inside | membrane))
    share = np.count_nonzero(inside) / max(1, count)
    if 0 < share < 1:
        pattern[inside] = np.sqrt((1 - share) / share) / count
        pattern[membrane] = -np.sqrt(share / (1 - share)) / count
    return pattern


def standardise_robustly(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Clip an image to its 1st and 99th percentiles, and standardise it; 0 if constant."""
    low, high = (float(level) for level in np.percentile(image, [1, 99]))
    grey = np.clip(image.astype(np.float32), low, high)
    standard: npt.NDArray[np.float32] = (grey - grey.mean()) / max(float(grey.std()), FLAT)
    return standard


def better_places(
    fits: npt.NDArray[np.floating], own: npt.NDArray[np.floating], rows: list[int]
) -> dict[int, int]:
    """Find the labels that clearly belong to another image.

    Such a label fits another image well, clearly better than it fits its own, clearly better than
    that image's own label does, and at least as well as any other label in `fits`. A label whose
    image is out of focus fits the neighbouring images better, but these have their own labels.

    Parameters
    ----------
    fits : (L, N) float
        Absolute correlation of some labels with every image.
    own : (N,) float
        Absolute correlation of every label with its own image.
    rows : list of int
        Numbers of the labels in the rows of `fits`.

    Returns
    -------
    dict
        From the number of such a label to that of the image that it fits best.
    """
    found = {}
    for label, fit in zip(rows, fits, strict=True):
        image = int(fit.argmax())
        best = fit[image]
        enough = max(own[label], own[image]) + CLEARLY_HIGHER
        if best > max(FITTING, enough) and best == fits[:, image].max():
            found[label] = image
    return found


def empty_share(label: npt.NDArray[np.uint8]) -> float:
    """Measure how much of a label is called membrane, but too far from all cells to be membrane.

    Parameters
    ----------
    label : (H, W) uint8
        0 on membrane, 255 inside cells, 127 where unlabelled or missing.

    Returns
    -------
    float
        Share, of the pixels that count, of membrane farther from the nearest cell than three
        quarters of the interior are from the nearest membrane; 0 if there are no cells or no
        membrane.
    """
    inside, membrane = label == INTERIOR, label == MEMBRANE
    if not inside.any() or not membrane.any():
        return 0.0
    depth = np.percentile(ndimage.distance_transform_edt(~membrane)[inside], 75)
    empty = membrane & (ndimage.distance_transform_edt(~inside) > depth)
    return float(np.count_nonzero(empty) / np.count_nonzero(inside | membrane))


def best_shift(
    images: npt.NDArray[np.generic], labels: npt.NDArray[np.uint8], *, reach: int
) -> tuple[tuple[int, int], float]:
    """Find the shift at which labels fit their images best.

    The peak of the cross-correlation of images and labels, smoothed a little, because labels are
    drawn by hand.

    Parameters
    ----------
    images : (N, H, W) array
    labels : (N, H, W) uint8
        0 on membrane, 255 inside cells, 127 where unlabelled or missing.
    reach : int
        Largest shift that is tried, in pixels in each direction.

    Returns
    -------
    (down, right) : tuple of int
        How far labels would have to be moved, in pixels.
    gain : float
        Correlation after the shift divided by that without it; infinite if there is none without
        it, 1 if there is none at any shift.
    """
    grey = images.astype(np.float64)
    grey -= grey.mean((1, 2), keepdims=True)
    pattern = np.stack([balance(label) for label in labels])
    spectrum = np.fft.rfft2(grey) * np.conj(np.fft.rfft2(pattern))
    correlation = np.abs(np.fft.irfft2(spectrum, s=grey.shape[1:]).sum(0))
    moves = np.arange(-reach, reach + 1)
    near = ndimage.gaussian_filter(correlation, 1, mode="wrap")[np.ix_(moves, moves)]
    if not near.max() > 0:  # such as where nothing is labelled
        return (0, 0), 1.0
    down, right = np.unravel_index(near.argmax(), near.shape)
    here = near[reach, reach]
    gain = float(near.max() / here) if here > 0 else np.inf
    return (int(moves[down]), int(moves[right])), gain
