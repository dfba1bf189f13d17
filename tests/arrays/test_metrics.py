"""The challenge's scores: by hand, against the organisers' figures, and against a slow oracle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unetseg.arrays.metrics import THRESHOLDS, StackScores, score_slice, segmentation_scores
from unetseg.arrays.segments import thin_borders


def test_four_pixels_by_hand():
    # p is 1/4 in (1,2) and (1,3), 1/2 in (2,1): a = (1/2, 1/2), b = (1/2, 1/4, 1/4), so that
    # sum p^2 = 3/8, sum a^2 = 1/2, sum b^2 = 3/8; H(truth) = ln 2, H(proposal) = H(joint).
    rand, information = segmentation_scores(np.array([[2, 1], [1, 2]]), np.array([[1, 2], [3, 1]]))
    assert (rand.merge, rand.split) == pytest.approx((1, 0.75))
    assert rand.value == pytest.approx(6 / 7)
    assert (information.merge, information.split) == pytest.approx((1, 2 / 3))
    assert information.value == pytest.approx(0.8)


def test_a_dam_is_a_segment_of_one_pixel():
    # Four pixels of one cell, one of them on a dam: sum p^2 = 9/16, z/n = (1/4)/4 = 1/16.
    rand, _ = segmentation_scores(np.ones((2, 2), int), np.array([[1, 1], [1, 0]]))
    assert rand.split == pytest.approx(10 / 16)
    assert rand.merge == pytest.approx(1)


def test_membrane_of_the_truth_does_not_count():
    truth = np.array([[1, 1, 0, 2, 2]])
    right, _ = segmentation_scores(truth, np.array([[1, 1, 1, 2, 2]]))
    assert right.value == pytest.approx(1)


def test_one_cell_found_whole_is_perfect():
    rand, information = segmentation_scores(np.ones((3, 3), int), np.ones((3, 3), int))
    assert (rand.value, information.value) == (1, 1)


def test_truth_without_cells_is_refused():
    with pytest.raises(ValueError, match="no segment"):
        segmentation_scores(np.zeros((2, 2), int), np.ones((2, 2), int))


def test_last_threshold_lets_a_certain_pixel_pass():
    assert len(THRESHOLDS) == 11
    assert THRESHOLDS[-1] < 1.0 < THRESHOLDS[-1] + 1e-12


def test_agrees_with_the_organisers_code(reference: Path):
    folder = reference / "isbi-metrics"
    official = json.loads((folder / "official.json").read_text())
    pairs = zip(
        tifffile.imread(folder / "prediction.tif"),
        tifffile.imread(folder / "labels.tif"),
        strict=True,
    )
    scores = StackScores.from_slices([score_slice(p, t, thresholds=THRESHOLDS) for p, t in pairs])
    assert scores.v_rand == pytest.approx(list(official["v_rand"].values()), abs=1e-9)
    assert scores.v_info == pytest.approx(list(official["v_info"].values()), abs=1e-9)
    assert 1 - min(scores.pixel_error) == pytest.approx(official["pixel_f_score_max"], abs=1e-9)


def test_membrane_without_any_cell_is_a_segment():
    assert thin_borders(np.zeros((2, 3), bool)).tolist() == [[1, 1, 1], [1, 1, 1]]
