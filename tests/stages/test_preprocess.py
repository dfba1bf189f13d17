"""What does not count is kept out of training and of scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli, prepared

from unetseg.network.batches import Patches, Slices

SIZE = 64 * 96


@pytest.fixture
def partly(data: Path, cli: Cli) -> np.ndarray:
    """Labels of five slices: 1 and 4 in part, of 2 nothing."""
    labels = tifffile.imread(data / "train-labels.tif")
    labels[1, :, 48:] = 127
    labels[2] = 127
    labels[4, :20] = 127
    tifffile.imwrite(data / "train-labels.tif", labels, metadata={"axes": "ZYX"})
    cli("augment", "--copies", 0, "--jobs", 1)
    np.testing.assert_array_equal(tifffile.imread("work/augmented/labels.tif"), labels)
    return labels


def test_only_pixels_that_count_weigh_and_are_counted(partly: np.ndarray, cli: Cli):
    shown = cli("preprocess", "--jobs", 1, "--held-out", "2-4")
    assert "nothing counts in source slice 2: left out" in shown.stdout
    details = json.loads(Path("work/preprocessed/manifest.json").read_text())["details"]
    assert (details["train_sources"], details["held_out"]) == ([0, 1], [3, 4])
    trained_on = partly[:2]
    share = np.sum(trained_on == 255) / np.sum(trained_on != 127)
    assert details["interior_share"] == pytest.approx(share)
    for part, sources in (("train", [0, 1]), ("held-out", [3, 4])):
        slices = prepared(part)
        np.testing.assert_array_equal(slices.labels, partly[sources] == 255)
        np.testing.assert_array_equal(slices.weights > 0, partly[sources] != 127)


def test_nothing_that_counts_among_the_held_out_is_refused(partly: np.ndarray, cli: Cli):
    (line,) = cli("preprocess", "--jobs", 1, "--held-out", "2-2", code=1).stderr.splitlines()
    assert "found nothing that counts: 127 or NaN everywhere; choose others" in line


def test_the_recipe_without_weights_keeps_the_zeros():
    rng = np.random.default_rng(0)
    weights = np.where(rng.random((3, 32, 32)) > 0.3, 1 + rng.random((3, 32, 32)), 0)
    slices = Slices(
        images=weights.astype(np.float32),
        labels=(weights > 0).astype(np.uint8),
        weights=weights.astype(np.float32),
    )
    patches = Patches(
        slices.unweighted(), shape=(16, 16), count=3, batch_size=3, overhang=4, seed=0
    )
    _, labels, found = patches.batch(1, 0)
    np.testing.assert_array_equal(found, labels[..., 0])


@pytest.mark.slow
def test_the_model_folder_leaves_out_what_does_not_count(partly: np.ndarray, cli: Cli):
    cli("preprocess", "--jobs", 1, "--held-out", "2-4")
    cli("train", "--epochs", 1, "--epoch-size", 4, "--patch", 32, "--batch-size", 2)
    np.testing.assert_array_equal(tifffile.imread("work/model/held-out-labels.tif"), partly[3:])
    scored = json.loads(Path("work/model/manifest.json").read_text())["details"]["scores"]
    cli("evaluate")
    found = json.loads(Path("work/evaluation/scores.json").read_text())
    assert {name: found[name] for name in scored} == scored
    assert len(found["slices"]) == 2
    cli("report")
    cli(
        "crossvalidate",
        "--folds",
        2,
        "--epochs",
        1,
        "--epoch-size",
        4,
        "--patch",
        32,
        "--batch-size",
        2,
    )
    table = Path("work/crossvalidation/table.md").read_text()
    assert [f"| {number} | " in table for number in range(5)] == [True, True, False, True, True]
