"""Cells of a stack, numbered through, in a table."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli

from unetseg.stages import segment as stage


def read_table(name: str = "cells.csv") -> list[dict[str, str]]:
    with Path("work/cells", name).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def tubes(tmp_path: Path) -> np.ndarray:
    """A prediction of two tubes that slide by a pixel a slice, and one that ends; (8, 30, 40)."""
    probability = np.full((8, 30, 40), 0.05, np.float32)
    for z, probable in enumerate(probability):
        probable[3:13, 2 + z : 14 + z] = 0.95
        probable[15:27, 20 - z : 32 - z] = 0.95
        if z < 4:
            probable[3:11, 30:38] = 0.95
    tifffile.imwrite(
        tmp_path / "p.tif",
        probability,
        imagej=True,
        resolution=(1 / 4, 1 / 4),
        metadata={"axes": "ZYX", "spacing": 50, "unit": "nm"},
    )
    return probability


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


def test_sections_of_a_cell_get_one_number(tubes: np.ndarray, cli: Cli):
    shown = cli("segment", "--prediction", "p.tif", "--link", "--jobs", 1).stdout
    assert "3 cells of 20 sections" in shown
    cells = tifffile.imread("work/cells/labels.tif")
    assert cells.dtype == np.uint16
    for z in range(8):
        assert (cells[z, 3:13, 2 + z : 14 + z] == 1).all()
        assert (cells[z, 15:27, 20 - z : 32 - z] == cells[0, 20, 25]).all()
    assert sorted({*cells[:4].flat}) == [0, 1, 2, 3]
    assert cells[0, 5, 33] not in cells[4:]

    sections = read_table()
    assert list(sections[0])[:3] == ["label", "cell", "slice"]
    assert [int(row["label"]) for row in sections] == list(range(1, 21))
    for row in sections:
        here = cells[int(row["slice"])] == int(row["cell"])
        assert here.sum() == int(row["area"])
        assert np.argwhere(here)[:, 0].mean() == pytest.approx(float(row["centroid_y"]), abs=0.006)
    whole = read_table("cells-3d.csv")
    assert [int(row["cell"]) for row in whole] == [1, 2, 3]
    for row in whole:
        places = np.argwhere(cells == int(row["cell"]))
        assert int(row["voxels"]) == len(places)
        assert float(row["volume_nm3"]) == len(places) * 50 * 4 * 4
        for axis, along in zip("zyx", places.T, strict=True):
            assert int(row[f"{axis}_first"]) == along.min()
            assert int(row[f"{axis}_last"]) == along.max()
            assert float(row[f"centroid_{axis}"]) == pytest.approx(along.mean(), abs=0.011)
    manifest = json.loads(Path("work/cells/manifest.json").read_text())
    assert manifest["options"]["link"] is True
    assert [output["name"] for output in manifest["outputs"]] == [
        "cells-3d.csv",
        "cells.csv",
        "labels.tif",
    ]


def test_linking_is_the_same_however_many_processes_work(tubes: np.ndarray, cli: Cli):
    for jobs in (1, 2):
        cli("segment", "--prediction", "p.tif", "--link", "--jobs", jobs, "--output", f"c{jobs}")
    for name in ("labels.tif", "cells.csv", "cells-3d.csv"):
        assert Path("c1", name).read_bytes() == Path("c2", name).read_bytes()


def test_linking_without_its_solver_is_refused_at_once(
    tubes: np.ndarray, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "bioimage_cpp.graph.multicut", None)
    result = cli("segment", "--prediction", "p.tif", "--link", "--jobs", 1, code=1)
    assert "--link: expected the package bioimage-cpp, found none" in result.stderr
    assert not Path("work/cells").exists()


def test_linking_renumbers_sections_and_moves_none(tubes: np.ndarray, cli: Cli):
    cli("segment", "--prediction", "p.tif", "--link", "--jobs", 1)
    linked, rows = tifffile.imread("work/cells/labels.tif"), read_table()
    cli("segment", "--prediction", "p.tif", "--no-link", "--jobs", 1)
    assert not Path("work/cells/cells-3d.csv").exists()
    sections = tifffile.imread("work/cells/labels.tif")
    number = np.array([0, *(int(row.pop("cell")) for row in rows)])
    np.testing.assert_array_equal(number[sections], linked)
    assert rows == read_table()


def test_lost_slices_are_bridged_where_zero_is_missing(
    tubes: np.ndarray, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    tubes[2] = tubes[5:7] = 0
    tifffile.imwrite("p.tif", tubes, metadata={"axes": "ZYX"})
    monkeypatch.setattr(stage, "zero_is_missing", lambda _: True)
    cli("segment", "--prediction", "p.tif", "--link", "--jobs", 1)
    cells = tifffile.imread("work/cells/labels.tif")
    assert not cells[[2, 5, 6]].any()
    assert cells[0, 5, 8] == cells[7, 5, 15] == 1
    assert cells[0, 20, 25] == cells[7, 20, 18]
    whole = read_table("cells-3d.csv")
    assert len(whole) == 3
    assert whole[0]["volume_nm3"] == ""
    assert [whole[0][name] for name in ("sections", "z_first", "z_last")] == ["5", "0", "7"]


def test_nothing_to_link(cli: Cli):
    tifffile.imwrite("p.tif", np.zeros((5, 9, 11), np.float32), metadata={"axes": "ZYX"})
    assert "0 cells of 0 sections" in cli("segment", "--prediction", "p.tif", "--link").stdout
    assert not read_table()
    assert not read_table("cells-3d.csv")


def test_what_is_no_probability_is_refused(data: Path, cli: Cli):
    (line,) = cli("segment", "--prediction", data / "train-volume.tif", code=1).stderr.splitlines()
    assert "expected probabilities from 0 to 1" in line
    (line,) = cli("segment", code=1).stderr.splitlines()
    assert "work/prediction: expected the finished results of unetseg predict" in line
