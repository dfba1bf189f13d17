"""Cells of a stack, numbered through, in a table."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import imagej
import numpy as np
import pytest
import tifffile
import zarr
from conftest import Cli
from ome_zarr_models import open_ome_zarr
from scipy import ndimage
from skimage import measure

from unetseg.artifacts.finding import find_cells
from unetseg.engine import blocksteps, machine
from unetseg.engine.blocks import LAYOUT, Layout
from unetseg.stacks.opening import open_numbers, open_volume
from unetseg.stacks.voxel import Voxel
from unetseg.stages import segment as stage

LARGE = "labels.ome.zarr"
LINKED = ["cells-3d.csv", "links.csv"]
# A block of 2048 pixels would take minutes.
SMALL = Layout(edge=48, halo=40, multiple=16)


def read(path: Path) -> np.ndarray:
    with open_numbers(path) as volume:
        return np.stack(list(volume))


def read_table(name: str = "cells.csv") -> list[dict[str, str]]:
    with Path("work/cells", name).open() as file:
        return list(csv.DictReader(file))


def manifest_of(folder: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path(folder, "manifest.json").read_text())
    return read


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
    command = ("segment", "--prediction", "p.tif", "--smallest", 1, "--no-link")
    shown = cli(*command).stdout
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
    assert "up to date" in cli(*command).stdout
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


def test_more_cells_than_16_bits_hold(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    """67,600 cells of one pixel each, in one block and in 25."""
    dots = np.zeros((1, 520, 520), np.float32)
    dots[:, 1::2, 1::2] = 1  # on no seam
    tifffile.imwrite("p.tif", dots, metadata={"axes": "ZYX"})
    settings = ("--smoothing", 0, "--smallest", 1, "--no-grow", "--jobs", 1)
    cli("segment", "--prediction", "p.tif", *settings)
    cells = read(Path("work/cells/labels.tif"))
    assert cells.dtype == np.uint32
    assert cells[0, 1::2, 1::2].ravel().tolist() == list(range(1, 67_601))
    monkeypatch.setattr(stage, "LAYOUT", Layout(edge=112, halo=32, multiple=16))
    cli("segment", "--prediction", "p.tif", *settings, "--name", LARGE)
    cells = read(Path("work/cells", LARGE))
    assert cells.dtype == np.uint32
    assert sorted(cells[0, 1::2, 1::2].ravel()) == list(range(1, 67_601))
    assert [int(row["label"]) for row in read_table()] == list(range(1, 67_601))


@pytest.mark.slow
@imagej.needs_imagej
def test_numbers_above_16_bits_survive_linking_and_imagej(cli: Cli, tmp_path: Path):
    """67,600 cells of two pixels, one in each slice."""
    dots = np.zeros((2, 520, 520), np.float32)
    dots[:, 1::2, 1::2] = 1
    tifffile.imwrite("p.tif", dots, photometric="minisblack")
    command = ("segment", "--prediction", "p.tif", "--smoothing", 0, "--smallest", 1, "--no-grow")
    shown = cli(*command, "--link", "--jobs", 1).stdout
    assert "67600 cells of 135200 sections" in shown
    cells = read(Path("work/cells/labels.tif"))
    expected = np.zeros((2, 520, 520), np.uint32)
    expected[:, 1::2, 1::2] = np.arange(1, 67_601).reshape(260, 260)
    np.testing.assert_array_equal(cells, expected)
    assert [int(row["cell"]) for row in read_table("cells-3d.csv")] == list(range(1, 67_601))
    (seen,) = imagej.read([Path("work/cells/labels.tif")], tmp_path)
    assert seen.bits == 32
    np.testing.assert_array_equal(seen.pixels, expected)
    cli(*command, "--link", "--jobs", 1, "--name", LARGE)
    np.testing.assert_array_equal(read(Path("work/cells", LARGE)), expected)


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
        "links.csv",
    ]


def test_linking_is_the_same_however_many_processes_work(tubes: np.ndarray, cli: Cli):
    for jobs in (1, 2):
        cli("segment", "--prediction", "p.tif", "--link", "--jobs", jobs, "--output", f"c{jobs}")
    for name in ("labels.tif", "cells.csv", "cells-3d.csv", "links.csv"):
        assert Path("c1", name).read_bytes() == Path("c2", name).read_bytes()


def test_a_graph_that_is_too_large_for_the_memory_is_one_line(
    tubes: np.ndarray, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    command = (*SEGMENT, "--link", "--jobs", 1, "--memory", "300MB")
    cli(*command, "--output", "whole")
    with monkeypatch.context() as patch:
        patch.setattr(blocksteps, "EDGE_BYTES", 10**8)
        *_, line = cli(*command, code=2).stderr.splitlines()
    assert "--memory: expected more than 0.3GB, which a graph of" in line
    assert "links does not fit into; give" in line
    with monkeypatch.context() as patch:
        patch.setattr(blocksteps.BlockSteps, "_gather", None)  # not again
        assert "resuming: 100% is done" in cli(*command).stderr
    assert outputs("work/cells") == outputs("whole")


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
    for name in ("cells-3d.csv", "links.csv"):
        assert not Path("work/cells", name).exists()
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
    assert not read_table("links.csv")


def test_the_table_of_links_says_how_narrowly_they_were_decided(cli: Cli):
    # Cells of 6 x 4 and, half of it, 3 x 4 pixels, of the same probability.
    probability = np.full((2, 12, 14), 0.0, np.float32)
    probability[0, 2:8, 3:7] = probability[1, 2:5, 3:7] = 1
    tifffile.imwrite("p.tif", probability, metadata={"axes": "ZYX"})
    plain = ("--smoothing", 0, "--smallest", 1, "--no-grow")
    cli("segment", "--prediction", "p.tif", "--link", "--jobs", 1, *plain)
    (link,) = read_table("links.csv")
    margin = float(link.pop("margin"))
    expected = {"slice": "1", "y": "3.0", "x": "4.5", "label": "2", "cell": "1", "joined": "True"}
    assert link == expected | {"other_slice": "0", "other_label": "1", "other_cell": "1"}
    # 12 pixels of a union of 24, and all of the smaller; softened by 0.01.
    weights = (2.48, 1.06, 0.35)
    odds = np.dot(weights, [1, np.log(0.51 / 0.51), np.log(1.01 / 0.01)])
    assert margin == pytest.approx(odds * 12**0.25, abs=1e-4)


def test_links_are_sorted_and_say_where_they_are(tubes: np.ndarray, cli: Cli):
    tubes[4:, 3:13, 2:18] = 0.05
    tubes[4:, 7:13, 6:20] = 0.95  # of the first tube, a half goes on
    tifffile.imwrite("p.tif", tubes, metadata={"axes": "ZYX"})
    cli("segment", "--prediction", "p.tif", "--link", "--jobs", 1, "--no-grow")
    links, sections = read_table("links.csv"), {row["label"]: row for row in read_table()}
    margins = [float(link["margin"]) for link in links]
    assert margins == sorted(margins)
    assert margins[0] >= 0
    # Where it narrows, as many edges hold the tube together as one slice above, and hold less.
    margin = {
        "".join(sorted((link["slice"], link["other_slice"]))): float(link["margin"])
        for link in links
        if link["cell"] == link["other_cell"] == sections["1"]["cell"]
    }
    assert margin["34"] < 0.7 * margin["23"]
    # One for each further section of a cell, and one for each two cells that might have been one.
    joined = [link for link in links if link["joined"] == "True"]
    assert len(joined) == len(sections) - len(read_table("cells-3d.csv"))
    for link in links:
        assert (link["cell"] == link["other_cell"]) == (link["joined"] == "True")
        small, large = (sections[link[name]] for name in ("label", "other_label"))
        assert int(small["area"]) <= int(large["area"])
        assert (small["cell"], large["cell"]) == (link["cell"], link["other_cell"])
        assert (small["slice"], large["slice"]) == (link["slice"], link["other_slice"])
        assert (small["centroid_y"], small["centroid_x"]) == (link["y"], link["x"])


@pytest.mark.parametrize("link", ["--link", "--no-link"])
def test_a_binary_stack_says_what_is_inside_cells(tubes: np.ndarray, cli: Cli, link: str):
    segment = ("segment", "--prediction", "p.tif", link, "--jobs", 1)
    cli(*segment, "--binary")
    with open_volume(Path("work/cells/binary.tif")) as binary:
        assert binary.voxel == Voxel(50, 4, 4)
        pixels = np.stack(list(binary))
    cells = tifffile.imread("work/cells/labels.tif")
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.where(cells > 0, 255, 0))
    assert 0 < pixels.mean() < 255
    assert find_cells(Path("work/cells")) == Path("work/cells/labels.tif")
    (output,) = (o for o in manifest_of("work/cells")["outputs"] if o["name"] == "binary.tif")
    assert (output["shape"], output["dtype"], output["axes"]) == ([8, 30, 40], "uint8", "ZYX")
    # They are no numbers of cells.
    labels = ("--labels", "work/cells/labels.tif", "--labels-as", "cells")
    (line,) = cli(
        "evaluate", "--prediction", "work/cells/binary.tif", *labels, code=1
    ).stderr.splitlines()
    assert "expected probabilities from 0 to 1" in line
    assert "up to date" in cli(*segment, "--binary").stdout
    cli(*segment)
    assert not Path("work/cells/binary.tif").exists()


def test_what_is_no_probability_is_refused(data: Path, cli: Cli):
    (line,) = cli("segment", "--prediction", data / "train-volume.tif", code=1).stderr.splitlines()
    assert "expected probabilities from 0 to 1" in line
    (line,) = cli("segment", code=1).stderr.splitlines()
    assert "work/prediction: expected the finished results of unetseg predict" in line


@pytest.fixture
def membranes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A prediction of crooked cells, many of which lie across blocks; (2, 110, 150)."""
    noise = np.random.default_rng(0).normal(size=(2, 110, 150))
    smooth = np.abs(ndimage.gaussian_filter(noise, (0, 5, 5)))
    probability = np.clip(1.5 * smooth / smooth.std(), 0, 1).astype(np.float32)
    voxel = {"axes": "ZYX", "spacing": 50, "unit": "nm"}
    tifffile.imwrite(
        tmp_path / "p.tif", probability, imagej=True, resolution=(1 / 4, 1 / 4), metadata=voxel
    )
    monkeypatch.setattr(stage, "LAYOUT", SMALL)
    return probability


