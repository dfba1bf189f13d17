"""Where to label: blocks and patches, and the choice among them."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetseg.arrays.suggesting import (
    PARTS,
    Grid,
    Place,
    choose_places,
    free_patches,
    patch_means,
)
from unetseg.arrays.tiles import plan_boxes


def survey(
    spread: np.ndarray,
    membrane: np.ndarray,
    tissue: np.ndarray,
    labelled: np.ndarray,
    grid: Grid,
) -> list:
    """Scores, membrane, free patches and labelled blocks of a stack that is in memory."""
    whole = (slice(0, spread.shape[1]), slice(0, spread.shape[2]))
    sums = [
        [grid.sum_blocks(image, whole) for image in stack]
        for stack in (spread, membrane, tissue, labelled)
    ]
    means = [[patch_means(blocks, grid) for blocks in stack] for stack in sums[:2]]
    free = [free_patches(*blocks, grid) for blocks in zip(*sums[2:], strict=True)]
    return [np.stack(each) for each in (*means, free, [blocks > 0 for blocks in sums[3]])]


def choose(
    spread: np.ndarray,
    *,
    patch: int,
    count: int,
    apart: float = 3,
    membrane: np.ndarray | None = None,
    tissue: np.ndarray | None = None,
    labelled: np.ndarray | None = None,
) -> list[Place]:
    grid = Grid.of(spread.shape[1:], patch=patch)
    membrane = np.zeros(spread.shape, np.float32) if membrane is None else membrane
    tissue = np.ones(spread.shape, bool) if tissue is None else tissue
    labelled = np.zeros(spread.shape, bool) if labelled is None else labelled
    found = survey(spread.astype(np.float32), membrane, tissue, labelled, grid)
    return list(islice(choose_places(*found, grid, apart=apart), count))


def overlap(one: Place, other: Place) -> bool:
    return (
        one.index == other.index
        and abs(one.top - other.top) < one.height
        and abs(one.left - other.left) < one.width
    )


def choose_slowly(
    spread: np.ndarray,
    membrane: np.ndarray,
    tissue: np.ndarray,
    labelled: np.ndarray,
    *,
    patch: int,
    count: int,
    apart: float,
) -> list[Place]:
    """The same from the pixels of every patch; distances count blocks, whose edges are rounded."""
    grid = Grid.of(spread.shape[1:], patch=patch)
    size = grid.patch
    blocks = [
        (z, i, j)
        for z in range(len(spread))
        for i, (top, bottom) in enumerate(pairwise(grid.rows))
        for j, (left, right) in enumerate(pairwise(grid.columns))
        if labelled[z, top:bottom, left:right].any()
    ]
    candidates = []
    for z in range(len(spread)):
        for i, top in enumerate(grid.rows[:-PARTS]):
            for j, left in enumerate(grid.columns[:-PARTS]):
                box = np.s_[z, top : top + size[0], left : left + size[1]]
                if tissue[box].mean() >= 0.5 and not labelled[box].any():
                    place = Place(z, top, left, *size, score=float(spread[box].mean()))
                    share = membrane[box].mean()
                    candidates.append((place, share, (z, i + PARTS // 2, j + PARTS // 2)))
    shares = [share for _, share, _ in candidates]
    chosen: list[tuple[Place, tuple[int, int, int]]] = []
    while len(chosen) < count:
        best, most = None, -1.0
        for place, share, centre in candidates:
            if any(overlap(place, other) for other, _ in chosen):
                continue
            distances = [
                np.sqrt(
                    ((centre[0] - other[0]) / apart) ** 2
                    + ((centre[1] - other[1]) / PARTS) ** 2
                    + ((centre[2] - other[2]) / PARTS) ** 2
                )
                for other in [*blocks, *(centre for _, centre in chosen)]
            ]
            excess = max(0, (share - np.median(shares)) / np.std(shares))
            worth = place.score * min([1, *distances]) * np.exp(-(excess**2) / 2)
            if worth > most:
                best, most = (place, centre), worth
        if best is None:
            break
        chosen.append(best)
    return [place for place, _ in chosen]


@pytest.mark.parametrize("seed", range(6))
def test_the_choice_is_that_of_the_slow_one(seed: int):
    rng = np.random.default_rng(seed)
    shape = (5, 47, 63)
    spread = rng.random(shape).astype(np.float32) * (rng.random((5, 1, 1)) + 0.5)
    tissue, labelled = np.ones(shape, bool), np.zeros(shape, bool)
    tissue[0, :, 31:] = tissue[1] = False
    labelled[2, 3:20, 5:9] = seed % 2 == 0
    spread *= tissue
    membrane = rng.random(shape).astype(np.float32) * rng.random((5, 47, 1)).astype(np.float32)
    membrane *= tissue
    settings = {"patch": int(rng.choice([10, 13, 20])), "count": 9, "apart": float(seed + 1) / 2}
    found = choose(spread, membrane=membrane, tissue=tissue, labelled=labelled, **settings)
    expected = choose_slowly(spread, membrane, tissue, labelled, **settings)
    assert [(p.index, p.top, p.left) for p in found] == [(p.index, p.top, p.left) for p in expected]
    np.testing.assert_allclose([p.score for p in found], [p.score for p in expected], rtol=1e-5)


@given(size=st.integers(1, 400), patch=st.integers(1, 500))
def test_patches_are_of_one_size_and_leave_little_out(size: int, patch: int):
    grid = Grid.of((size, 5 * size), patch=patch)
    for edges, length, edge in (
        (grid.rows, size, grid.patch[0]),
        (grid.columns, 5 * size, grid.patch[1]),
    ):
        assert edge == min(patch, length)
        assert (edges[PARTS:] - edges[:-PARTS] == edge).all()
        assert edges[0] >= 0
        assert edges[-1] <= length
        assert edges[0] + length - edges[-1] <= edge / PARTS + 1


def test_blocks_are_summed_up_from_any_parts():
    rng = np.random.default_rng(0)
    pixels = rng.integers(9, size=(70, 101)).astype(np.float32)  # sums are exact
    grid = Grid.of(pixels.shape, patch=32)
    total = np.zeros(grid.blocks, np.float32)
    for box in plan_boxes(pixels.shape, largest=(13, 29), multiple=1):
        total += grid.sum_blocks(pixels[box], box)
    for i, (top, bottom) in enumerate(pairwise(grid.rows)):
        for j, (left, right) in enumerate(pairwise(grid.columns)):
            assert total[i, j] == pixels[top:bottom, left:right].sum()


def test_the_unsure_region_comes_first():
    spread = np.full((4, 100, 100), 0.01)
    spread[2, 60:80, 20:40] = 0.2
    first, second = choose(spread, patch=20, count=2)
    assert (first.index, first.top, first.left) == (2, 60, 20)
    assert first.score == pytest.approx(0.2)
    assert second.score == pytest.approx(0.01)
    assert first.centre == (2, 69.5, 29.5)


def test_of_equal_ones_the_first_and_then_what_is_far():
    """A slice apart is a third of a patch: the second place is the first that is one away."""
    first, second, third = choose(np.ones((9, 30, 30)), patch=30, count=3)
    assert [place.index for place in (first, second, third)] == [0, 3, 6]
    first, second = choose(np.ones((1, 20, 60)), patch=20, count=2)
    assert [place.left for place in (first, second)] == [0, 20]


def test_what_is_above_counts_as_much_as_it_is_far():
    spread = np.zeros((4, 20, 20))
    spread[0], spread[1], spread[3] = 1, 0.9, 0.35
    # 0.9 at a third of the distance is 0.3: less than 0.35 beyond it.
    assert [place.index for place in choose(spread, patch=20, count=3)] == [0, 3, 1]
    assert [place.index for place in choose(spread, patch=20, count=3, apart=1)] == [0, 1, 3]


def test_much_membrane_counts_less_and_little_as_much_as_the_usual():
    """Shares of 0.2 and of once 0.1 and 0.7: the last one is 3.2 deviations of 0.156 too high."""
    spread, membrane = np.ones((10, 20, 20)), np.full((10, 20, 20), 0.2, np.float32)
    spread[3], spread[5], spread[7] = 1.1, 2, 1.2
    membrane[3], membrane[5] = 0.1, 0.7
    settings = {"patch": 20, "count": 10, "apart": 0.1}
    order = [place.index for place in choose(spread, membrane=membrane, **settings)]
    assert order == [7, 3, 0, 1, 2, 4, 6, 8, 9, 5]
    # What differs by less than a hundredth is alike.
    membrane[:] = 0.2
    membrane[5] += 1e-5
    assert choose(spread, membrane=membrane, **settings)[0].index == 5


def test_what_is_labelled_is_never_chosen_and_keeps_others_away():
    labelled = np.zeros((3, 40, 40), bool)
    labelled[1, 13, 7] = True
    found = choose(np.ones((3, 40, 40)), patch=20, count=99, labelled=labelled)
    assert not any(labelled[place.index][place.box].any() for place in found)
    # The farthest corner of the nearest slice comes before what is right above the label.
    above = [n for n, place in enumerate(found) if place.index == 0]
    assert (found[above[0]].top, found[above[0]].left) != (0, 0)


def test_no_two_overlap_and_none_is_left_out():
    rng = np.random.default_rng(0)
    found = choose(rng.random((2, 64, 90)), patch=32, count=99)
    assert 6 <= len(found) <= 8
    assert not any(overlap(a, b) for n, a in enumerate(found) for b in found[:n])


def test_missing_tissue_is_not_chosen():
    tissue = np.zeros((2, 40, 40), bool)
    tissue[1, :, 20:] = True
    spread = np.where(tissue, 0.1, 0)
    (first, *rest) = choose(spread, patch=20, count=99, tissue=tissue)
    assert (first.index, first.left) == (1, 20)
    assert all(tissue[p.index][p.box].mean() >= 0.5 for p in (first, *rest))


def test_a_stack_smaller_than_a_patch_is_one_place():
    (place,) = choose(np.ones((1, 7, 50)), patch=256, count=8)
    assert place == Place(0, 0, 0, 7, 50, 1.0)
