"""What silently ruins training, found before it begins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.intensity import FLAT

# What is narrower than 9 pixels is a line, after noise was smoothed away.
LINE_SMOOTHING, LINE_WIDTH = 2.0, (9, 9)


def interior_contrast(image: npt.NDArray[np.generic], interior: npt.NDArray[np.bool_]) -> float:
    """How much brighter the inside of cells is than membrane.

    Parameters
    ----------
    image : (H, W) array
    interior : (H, W) bool

    Returns
    -------
    float
        Difference of the means, in standard deviations of the slice; 0 where there is only one
        of the two, or the slice is constant.
    """
    grey = image.astype(np.float64)
    deviation = grey.std()
    if deviation < FLAT or interior.all() or not interior.any():
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


def best_shift(
    images: npt.NDArray[np.generic], interiors: npt.NDArray[np.bool_], *, reach: int
) -> tuple[tuple[int, int], float]:
    """Where labels fit best, if they were moved.

    The peak of the cross-correlation of images and labels, smoothed a little, because labels are
    drawn by hand.

    Parameters
    ----------
    images : (N, H, W) array
    interiors : (N, H, W) bool
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
    label = interiors.astype(np.float64)
    label -= label.mean((1, 2), keepdims=True)
    spectrum = np.fft.rfft2(grey) * np.conj(np.fft.rfft2(label))
    correlation = np.abs(np.fft.irfft2(spectrum, s=grey.shape[1:]).sum(0))
    moves = np.arange(-reach, reach + 1)
    near = ndimage.gaussian_filter(correlation, 1, mode="wrap")[np.ix_(moves, moves)]
    if not near.max() > 0:  # such as where nothing is labelled
        return (0, 0), 1.0
    down, right = np.unravel_index(near.argmax(), near.shape)
    here = near[reach, reach]
    gain = float(near.max() / here) if here > 0 else np.inf
    return (int(moves[down]), int(moves[right])), gain
