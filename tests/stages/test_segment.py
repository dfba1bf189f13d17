"""Cells of a stack, numbered through, in a table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli

from unetseg.stages import segment as stage


def read_table() -> list[dict[str, str]]:
    with Path("work/cells/cells.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_cell_of_a_stack_has_its_number(data: Path, cli: Cli):
    labels = tifffile.imread(data / "train-labels.tif")
    tifffile.imwrite("p.tif", (labels / 255).astype(np.float32), metadata={"axes": "ZYX"})
    shown = cli("segment", "--prediction", "p.tif", "--smallest", 1).stdout
    with tifffile.TiffFile("work/cells/labels.tif") as file:
        assert np.shape(file.imagej_metadata["LUTs"]) == (3, 256)
        cells = file.asarray()
    assert cells.shape == labels.shape
    assert cells.dtype == np.uint16
    table = read_table()
    assert f"{len(table)} cells" in shown
    assert [int(row["label"]) for row in table] == list(range(1, cells.max() + 1))
    for row in table:
        places = np.argwhere(cells == int(row["label"]))
        assert set(places[:, 0]) == {int(row["slice"])}
        assert len(places) == int(row["area"])
        assert float(row["centroid_y"]) == pytest.approx(places[:, 1].mean(), abs=0.006)
    # The walls of these drawings are whole: each cell of the labels is one here.
    for index, label in enumerate(labels):
        for number in np.unique(cells[index][label == 255]):
            assert number > 0
    assert "up to date" in cli("segment", "--prediction", "p.tif", "--smallest", 1).stdout
    assert sorted(path.name for path in Path("work/cells").iterdir()) == [
        "cells.csv",
        "labels.tif",
        "manifest.json",
    ]


def test_smoothing_closes_gaps_that_noise_makes(cli: Cli):
    # A cell with a line of doubt across it, and cells begin at 0.7. Of the line's depth of 0.35 a
    # Gaussian of half a pixel leaves 79 %, one of a pixel 40 %: the line is 0.67 then, and 0.81.
    probability = np.full((1, 9, 11), 0.95, np.float32)
    probability[:, :, 5] = 0.6
    tifffile.imwrite("p.tif", probability, metadata={"axes": "ZYX"})
    lines = {
        0.0: [1, 1, 1, 1, 1, 0, 2, 2, 2, 2, 2],
        0.5: [1, 1, 1, 1, 1, 0, 2, 2, 2, 2, 2],
        1.0: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    }
    for smoothing, line in lines.items():
        cli("segment", "--prediction", "p.tif", "--jobs", 1, "--smoothing", smoothing)
        cells = tifffile.imread("work/cells/labels.tif")
        assert np.squeeze(cells).tolist() == [line] * 9


def test_more_cells_than_16_bits_hold(data: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch):
    labels = tifffile.imread(data / "train-labels.tif")
    tifffile.imwrite("p.tif", (labels / 255).astype(np.float32), metadata={"axes": "ZYX"})
    cli("segment", "--prediction", "p.tif", "--jobs", 1)
    few = tifffile.imread("work/cells/labels.tif")
    # Begin to count where 16 bits end.
    real = stage.measure_cells
    monkeypatch.setattr(stage, "measure_cells", lambda cells: [*real(cells)] * 9000)
    cli("segment", "--prediction", "p.tif", "--jobs", 1, "--force")
    many = tifffile.imread("work/cells/labels.tif")
    assert many.dtype == np.uint32
    assert many.max() > 2**16
    np.testing.assert_array_equal(many[0], few[0])


def test_a_trained_model_can_be_segmented(model: Path, cli: Cli):
    cli("segment", "--prediction", model)
    manifest = json.loads(Path("work/cells/manifest.json").read_text())
    assert manifest["options"]["seed_threshold"] == 0.7
    assert Path(manifest["inputs"][0]["path"]).name == "held-out-prediction.tif"


def test_what_is_no_probability_is_refused(data: Path, cli: Cli):
    (line,) = cli("segment", "--prediction", data / "train-volume.tif", code=1).stderr.splitlines()
    assert "expected probabilities from 0 to 1" in line
    (line,) = cli("segment", code=1).stderr.splitlines()
    assert "work/prediction: expected the finished results of unetseg predict" in line
