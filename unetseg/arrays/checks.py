"""What silently ruins training, found before it begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.intensity import FLAT
from unetseg.arrays.labelling import INTERIOR, MEMBRANE

# Of correlations of labels and images. Labels of ISBI 2012 fit their images with 0.41 and more, and
# by 0.27 more than any other image; those of synthetic stacks by 0.10. What does not belong
# together at all has 0.04 there, and more only where slices are small.
FITTING, CLEARLY_HIGHER = 0.15, 0.05

# What is narrower than 9 pixels is a line, after noise was smoothed away.
LINE_SMOOTHING, LINE_WIDTH = 2.0, (9, 9)


def interior_contrast(image: npt.NDArray[np.generic], interior: npt.NDArray[np.bool_]) -> float:
    """How much brighter the inside of cells is than membrane.

    Parameters
    ----------
    image : (H, W) or (N,) array
        Of a slice, or of the pixels of one that count.
    interior : bool, of the same shape

    Returns
    -------
    float
        Difference of the means, in standard deviations of the image; 0 where there is only one
        of the two, or the image is constant.
    """
    grey = image.astype(np.float64)
    if interior.all() or not interior.any():
        return 0.0
    deviation = grey.std()
    if deviation < FLAT:
        return 0.0
    return float((grey[interior].mean() - grey[~interior].mean()) / deviation)


def line_contrast(image: npt.NDArray[np.floating]) -> float:
    """How much more there is of thin dark lines than of thin bright ones.

    Membranes are lines. What a closing fills are the dark ones, what an opening removes the bright
    ones (top-hat transforms; Serra 1982, Image Analysis and Mathematical Morphology).

    Parameters
    ----------
    image : (H, W) float

    Returns
    -------
    float
        From -1, there are bright lines alone, to 1, dark ones alone; 0 where there are none.
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
        0 on membrane, 255 inside cells, 127 where nothing counts.

    Returns
    -------
    (H, W) float32
        Positive inside cells, negative on membrane, 0 where nothing counts; 0 everywhere where
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
    """Standardise an image whose lightest and darkest hundredth are cut off; 0 if constant."""
    low, high = (float(level) for level in np.percentile(image, [1, 99]))
    grey = np.clip(image.astype(np.float32), low, high)
    standard: npt.NDArray[np.float32] = (grey - grey.mean()) / max(float(grey.std()), FLAT)
    return standard


def better_places(
    fits: npt.NDArray[np.floating], own: npt.NDArray[np.floating], rows: list[int]
) -> dict[int, int]:
    """Which labels belong to another image, as far as that is clear.

    A label does that fits another image well, clearly better than its own, and clearly better than
    any other label and that image's own do: a label whose image is out of focus fits the
    neighbours better, but they have theirs.

    Parameters
    ----------
    fits : (L, N) float
        Absolute correlation of some labels with every image.
    own : (N,) float
        That of every label with its own image.
    rows : list of int
        Which labels `fits` is about.

    Returns
    -------
    dict
        From the number of a label to that of the image that it fits best.
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
    """How much of a label is membrane so far from all cells that it is hardly membrane.

    Parameters
    ----------
    label : (H, W) uint8
        0 on membrane, 255 inside cells, 127 where nothing counts.

    Returns
    -------
    float
        Share of the pixels that count which are membrane farther from the nearest cell than three
        quarters of the interior are from the nearest membrane; 0 where there are no cells.
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
    """Where labels fit best, if they were moved.

    The peak of the cross-correlation of images and labels, smoothed a little, because labels are
    drawn by hand.

    Parameters
    ----------
    images : (N, H, W) array
    labels : (N, H, W) uint8
        0 on membrane, 255 inside cells, 127 where nothing counts.
    reach : int
        Farthest move that is tried, in pixels to each side.

    Returns
    -------
    (down, right) : tuple of int
        How far labels would have to be moved.
    gain : float
        Correlation there over that where they are; infinite where they do not correlate at all,
        1 where they do so nowhere.
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
