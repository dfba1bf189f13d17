"""Cells as labels: what is one, where it ends, and what is measured on it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy import ndimage

from unetseg.arrays.cells import WHOLE, Cell, measure_cells, segment_cells
from unetseg.arrays.tallies import tally_cells

SETTINGS = {
    "smoothing": 0.0,
    "seed_threshold": 0.8,
    "smallest": 4,
    "grow": True,
    "zero_is_missing": False,
    "cut": WHOLE,
}


def measure(cells: np.ndarray) -> list[Cell]:
    whole = (slice(0, cells.shape[0]), slice(0, cells.shape[1]))
    return list(measure_cells(tally_cells(cells, core=whole, origin=(0, 0))))


def two_rooms(door: float) -> np.ndarray:
    """Two cells of 5 x 5, a wall of three pixels between them, and a door in its middle."""
    probability = np.full((5, 13), 0.95)
    probability[:, 5:8] = 0.1
    probability[2, 5:8] = door
    return probability


def test_cells_grow_until_they_meet():
    cells = segment_cells(two_rooms(0.1), **SETTINGS)
    assert set(np.unique(cells)) == {0, 1, 2}
    assert (cells[:, :5] == 1).all()
    assert (cells[:, 8:] == 2).all()
    # One pixel of the wall stays in each row.
    assert ((cells == 0).sum(1) == 1).all()
    assert (cells[:, 5:8] == 0).sum() == 5


def test_the_membrane_stays_where_cells_do_not_grow():
    cells = segment_cells(two_rooms(0.1), **{**SETTINGS, "grow": False})
    assert (cells[:, 5:8] == 0).all()
    assert (cells > 0).sum() == 50


@pytest.mark.parametrize(("door", "number"), [(0.7, 2), (0.9, 1)])
def test_a_door_joins_two_cells_where_it_is_surely_inside(door: float, number: int):
    assert segment_cells(two_rooms(door), **SETTINGS).max() == number


def test_small_pieces_go_to_their_neighbour():
    probability = two_rooms(0.1)
    probability[0, 6] = 0.9
    assert segment_cells(probability, **{**SETTINGS, "smallest": 1}).max() == 3
    assert segment_cells(probability, **SETTINGS).max() == 2


def test_what_is_cut_off_may_be_larger_than_it_looks():
    """Two pixels at the left are too few in a slice that begins there, and only then."""
    probability = two_rooms(0.1)
    probability[:, :5] = 0.1
    probability[2, :2] = 0.9
    assert segment_cells(probability, **SETTINGS).max() == 1
    for side in range(4):
        cut = tuple(side == each for each in range(4))
        cells = segment_cells(probability, **{**SETTINGS, "cut": cut})
        assert cells.max() == (2 if side == 2 else 1)


def test_nothing_but_membrane_has_no_cells():
    cells = segment_cells(np.full((6, 7), 0.1), **SETTINGS)
    assert (cells == 0).all()
    assert measure(cells) == []


def test_measures_by_hand():
    cells = np.array(
        [
            [1, 1, 0, 2],
            [1, 1, 0, 2],
            [1, 1, 0, 0],
        ],
        np.int32,
    )
    one, two = measure(cells)
    # Cell 1 touches the line between them with three edges, its other sides are the slice's own.
    assert (one.label, one.area, one.border) == (1, 6, 3)
    assert (one.centroid_y, one.centroid_x) == (1.0, 0.5)
    # Cell 2 with two to the left and one below.
    assert (two.label, two.area, two.border) == (2, 2, 3)
    assert (two.centroid_y, two.centroid_x) == (0.5, 3.0)


def test_cells_end_where_tissue_does():
    """What is missing is in no cell; beside it cells are as they are without it."""
    rng = np.random.default_rng(0)
    inside = ndimage.gaussian_filter(rng.normal(size=(60, 80)), 4) > 0
    probability = np.where(inside, 0.9, 0.2) + rng.uniform(-0.05, 0.05, inside.shape)
    settings = {**SETTINGS, "smoothing": 1.0}
    alone = segment_cells(probability, **settings)
    padded = segment_cells(np.pad(probability, 30), **{**settings, "zero_is_missing": True})
    assert (padded[30:-30, 30:-30] > 0).mean() == pytest.approx((alone > 0).mean(), abs=0.01)
    assert padded.max() == alone.max()
    padded[30:-30, 30:-30] = 0
    assert not padded.any()


def test_floods_are_the_same_without_bioimage_cpp(monkeypatch: pytest.MonkeyPatch):
    """Where no two pixels are equally high, which there are no wheels for decides nothing."""
    pytest.importorskip("bioimage_cpp")
    height = np.random.default_rng(0).permutation(120 * 90).reshape(120, 90)
    settings = {**SETTINGS, "seed_threshold": 0.9, "smallest": 1}
    fast = segment_cells(height / height.size, **settings)
    monkeypatch.setitem(sys.modules, "bioimage_cpp.segmentation", None)
    slow = segment_cells(height / height.size, **settings)
    assert fast.max() > 500
    np.testing.assert_array_equal(fast, slow)


def test_no_two_cells_touch():
    """Not even one that is a single pixel: a line lies between them, or it has no cell at all."""
    rng = np.random.default_rng(1)
    probability = rng.uniform(size=(200, 150))
    cells = segment_cells(probability, **{**SETTINGS, "smallest": 1})
    for one, other in ((cells[1:], cells[:-1]), (cells[:, 1:], cells[:, :-1])):
        assert not ((one != other) & (one > 0) & (other > 0)).any()
    # What floods grow from is never the line's.
    assert (cells[probability > SETTINGS["seed_threshold"]] > 0).all()