def outputs(folder: str) -> dict[str, str]:
    manifest = json.loads(Path(folder, "manifest.json").read_text())
    return {output["name"]: output["sha256"] for output in manifest["outputs"]}


SEGMENT = ("segment", "--prediction", "p.tif")


def test_blocks_give_cells_that_are_whole(membranes: np.ndarray, cli: Cli):
    """Everything that is said of them holds of the labels as they are."""
    cli(*SEGMENT, "--jobs", 1)
    cells = tifffile.imread("work/cells/labels.tif")
    table = read_table()
    assert [int(row["label"]) for row in table] == list(range(1, cells.max() + 1))
    rows = {int(row["label"]): row for row in table}
    across = 0
    for z, numbers in enumerate(cells):
        for one, other in ((numbers[1:], numbers[:-1]), (numbers[:, 1:], numbers[:, :-1])):
            assert not ((one > 0) & (other > 0) & (one != other)).any(), "no line is between them"
        for region in measure.regionprops(numbers):
            row = rows.pop(region.label)
            assert (int(row["slice"]), int(row["area"])) == (z, region.area)
            assert float(row["perimeter"]) == round(region.perimeter, 2)
            assert float(row["centroid_y"]) == round(float(region.centroid[0]), 2)
            assert float(row["centroid_x"]) == round(float(region.centroid[1]), 2)
            inside = np.pad(numbers == region.label, 1, mode="edge").astype(int)
            edges = sum(abs(np.diff(inside, axis=axis)).sum() for axis in (0, 1))
            # Those of the two rows and columns that were added are there twice.
            edges -= sum(
                abs(np.diff(side)).sum() for side in (*inside[[0, -1]], *inside[:, [0, -1]].T)
            )
            assert int(row["border"]) == edges
            assert measure.label(region.image, connectivity=1).max() == 1
            top, left, bottom, right = region.bbox
            across += top < 48 < bottom or left < 48 < right
    assert not rows
    assert across > 10


