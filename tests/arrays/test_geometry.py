"""Moves of whole pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unetseg.arrays.geometry import find_origin, flip, mirror_outwards


@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    vertical=st.booleans(),
    horizontal=st.booleans(),
    turns=st.integers(0, 3),
    data=st.data(),
)
def test_a_region_is_flipped_from_its_origin(
    height: int, width: int, vertical: bool, horizontal: bool, turns: int, data: st.DataObject
):
    image = np.arange(height * width).reshape(height, width)
    flips = {"vertical": vertical, "horizontal": horizontal, "quarter_turns": turns}
    flipped = flip(image, **flips)
    edges = (sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in flipped.shape)
    rows, columns = (slice(*pair) for pair in edges)
    origin = find_origin((rows, columns), image.shape, **flips)
    np.testing.assert_array_equal(flip(image[origin], **flips), flipped[rows, columns])


def test_a_region_is_mirrored_outwards():
    image = np.arange(25).reshape(5, 5)
    region = slice(1, 3), slice(2, 4)
    padded = mirror_outwards(image[region], region, image.shape)
    assert padded.tolist() == [
        [8, 7, 7, 8, 8],
        [8, 7, 7, 8, 8],
        [13, 12, 12, 13, 13],
        [13, 12, 12, 13, 13],
        [8, 7, 7, 8, 8],
    ]
