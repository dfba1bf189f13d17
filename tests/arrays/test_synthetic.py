"""Synthetic stacks: reproducible, plausible, and not to be solved by a threshold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from unetseg.arrays.synthetic import synthesize

Stack = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def make(slices: int, height: int, width: int, *, seed: int = 3) -> Stack:
    rng = np.random.default_rng(seed)
    return synthesize(slices=slices, height=height, width=width, rng=rng)


@pytest.fixture(scope="module")
def stack() -> Stack:
    return make(7, 192, 224)


def label_slices(labels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.int32]]:
    return [ndimage.label(label == 255)[0] for label in labels]


@pytest.mark.parametrize("shape", [(1, 333, 517), (2, 64, 64), (2, 97, 65)])
def test_images_and_labels_have_the_shape_asked_for(shape: tuple[int, int, int]) -> None:
    images, labels = make(*shape)
    assert images.shape == labels.shape == shape
    assert images.dtype == labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, 255}


def test_images_use_the_grey_levels_without_saturating(stack: Stack) -> None:
    images, _ = stack
    assert np.ptp(np.percentile(images, (1, 99))) > 100
    assert np.mean((images == 0) | (images == 255)) < 0.02


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, again, other = (make(2, 80, 96, seed=seed) for seed in (0, 0, 1))
    for one, same, different in zip(first, again, other, strict=True):
        assert one.tobytes() == same.tobytes()
        assert one.tobytes() != different.tobytes()


def test_a_fifth_of_the_pixels_is_membrane(stack: Stack) -> None:
    _, labels = stack
    shares = np.mean(labels == 0, axis=(1, 2))
    assert 0.18 < shares.mean() < 0.27  # 0.22 in ISBI 2012
    assert np.all((shares > 0.14) & (shares < 0.32))


def test_cells_are_as_many_and_as_large_as_in_neural_tissue(stack: Stack) -> None:
    _, labels = stack
    for cells in label_slices(labels):
        areas = np.bincount(cells.ravel())[1:]
        # ISBI 2012 has 436 cells per million pixels, its largest with 33 000 pixels.
        assert 200 < 1e6 * len(areas) / cells.size < 900
        assert areas.max() < 20_000
        assert np.percentile(areas, 90) > 10 * np.percentile(areas, 20)


def test_membranes_leave_three_pixels_between_cells(stack: Stack) -> None:
    _, labels = stack
    apart = 2  # pixels so far apart, and no membrane between them 3 pixels thick
    touching = []
    for cells in label_slices(labels):
        for near, far in ((cells[:-apart], cells[apart:]), (cells[:, :-apart], cells[:, apart:])):
            touching.append(np.mean((near > 0) & (far > 0) & (near != far)))
    # Not 0: one cell that narrows to a neck is two cells, less than 3 pixels apart there.
    assert np.mean(touching) < 2e-4


def test_membranes_are_darker_than_cells(stack: Stack) -> None:
    reach = 3.0  # px: the membrane of a cell, not that of its neighbours
    smallest = 200  # px of area: of less, the mean is mostly noise
    darker = []
    for image, cells in zip(stack[0], label_slices(stack[1]), strict=True):
        distance, nearest = ndimage.distance_transform_edt(cells == 0, return_indices=True)
        around = np.where((distance > 0) & (distance <= reach), cells[tuple(nearest)], 0)
        numbers = np.flatnonzero(np.bincount(cells.ravel()) >= smallest)[1:]
        membranes = ndimage.mean(image, around, numbers)
        assert np.all(membranes < image[cells > 0].mean())
        darker.append(membranes < ndimage.mean(image, cells, numbers))
    # Not all: a mitochondrion can fill its cell where that is narrow.
    assert np.mean(np.concatenate(darker)) > 0.95


def test_neighbouring_slices_are_alike_but_no_copies(stack: Stack) -> None:
    for volume in (stack[1] == 255, ndimage.gaussian_filter(stack[0].astype(float), (0, 2, 2))):
        alike = [
            np.mean([np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs])
            for pairs in (zip(volume, volume[step:], strict=False) for step in (1, 2, 5))
        ]
        assert 0.9 > alike[0] > alike[1] + 0.1 > alike[2] + 0.1


def test_cells_come_and_go(stack: Stack) -> None:
    counts = {cells.max() for cells in label_slices(stack[1])}
    assert len(counts) > 1


@pytest.mark.parametrize("blur", [0.0, 1.0, 2.0])
def test_no_threshold_finds_the_membranes(stack: Stack, blur: float) -> None:
    images, labels = stack
    grey = ndimage.gaussian_filter(images.astype(np.float32), (0, blur, blur))
    inside, membrane = grey[labels == 255], grey[labels == 0]
    found = 0.9
    wrong = np.mean(inside <= np.quantile(membrane, found))
    # Above: organelles, shadows and noise are as dark as membranes. Below: all is not lost.
    assert 0.2 < wrong < 0.7