def test_blocks_give_the_cells_of_the_whole_slice(
    membranes: np.ndarray, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    cli(*SEGMENT, "--jobs", 1)
    blocks = tifffile.imread("work/cells/labels.tif")
    monkeypatch.setattr(stage, "LAYOUT", LAYOUT)
    cli(*SEGMENT, "--jobs", 1, "--output", "whole")
    whole = tifffile.imread("whole/labels.tif")
    pairs, shared = np.unique(np.stack([blocks.ravel(), whole.ravel()]), axis=1, return_counts=True)
    assert blocks.max() == whole.max()
    # Each cell of the one is all but a few pixels of one of the other.
    most = {pair[0]: 0 for pair in pairs.T}
    for (block, other), pixels in zip(pairs.T, shared, strict=True):
        if other:
            most[block] = max(most[block], pixels)
    area = np.bincount(blocks.ravel())
    assert all(most[cell] > 0.95 * area[cell] for cell in range(1, len(area)))


@pytest.mark.parametrize("link", ["--link", "--no-link"])
def test_neither_memory_nor_processes_change_anything(
    membranes: np.ndarray, cli: Cli, link: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine, "available_cores", lambda: 3)
    cli(*SEGMENT, link, "--jobs", 1, "--memory", "1.5GB")
    cli(*SEGMENT, link, "--jobs", 2, "--memory", "8GB", "--output", "two")
    assert outputs("two") == outputs("work/cells")
    cli(*SEGMENT, link, "--jobs", 3, "--memory", "1.5GB", "--output", "three")
    assert outputs("three") == outputs("work/cells")
    cli(*SEGMENT, link, "--jobs", 1, "--name", LARGE, "--output", "zarr")
    assert outputs("zarr")["cells.csv"] == outputs("two")["cells.csv"]
    np.testing.assert_array_equal(read(Path("zarr", LARGE)), tifffile.imread("two/labels.tif"))
    assert sorted(path.name for path in Path("zarr").iterdir()) == sorted(
        [LARGE, "cells.csv", "manifest.json", *(LINKED if link == "--link" else [])]
    )


def test_labels_of_ome_zarr_are_valid(membranes: np.ndarray, cli: Cli):
    cli(*SEGMENT, "--jobs", 1, "--name", LARGE)
    group = zarr.open_group(Path("work/cells", LARGE), mode="r")
    labels = open_ome_zarr(group)
    assert "image_label" in type(labels.attributes.ome).model_fields
    ome = group.attrs["ome"]
    assert (ome["version"], ome["image-label"]) == ("0.5", {})
    assert group["0"].dtype == np.uint32
    (scale,) = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [50, 4, 4]
    assert "up to date" in cli(*SEGMENT, "--name", LARGE).stdout
    assert "up to date" not in cli(*SEGMENT, "--jobs", 1).stdout
    assert not Path("work/cells", LARGE).exists()


def kill_when(count: int, pattern: str, *arguments: object) -> None:
    """Run a command on small blocks, and kill it as soon as so many files are there."""
    code = (
        "import sys; from unetseg.stages import segment; from unetseg.engine.blocks import Layout; "
        f"segment.LAYOUT = {SMALL!r}; "
        "from unetseg.cli.commands import main; main(sys.argv[1:])"
    )
    run = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)])
    while len(list(Path().glob(pattern))) < count:
        assert run.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    run.kill()
    assert run.wait() == -9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["labels.tif", LARGE])
