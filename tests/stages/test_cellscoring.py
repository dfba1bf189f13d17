"""Scores of numbered cells: what is taken for cells, what is scored of them, and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli, Stacks
from PIL import Image
from scipy import ndimage

import unetseg

# Two cells of 8 x 4 x 2 voxels with membrane between them; nowhere do numbers meet.
TRUTH = np.zeros((2, 8, 9), np.uint32)
TRUTH[:, :, :4], TRUTH[:, :, 5:] = 70_001, 70_002
# Right in the first slice. In the second both are the first one: a split and a merge.
FOUND = np.zeros((2, 8, 9), np.uint32)
FOUND[0, :, :4], FOUND[0, :, 5:], FOUND[1] = 80_005, 80_007, 80_005


def write(path: str, stack: np.ndarray) -> str:
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "ZYX"})
    return path


def evaluate(
    cli: Cli, prediction: np.ndarray, labels: np.ndarray, *options: object
) -> tuple[dict[str, Any], str, list[str]]:
    """What scores.json says, what is printed, and what is warned of."""
    stacks = (write("found.tif", prediction), "--labels", write("truth.tif", labels))
    shown = cli("evaluate", "--prediction", *stacks, *options)
    scores = json.loads(Path("work/evaluation/scores.json").read_text())
    return scores, shown.stdout, shown.stderr.splitlines()


def refused(cli: Cli, *options: object, code: int = 1) -> str:
    (line,) = cli("evaluate", *options, code=code).stderr.splitlines()
    return line


@pytest.fixture
def tissue() -> np.ndarray:
    """Four slices of 60 x 60 with 16 cells that go through them, and lines of 0 between them."""
    cells = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((15, 15), int))
    cells[::15] = cells[:, ::15] = 0
    return np.stack([cells] * 4).astype(np.uint8)


def test_scores_by_hand(cli: Cli):
    scores, said, warned = evaluate(cli, FOUND, TRUTH)
    assert warned == []
    # Slice 0 is right; in slice 1 the two are one: sum p^2 = 2 x 32^2, sum b^2 = 64^2.
    assert [row["v_rand"] for row in scores["slices"]] == pytest.approx([1, 2 / 3])
    assert [row["v_rand_merge"] for row in scores["slices"]] == pytest.approx([1, 1 / 2])
    assert [row["v_info"] for row in scores["slices"]] == pytest.approx([1, 0])
    assert (scores["v_rand"], scores["v_info"]) == pytest.approx((5 / 6, 1 / 2))
    through = scores["through_slices"]
    # Half of the voxels are of a cell that falls in halves. Three quarters are in one that holds
    # two thirds of one cell and a third of another.
    merge = 0.75 * (2 / 3 * np.log2(3 / 2) + 1 / 3 * np.log2(3))
    assert through["voi_split"] == pytest.approx(0.5)
    assert through["voi_merge"] == pytest.approx(merge)
    assert through["voi"] == pytest.approx(0.5 + merge)
    # In units of 32^2: sum p^2 = 4 + 1 + 1, sum b^2 = 9 + 1, sum a^2 = 4 + 4.
    assert through["adapted_rand_precision"] == pytest.approx(6 / 10)
    assert through["adapted_rand_recall"] == pytest.approx(6 / 8)
    assert through["adapted_rand_error"] == pytest.approx(1 - 12 / 18)
    counts = (through[key] for key in ("voxels", "cells", "predicted_cells", "share_at_zero"))
    assert tuple(counts) == (128, 2, 2, 0)
    assert "curves" not in scores
    for line in (
        "V_Rand  0.8333  slice by slice (merge 0.7500, split 1.0000)",
        "VOI     1.1887  bits through the slices (merge 0.6887, split 0.5000)",
        "ARE     0.3333  adapted Rand error through the slices (precision 0.6000, recall 0.7500)",
        "cell 70002 is split among 2 cells (0.5000 bits): 80005 at slice 1, y 3, x 6; 80007 at sl",
        "predicted 80005 merges 2 cells (0.6887 bits): 70001 at slice 0, y 3, x 1; 70002 at slic",
    ):
        assert line in said


def test_the_worst_say_where_they_are(cli: Cli):
    scores, _, _ = evaluate(cli, FOUND, TRUTH)
    (split,), (merge,) = scores["worst"]["splits"], scores["worst"]["merges"]
    assert (split["cell"], split["voxels"], split["parts"], split["bits"]) == (70_002, 64, 2, 0.5)
    assert [part["predicted"] for part in split["largest"]] == [80_005, 80_007]
    assert [part["slice"] for part in split["largest"]] == [1, 0]
    assert (merge["predicted"], merge["voxels"], merge["parts"]) == (80_005, 96, 2)
    assert [part["cell"] for part in merge["largest"]] == [70_001, 70_002]
    assert [part["voxels"] for part in merge["largest"]] == [64, 32]
    for row in (split, merge):
        for part in row["largest"]:
            place = part["slice"], part["y"], part["x"]
            assert TRUTH[place] == (row | part)["cell"]
            assert FOUND[place] == (row | part)["predicted"]
            assert 2 <= part["y"] <= 5  # in the middle


def test_what_the_prediction_leaves_out_is_told_apart(cli: Cli):
    found = TRUTH.copy()
    found[1, :, :2] = 0
    scores, said, _ = evaluate(cli, found, TRUTH)
    through = scores["through_slices"]
    assert through["share_at_zero"] == 16 / 128
    # A quarter of one of two cells: 64/128 (1/4 log2 4 + 3/4 log2 4/3).
    assert through["voi_split_at_zero"] == pytest.approx(0.5 * (0.5 + 0.75 * np.log2(4 / 3)))
    assert through["voi_split"] == through["voi_split_at_zero"]
    assert scores["worst"] == {"splits": [], "merges": []}
    assert "the prediction is 0 in 12.5% of the cells' voxels: 0.0000 of merge, 0.4056" in said


def test_the_command_and_python_give_the_same(cli: Cli):
    stacks = ("--prediction", write("found.tif", FOUND), "--labels", write("truth.tif", TRUTH))
    printed = json.loads(cli("evaluate", *stacks, "--json").stdout)
    scores = json.loads(Path("work/evaluation/scores.json").read_text())
    assert {key: printed[key] for key in scores} == scores
    assert unetseg.evaluate(FOUND, TRUTH, jobs=1).data == scores
    # Of 64 bits, and in several processes.
    high = np.where(FOUND > 0, np.uint64(2**64 - 1) - FOUND, np.uint64(0))
    again = unetseg.evaluate(high, TRUTH.astype(np.int64) * 2**45, jobs=2).data
    for key in ("slices", "v_rand", "v_info", "through_slices"):
        assert again[key] == scores[key]
    numbers = {row["predicted"] for row in again["worst"]["merges"]}
    assert numbers == {2**64 - 1 - 80_005}


def test_pieces_of_one_cell_in_a_slice_are_sections_there(cli: Cli):
    # A cell that forks: one number, two sections in each slice, with a second cell between them.
    truth = np.zeros((2, 8, 14), np.uint8)
    truth[:, :, :4], truth[:, :, 5:9], truth[:, :, 10:] = 1, 2, 1
    found = truth.copy()
    found[:, :, 10:] = 3
    scores, _, _ = evaluate(cli, found, truth)
    assert scores["v_rand"] == 1
    assert scores["through_slices"]["voi_split"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("values", "options", "cells"),
    [
        ("numbers", (), True),
        ("numbers of 32 bits", (), True),
        ("one cell of 32 bits", (), True),
        ("mask", (), False),
        ("mask", ("--prediction-as", "cells"), True),
        ("numbers as floats", ("--prediction-as", "cells"), True),
    ],
)
def test_what_is_taken_for_cells(
    values: str, options: tuple[str, ...], cells: bool, tissue: np.ndarray, cli: Cli
):
    found = {
        "numbers": tissue,
        "numbers of 32 bits": tissue.astype(np.uint32),
        "one cell of 32 bits": (tissue > 0).astype(np.uint32),
        "mask": (tissue > 0).astype(np.uint8),
        "numbers as floats": tissue.astype(np.float32),
    }[values]
    scores, _, _ = evaluate(cli, found, tissue, *options)
    assert (scores.get("prediction_as") == "cells") is cells
    assert ("pixel_error" in scores) is not cells


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["grey levels", "two values"])
def test_probabilities_of_whole_numbers_are_refused_as_before(
    dtype: type, kind: str, tissue: np.ndarray, cli: Cli
):
    top = np.iinfo(dtype).max
    grey = ndimage.gaussian_filter((tissue > 0).astype(np.float32), (0, 1, 1))
    noise = np.random.default_rng(0).normal(0, 0.02, grey.shape)
    found = np.clip(grey + noise, 0, 1) if kind == "grey levels" else tissue > 0
    found[0, 0, :2] = 0, 1
    write("found.tif", (found * top).astype(dtype))
    write("truth.tif", tissue)
    line = refused(cli, "--prediction", "found.tif", "--labels", "truth.tif")
    assert f"found.tif: expected probabilities from 0 to 1, found 0 to {top:g} in slice 0" in line
    assert "divide the pixels by their largest value, or give --prediction-as cells" in line


def test_cells_may_be_called_probabilities(tissue: np.ndarray, cli: Cli):
    write("found.tif", tissue)
    stacks = ("--prediction", "found.tif", "--labels", "found.tif")
    line = refused(cli, *stacks, "--prediction-as", "probabilities")
    assert "expected probabilities from 0 to 1, found 0 to 16" in line


def test_the_folder_of_segment_is_scored(tissue: np.ndarray, cli: Cli):
    write("truth.tif", tissue)
    stack = write("p.tif", (tissue > 0).astype(np.float32))
    cli("segment", "--prediction", stack, "--no-link")
    shown = cli("evaluate", "--prediction", "work/cells", "--labels", "truth.tif")
    scores = json.loads(Path("work/evaluation/scores.json").read_text())
    assert scores["v_rand"] == 1
    # Each section has its own number: four equal pieces of each cell.
    assert scores["through_slices"]["voi_split"] == pytest.approx(2)
    assert "work/cells/labels.tif: no number is in two slices, so every cell" in shown.stderr
    cli("evaluate", "--prediction", "work/cells/labels.tif", "--labels", "truth.tif")
    assert json.loads(Path("work/evaluation/scores.json").read_text()) == scores
    # Its manifest knows, also where there are only two values.
    cli("segment", "--prediction", write("p.tif", np.ones((1, 30, 30), np.float32)))
    write("truth.tif", np.pad(np.ones((1, 20, 20), np.uint8), ((0, 0), (5, 5), (5, 5))))
    stacks = ("--prediction", "work/cells/labels.tif", "--labels", "truth.tif")
    cli("evaluate", *stacks, "--labels-as", "cells")
    scores = json.loads(Path("work/evaluation/scores.json").read_text())
    assert scores["through_slices"]["voi"] == 0
    line = refused(cli, "--prediction", "work/cells", "--prediction-as", "probabilities", code=2)
    assert "expected cells with work/cells, the results of unetseg segment" in line
    tifffile.imwrite("p.tif", np.zeros((1, 30, 30), np.float32))
    line = refused(cli, "--prediction", "work/cells", "--labels", "truth.tif")
    assert line.endswith("run unetseg segment again")


def test_a_folder_of_slices_may_hold_cells(tissue: np.ndarray, cli: Cli):
    for folder in ("found", "truth"):
        Path(folder).mkdir()
        for index, cells in enumerate(tissue):
            Image.fromarray(cells).save(f"{folder}/{index}.png")
    stacks = ("--prediction", "found", "--labels", "truth")
    cli("evaluate", *stacks, "--prediction-as", "cells")
    scores = json.loads(Path("work/evaluation/scores.json").read_text())
    assert scores["through_slices"]["voi"] == 0
    assert "expected the finished results of unetseg train" in refused(cli, *stacks)


def test_two_classes_are_scored_slice_by_slice_alone(tissue: np.ndarray, cli: Cli):
    scores, said, _ = evaluate(cli, tissue, np.where(tissue > 0, 255, 0).astype(np.uint8))
    assert scores["v_rand"] == 1
    assert scores["through_slices"] is None
    assert scores["worst"] is None
    assert "left out: truth.tif holds two classes, which do not say what sections" in said


def test_numbers_that_do_not_go_on_are_told(tissue: np.ndarray, cli: Cli):
    apart = tissue.astype(np.uint16) + 16 * np.arange(4, dtype=np.uint16)[:, None, None]
    apart[tissue == 0] = 0
    scores, said, _ = evaluate(cli, tissue, apart)
    assert scores["through_slices"] is None
    assert "in truth.tif no number is in two slices; give a cell the same one in all" in said

    # 17 less the number in every second slice: as if each slice were numbered by itself.
    anew = np.where(tissue > 0, 17 - tissue.astype(int), 0).astype(np.uint8)
    anew[::2] = tissue[::2]
    _, _, warned = evaluate(cli, tissue, anew)
    assert len(warned) == 1
    assert "truth.tif: most numbers in two neighbouring slices are at" in warned[0]
    _, _, warned = evaluate(cli, anew, tissue)
    assert len(warned) == 1
    assert "found.tif: most numbers in two neighbouring" in warned[0]


def test_what_does_not_count_is_left_out(tissue: np.ndarray, cli: Cli):
    found = tissue.copy()
    found[0, :, 45:] = 99  # wrong where nobody has labelled, and nowhere else
    found[2] = 3
    truth = tissue.copy()
    truth[0, :, 45:] = 200
    options = ("--unlabelled", 200, "--unlabelled-slices", 2)
    scores, said, _ = evaluate(cli, found, truth, *options)
    assert scores["slices"][2] is None
    assert scores["v_rand"] == scores["v_info"] == 1
    assert scores["through_slices"]["voi"] == 0
    # Of four slices one is left out, and a quarter of another.
    assert scores["through_slices"]["voxels"] == (2 * 16 + 12) * 14 * 14
    assert "nothing counts in slice 2: left out of the scores" in said


def test_membrane_that_is_drawn_is_left_out(cli: Cli):
    truth = np.ones((2, 20, 20), np.uint8)
    truth[:, :, 10:] = 2
    found = np.where(np.arange(20) < 11, 1, 2) * np.ones((2, 20, 1), np.uint8)  # 1 px beside it
    as_cells = ("--labels-as", "cells", "--prediction-as", "cells")
    scores, _, _ = evaluate(cli, found.astype(np.uint8), truth, *as_cells, "--membrane", "2 px")
    assert scores["through_slices"]["voxels"] == 2 * 20 * 18
    assert scores["through_slices"]["voi"] == 0
    moved = np.where(np.arange(20) < 12, 1, 2) * np.ones((2, 20, 1), np.uint8)
    scores, _, _ = evaluate(cli, moved.astype(np.uint8), truth, *as_cells, "--membrane", "2 px")
    assert scores["through_slices"]["voi_merge"] > 0


def test_separate_micrographs_are_scored_slice_by_slice(cli: Cli):
    for folder in ("found", "truth"):
        Path(folder).mkdir()
        for name, size in (("a", 30), ("b", 45)):
            cells = np.kron([[1, 2], [3, 4]], np.ones((size // 2, size // 2), np.uint8))
            cells[size // 2 - 1] = cells[:, size // 2 - 1] = 0
            Image.fromarray(cells.astype(np.uint8)).save(f"{folder}/{name}.png")
    shown = cli(
        "evaluate", "--prediction", "found", "--labels", "truth", "--prediction-as", "cells"
    )
    scores = json.loads(Path("work/evaluation/scores.json").read_text())
    assert scores["names"] == ["a", "b"]
    assert scores["v_rand"] == 1
    assert scores["through_slices"] is None
    assert "left out: these are separate micrographs" in shown.stdout


@pytest.mark.parametrize(
    ("prediction", "labels", "options", "message"),
    [
        (FOUND[:1], TRUTH, (), "truth.tif: expected 1 slice of 8 x 9, as in found.tif, found 2"),
        (FOUND, 0 * TRUTH, (), "truth.tif: expected labels, of two values"),
        (
            FOUND,
            0 * TRUTH,
            ("--labels-as", "cells"),
            "truth.tif: expected numbers of cells, and membrane or a second cell",
        ),
        (
            FOUND.astype(np.int32) - 1,
            TRUTH,
            (),
            "found.tif: expected numbers of cells, whole ones from 0 on, found -1 in slice 0; give",
        ),
        (
            (FOUND / 100_000).astype(np.float32),
            TRUTH,
            ("--prediction-as", "cells"),
            "found 0.80005 in slice 0; give 0 where there is no cell, or leave out",
        ),
    ],
)
def test_what_cannot_be_scored_is_one_line(
    prediction: np.ndarray, labels: np.ndarray, options: tuple[str, ...], message: str, cli: Cli
):
    stacks = ("--prediction", write("found.tif", prediction), "--labels")
    assert message in refused(cli, *stacks, write("truth.tif", labels), *options)
    assert not Path("work/evaluation").exists()


def test_labels_are_needed(cli: Cli):
    write("found.tif", FOUND)
    assert "--labels: needed" in refused(cli, "--prediction", "found.tif", code=2)


def test_cells_of_slices_that_were_trained_on_are_told(
    tiny: Stacks, model: Path, cli: Cli, data: Path
):
    cli("predict", "--model", model, "--volume", data / "train-volume.tif", "--no-tta")
    cli("segment", "--seed-threshold", 0.1)
    shown = cli("evaluate", "--prediction", "work/cells", "--labels", data / "train-labels.tif")
    assert "has learned from slices 0-3: scores of these are too good" in shown.stderr
    # Of what is left out nothing is scored.
    stacks = ("--prediction", "work/cells", "--labels", data / "train-labels.tif")
    shown = cli("evaluate", *stacks, "--unlabelled-slices", "0-2")
    assert "has learned from slice 3: scores of these are too good" in shown.stderr
    assert "has learned" not in cli("evaluate", *stacks, "--unlabelled-slices", "0-3").stderr


def test_a_model_has_no_cells(model: Path, cli: Cli):
    line = refused(cli, "--prediction", model, "--prediction-as", "cells", code=2)
    assert "--prediction-as: expected probabilities with" in line
