"""Synthetic stacks: reproducible, plausible, and not to be solved by a threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from unetseg.arrays.synthetic import Stack as Drawn
from unetseg.arrays.synthetic import draw_stack, number_cells, synthesize
from unetseg.arrays.tissuelook import Look, draw_look

Stack = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

# Of slice 1 of a stack of 2 x 64 x 64 with seed 0: grey levels along the diagonal, and the last
# pixels there before labels change.
DIAGONAL = [
    119,
    120,
    129,
    115,
    142,
    155,
    172,
    132,
    107,
    94,
    104,
    110,
    96,
    119,
    115,
    108,
    142,
    170,
    140,
    126,
    109,
    134,
    155,
    146,
    137,
    106,
    111,
    128,
    109,
    89,
    117,
    120,
    88,
    97,
    97,
    94,
    64,
    61,
    87,
    90,
    76,
    105,
    111,
    158,
    163,
    133,
    87,
    69,
    95,
    109,
    98,
    108,
    93,
    71,
    69,
    62,
    78,
    86,
    84,
    86,
    95,
    111,
    96,
    105,
]
CHANGES = [31, 37, 44]


def make(slices: int, height: int, width: int, *, seed: int = 3) -> Stack:
    rng = np.random.default_rng(seed)
    return synthesize(slices=slices, height=height, width=width, rng=rng)


@pytest.fixture(scope="module")
def stack() -> Stack:
    return make(7, 192, 224)


def drawn(look: Look, *, seed: int = 5) -> Drawn:
    return draw_stack((3, 224, 224), look=look, rng=np.random.default_rng(seed))


@pytest.fixture(scope="module", params=[0, 1, 2])
def varied(request: pytest.FixtureRequest) -> Drawn:
    """A stack of any look."""
    return drawn(draw_look(np.random.default_rng(request.param), variety=1, pixel=None))


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


def test_the_look_of_isbi_2012_stays_as_it_is():
    images, labels = make(2, 64, 64, seed=0)
    # Not all pixels, and almost: other processors round the last bit of a sum in another way.
    expected = np.array(DIAGONAL)
    off = np.abs(np.diagonal(images[1]).astype(int) - expected)
    assert off.max() <= 1
    assert np.count_nonzero(off) <= 1
    assert np.flatnonzero(np.diff(np.diagonal(labels[1]).astype(int))).tolist() == CHANGES


def test_equal_looks_and_seeds_give_equal_stacks():
    look = draw_look(np.random.default_rng(4), variety=1, pixel=None)
    first, again = drawn(look), drawn(look)
    for name in ("images", "labels", "cells"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()


def test_two_looks_differ_in_more_than_noise():
    # 0.05 to 0.1 between two seeds of one look.
    looks = [draw_look(np.random.default_rng(seed), variety=1, pixel=None) for seed in (0, 1)]
    stacks = [drawn(look).images / 255 for look in looks]
    steps = [np.sort(np.abs(np.diff(images, axis=2)).mean(axis=(0, 2))) for images in stacks]
    assert abs(np.log(steps[0].mean() / steps[1].mean())) > 0.15


def test_varied_stacks_are_stacks_too(varied: Drawn):
    assert set(np.unique(varied.labels)) == {0, 255}
    assert 0.05 < np.mean(varied.labels == 0) < 0.4
    low, high = np.percentile(varied.images, (5, 95))
    assert high - low > 60
    assert np.mean((varied.images == 0) | (varied.images == 255)) < 0.1
    inside, membrane = (varied.images[varied.labels == value].mean() for value in (255, 0))
    assert membrane < inside - 20


def test_a_gap_between_cells_is_no_interior():
    tight, loose = drawn(Look()), drawn(replace(Look(), gap=5.0, gap_shade=-40.0))
    assert np.all(tight.labels[loose.labels == 255] == 255)
    assert np.mean(loose.labels == 0) > np.mean(tight.labels == 0) + 0.05
    # In the middle of the widest lies what is lighter than membrane.
    middle = ndimage.distance_transform_edt(loose.labels[1] == 0) > 7
    assert middle.any()
    assert loose.images[1][middle].mean() > tight.images[tight.labels == 0].mean() + 30


def test_myelin_is_dark_and_no_interior():
    bare, wrapped = drawn(Look()), drawn(replace(Look(), myelin=0.5))
    sheath = (bare.labels == 255) & (wrapped.labels == 0)
    assert np.mean(sheath) > 0.02
    assert np.all(bare.labels[wrapped.labels == 255] == 255)
    assert wrapped.images[sheath].mean() < bare.images[bare.labels == 0].mean() + 10


def test_tubules_darken_cells_and_are_interior():
    bare, full = drawn(Look()), drawn(replace(Look(), tubules=1 / 200))
    np.testing.assert_array_equal(bare.labels, full.labels)
    inside = bare.labels == 255
    assert full.images[inside].mean() < bare.images[inside].mean() - 3


def test_cells_have_numbers_where_labels_say_interior(varied: Drawn):
    np.testing.assert_array_equal(varied.cells > 0, varied.labels == 255)
    assert np.unique(varied.cells).tolist() == list(range(varied.cells.max() + 1))
    assert varied.cells.max() > 5


def test_no_two_cells_touch_in_a_slice(varied: Drawn):
    for cells in varied.cells:
        for near, far in ((cells[1:], cells[:-1]), (cells[:, 1:], cells[:, :-1])):
            assert np.all((near == far) | (near == 0) | (far == 0))


def test_cells_keep_their_numbers_from_slice_to_slice(varied: Drawn):
    below, above = varied.cells[:-1], varied.cells[1:]
    both = (below > 0) & (above > 0)
    assert np.mean(both) > 0.3
    assert np.mean(below[both] == above[both]) > 0.9


def test_a_cell_keeps_its_number_and_what_none_claims_gets_its_own():
    nearest = np.array(
        [
            [[7, 7, 2, 2, -1, -1], [7, 7, 2, 2, -1, -1]],
            [[7, 2, 2, -1, -1, -1], [2, 2, 2, -1, -1, -1]],
            [[-1, 2, 2, 2, 2, 7], [-1, 2, 2, 2, 2, 7]],
        ],
        np.int32,
    )
    interior = np.array(
        [
            [[1, 0, 1, 0, 1, 1], [1, 0, 1, 0, 1, 1]],
            [[0, 0, 1, 0, 1, 0], [0, 0, 1, 0, 1, 0]],
            [[1, 0, 1, 0, 0, 1], [1, 0, 1, 0, 0, 1]],
        ],
        bool,
    )
    # Cell 2 is the first; cell 7 the second, also far from its other section. The piece to the
    # right reaches over two slices, that to the left is another one.
    expected = [
        [[2, 0, 1, 0, 3, 3], [2, 0, 1, 0, 3, 3]],
        [[0, 0, 1, 0, 3, 0], [0, 0, 1, 0, 3, 0]],
        [[4, 0, 1, 0, 0, 2], [4, 0, 1, 0, 0, 2]],
    ]
    assert number_cells(nearest, interior=interior).tolist() == expected
