"""Moves of whole pixels."""

from __future__ import annotations

import numpy as np

from unetseg.arrays.geometry import crop_and_pad


def test_crop_is_padded_symmetrically():
    image = np.arange(25).reshape(5, 5)
    padded = crop_and_pad(image, top=1, left=2, height=2, width=2)
    assert padded.tolist() == [
        [8, 7, 7, 8, 8],
        [8, 7, 7, 8, 8],
        [13, 12, 12, 13, 13],
        [13, 12, 12, 13, 13],
        [8, 7, 7, 8, 8],
    ]
