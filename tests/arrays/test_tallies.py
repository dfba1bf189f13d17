"""Counts of cells, whole and in parts, against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from unetseg.arrays.cells import measure_cells
from unetseg.arrays.tallies import APRON, Count, Tally, merge_tallies, tally_cells


def draw_cells(seed: int) -> np.ndarray:
    """Crooked cells of every size, with holes and lines between them; (60, 75)."""
    rng = np.random.default_rng(seed)
    seeds = np.zeros((60, 75), int)
    places = rng.choice(seeds.size, 70, replace=False)
    seeds.ravel()[places] = np.arange(1, 71)
    nearest = ndimage.distance_transform_edt(
        seeds == 0, return_distances=False, return_indices=True
    )
    cells = seeds[tuple(nearest)]
    cells[ndimage.gaussian_filter(rng.normal(size=cells.shape), 1) > 0.25] = 0
    return cells


def tally(cells: np.ndarray, rows: slice, columns: slice) -> Tally:
    """Counts in a part, which is seen with as much around it as it must be."""
    top, left = (max(0, side.start - APRON) for side in (rows, columns))
    seen = cells[top : rows.stop + APRON, left : columns.stop + APRON]
    core = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    return tally_cells(seen, core=core, origin=(top, left))


def test_a_cell_by_hand():
    cells = np.array([[7, 7, 0, 9], [7, 7, 0, 9], [7, 7, 0, 0]])
    whole = tally(cells, slice(0, 3), slice(0, 4))
    # Of the first all pixels are on the outline, and 2 or 3 of their neighbours at a side.
    assert whole.tolist() == [
        [7, 6, 6, 3, 6, 0, 0, 3, 0, 0, 2, 1],
        [9, 2, 1, 6, 0, 0, 0, 3, 0, 3, 1, 3],
    ]


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_scikit_image(seed: int):
    cells = draw_cells(seed)
    counts = tally(cells, slice(0, 60), slice(0, 75))
    regions = regionprops(cells)
    measured = list(measure_cells(counts))
    assert [cell.label for cell in measured] == [region.label for region in regions]
    for row, cell, region in zip(counts, measured, regions, strict=True):
        assert cell.area == region.area
        assert cell.perimeter == round(region.perimeter, 2)
        assert (cell.centroid_y, cell.centroid_x) == tuple(
            round(float(at), 2) for at in region.centroid
        )
        top, left, bottom, right = region.bbox
        assert row[Count.FIRST_Y :].tolist() == [top, left, bottom - 1, right - 1]


@pytest.mark.parametrize("edge", [1, 7, 16, 40])
def test_parts_add_up_to_the_whole(edge: int):
    cells = draw_cells(9)
    parts = [
        tally(cells, slice(top, min(60, top + edge)), slice(left, min(75, left + edge)))
        for top in range(0, 60, edge)
        for left in range(0, 75, edge)
    ]
    whole = tally(cells, slice(0, 60), slice(0, 75))
    np.testing.assert_array_equal(merge_tallies(parts[::-1]), whole)


def test_nothing_is_counted_where_nothing_is():
    nothing = tally(np.zeros((3, 4), int), slice(0, 3), slice(0, 4))
    assert nothing.shape == (0, len(Count))
    assert merge_tallies([nothing, nothing]).shape == (0, len(Count))
    assert not list(measure_cells(merge_tallies([])))
