"""What is tissue and what is missing, on drawn slices of which that is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from unetseg.arrays.tissue import Tissue, find_tissue

RNG = np.random.default_rng(0)
# Smooth over a few pixels, as all that a microscope sees.
PIECE = ndimage.gaussian_filter(RNG.normal(0, 1, (160, 200)), 3)
PIECE = np.clip(128 + 40 * PIECE / PIECE.std() + RNG.normal(0, 12, PIECE.shape), 1, 254)


def look(image: npt.NDArray[np.generic], no_data: float | None = None, rows: int = 24) -> Tissue:
    return find_tissue(
        lambda: ((top, image[top : top + rows]) for top in range(0, len(image), rows)),
        shape=(image.shape[0], image.shape[1]),
        dtype=image.dtype,
        no_data=no_data,
    )


def missing(tissue: Tissue, image: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    return tissue.missing((slice(0, image.shape[0]), slice(0, image.shape[1])), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tissue_alone(dtype: type):
    image = PIECE.astype(dtype)
    tissue = look(image)
    assert tissue.share_missing == 0
    assert tissue.edges is None
    assert (tissue.low, tissue.high) == pytest.approx(np.percentile(image, (5, 95)), rel=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("value", [0, 255, 130])
@pytest.mark.parametrize("noise", [0, 2])
def test_a_border(dtype: type, value: int, noise: int):
    image = np.full((300, 320), value, np.float64) + RNG.integers(0, noise + 1, (300, 320))
    image = np.clip(image, 0, 255)
    truth = np.ones(image.shape, bool)
    truth[64:224, 3:203] = False
    image[~truth] = PIECE.ravel()
    image = image.astype(dtype)
    tissue = look(image)
    # A pixel of tissue beside the border may be just as bright.
    wrong = missing(tissue, image) != truth
    assert wrong.sum() < (500 if value == 130 else 10)
    assert tissue.share_missing == pytest.approx(truth.mean(), abs=0.01)
    assert (tissue.low, tissue.high) == pytest.approx(np.percentile(PIECE, (5, 95)), abs=1.1)


def test_a_slice_that_was_turned():
    turned = ndimage.rotate(PIECE, 7, order=1).astype(np.uint8)
    truth = ndimage.rotate(np.ones_like(PIECE), 7, order=0) == 0
    assert (missing(look(turned), turned) != truth).mean() < 0.003


def test_parts_know_what_the_whole_knows():
    image = np.pad(PIECE, ((20, 0), (0, 31))).astype(np.uint8)
    whole = missing(look(image), image)
    box = slice(11, 97), slice(150, 231)
    np.testing.assert_array_equal(look(image, rows=8).missing(box, image[box]), whole[box])


def test_nan_at_the_edges_and_no_data_anywhere():
    image = PIECE.astype(np.float32)
    image[:9] = image[0:3, 5] = np.nan
    image[-1, -1] = np.inf
    image[80:90, 80:90] = -9999
    tissue = look(image, no_data=-9999)
    truth = ~np.isfinite(image) | (image == -9999)
    np.testing.assert_array_equal(missing(tissue, image), truth)
    assert tissue.share_missing == pytest.approx(truth.mean())
    assert tissue.low == pytest.approx(np.percentile(image[~truth], 5), rel=1e-6)


def test_nan_in_the_middle_is_not_missing():
    image = PIECE.astype(np.float32)
    image[80, 80] = np.nan
    tissue = look(image)
    assert tissue.share_missing == 0
    assert not missing(tissue, image).any()


@pytest.mark.parametrize("spread", [0, 1, 3, 40])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_lost_section(dtype: type, spread: float):
    image = (128 + RNG.normal(0, spread, PIECE.shape)).clip(0, 255).astype(dtype)
    image[50, 50] = 255  # a hot pixel makes no structure
    tissue = look(image)
    assert tissue.lost
    assert missing(tissue, image).all()


def test_nothing_but_nan():
    assert look(np.full((64, 64), np.nan, np.float32)).lost


def test_noise_does_not_hide_tissue():
    noisy = PIECE + RNG.normal(0, 3 * PIECE.std(), PIECE.shape)
    assert look(noisy.astype(np.float32)).share_missing == 0


def test_dark_tissue_at_the_edge_is_tissue():
    image = PIECE.copy()
    image[40:60, :2] = 0  # two pixels deep, and short
    image[:5, 100:110] = 255
    assert look(image.astype(np.uint8)).share_missing == 0