def test_what_was_killed_goes_on(membranes: np.ndarray, cli: Cli, name: str):
    arguments = (*SEGMENT, "--jobs", 1, "--name", name)
    cli(*arguments, "--output", "whole")
    drafts = Path("killed/.unfinished/.blocks")
    kill_when(5, f"{drafts}/*/labels-*.npy", *arguments, "--output", "killed")
    kept = {path: path.stat().st_mtime_ns for path in drafts.glob("*/labels-*.npy")}
    assert len(kept) < 24
    kill_when(1, f"{drafts}/*/total.npy", *arguments, "--output", "killed")
    kill_when(2, f"{drafts}/*/tally-*.npy", *arguments, "--output", "killed")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "done twice"
    shown = cli(*arguments, "--output", "killed", "--smallest", 30, code=1).stderr
    assert "found one that differs in smallest (20)" in shown
    assert "resuming: 100% is done" in cli(*arguments, "--output", "killed").stderr
    assert outputs("killed") == outputs("whole")


def test_too_little_memory_is_one_line(membranes: np.ndarray, cli: Cli):
    (line,) = cli(*SEGMENT, "--memory", "100MB", code=2).stderr.splitlines()
    assert "--memory: expected more than 0.1GB, which a block of" in line
    assert line.endswith("does not fit into; give 0.2GB")
    tifffile.imwrite("wide.tif", np.zeros((1, 3, 4_000_000), np.float32))
    linked = ("segment", "--prediction", "wide.tif", "--link", "--memory", "1.5GB")
    (line,) = cli(*linked, code=2).stderr.splitlines()
    assert "which linking, which compares whole slices, does not fit into; give 2.0GB" in line
    assert line.endswith(", or --no-link")


def test_the_largest_stacks_become_ome_zarr(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    tifffile.imwrite("p.tif", np.ones((2, 20, 30), np.float32), metadata={"axes": "ZYX"})
    monkeypatch.setattr(stage, "IMAGEJ_LIMIT", 2 * 20 * 30 * 4 - 1)
    cli(*SEGMENT, "--jobs", 1)
    np.testing.assert_array_equal(read(Path("work/cells", LARGE))[:, 0, 0], [1, 2])
    cli(*SEGMENT, "--jobs", 1, "--name", "labels.tif")
    assert list(outputs("work/cells")) == ["cells.csv", "labels.tif"]
    (line,) = cli(*SEGMENT, "--name", "labels.png", code=2).stderr.splitlines()
    assert "--name: expected a file name that ends in .tif" in line
