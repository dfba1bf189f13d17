"""Scores of a prediction, and doubts about the labels that it is scored by."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli, Stacks
from scipy import ndimage


def score(cli: Cli, prediction: np.ndarray, labels: np.ndarray) -> list[str]:
    """What is said of them."""
    settings = {"metadata": {"axes": "ZYX"}}
    tifffile.imwrite("prediction.tif", prediction.astype(np.float32), **settings)
    tifffile.imwrite("labels.tif", labels, **settings)
    shown = cli("evaluate", "--prediction", "prediction.tif", "--labels", "labels.tif")
    return list(shown.stderr.splitlines())


def blurred(labels: np.ndarray) -> np.ndarray:
    """What a good network makes of them."""
    return ndimage.gaussian_filter((labels > 0).astype(np.float32), (0, 1, 1))


def perfect(labels: np.ndarray) -> np.ndarray:
    return labels > 0


@pytest.mark.parametrize("predict", [blurred, perfect])
def test_labels_that_fit_cause_no_warning(
    tiny: Stacks, cli: Cli, predict: Callable[[np.ndarray], np.ndarray]
):
    _, labels = tiny
    assert score(cli, predict(labels), labels) == []


def test_inverted_labels_are_told(tiny: Stacks, cli: Cli):
    _, labels = tiny
    (line,) = score(cli, blurred(labels), 255 - labels)
    assert line.startswith("warning: labels.tif: labels may be inverted: the prediction sees")
    assert Path("work/evaluation/scores.json").exists()


def test_a_threshold_at_the_end_of_the_scale_is_told(tiny: Stacks, cli: Cli):
    _, labels = tiny
    # Told apart by the last threshold alone.
    (line,) = score(cli, np.where(labels > 0, 1, 0.95), labels)
    assert "labels.tif: the best threshold is 1, the end of the scale" in line


def scores(cli: Cli, prediction: np.ndarray, labels: np.ndarray) -> tuple[dict[str, Any], str]:
    """What scores.json says, and what the terminal does."""
    settings = {"metadata": {"axes": "ZYX"}}
    tifffile.imwrite("prediction.tif", prediction.astype(np.float32), **settings)
    tifffile.imwrite("labels.tif", labels, **settings)
    shown = cli("evaluate", "--prediction", "prediction.tif", "--labels", "labels.tif")
    return json.loads(Path("work/evaluation/scores.json").read_text()), shown.stdout


def test_what_does_not_count_is_left_out(tiny: Stacks, cli: Cli):
    labels = tiny[1].copy()
    prediction = np.clip(blurred(labels) + 0.1 * (tiny[0] / 255 - 0.5), 0, 1)
    cut, _ = scores(cli, prediction[:, :, :60], labels[:, :, :60])
    labels[:, :, 60:] = 127
    prediction[:, :, 60:] = 1
    found, _ = scores(cli, prediction, labels)
    assert found == cut

    labels[3] = 127
    found, said = scores(cli, prediction, labels)
    assert "nothing counts in slice 3: left out of the scores" in said
    assert found["slices"][3] is None
    kept = [row["v_rand"] for row in found["slices"] if row]
    assert len(kept) == 4
    assert found["v_rand"] == pytest.approx(np.mean(kept))


def test_numbered_cells_are_scored(tiny: Stacks, cli: Cli):
    cells = np.stack([ndimage.label(label)[0] for label in tiny[1]]).astype(np.uint32)
    found, said = scores(cli, perfect(tiny[1]), cells)
    assert found["v_rand"] == 1
    assert f"labels number {cells.max()} cells: membrane is 0 and where numbers meet" in said
