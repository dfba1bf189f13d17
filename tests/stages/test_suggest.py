"""`unetseg suggest`: places that can be labelled, the unsure ones first, and nothing else."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli, coarse, details_of

import unetseg
from unetseg.arrays.suggesting import Place
from unetseg.arrays.synthetic import synthesize
from unetseg.artifacts.suggestions import read_places
from unetseg.engine import prediction
from unetseg.errors import InputError

# Where the stack of these tests has little contrast.
FAINT = 1, slice(32, 96), slice(96, 160)


def write(path: Path, stack: np.ndarray, **metadata: Any) -> Path:
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "ZYX", **metadata})
    return path


def suggestions(folder: str | Path = "work/suggestions") -> list[dict[str, float]]:
    with Path(folder, "suggestions.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def places(folder: str | Path = "work/suggestions") -> list[tuple[int, int, int]]:
    return [(int(row["slice"]), int(row["y"]), int(row["x"])) for row in suggestions(folder)]


@pytest.fixture(scope="session")
def faint() -> np.ndarray:
    """One slice of 128 x 192 three times, a part of the second with hardly any contrast."""
    stack = synthesize(slices=1, height=128, width=192, rng=np.random.default_rng(0))[0]
    stack = stack.repeat(3, axis=0)
    part = stack[FAINT].astype(float)
    stack[FAINT] = part.mean() + 0.3 * (part - part.mean())
    return stack


def test_what_is_faint_is_suggested_first(faint: np.ndarray, tmp_path: Path, cli: Cli):
    volume = write(tmp_path / "v.tif", faint)
    common = ("suggest", "--model", "starter", "--volume", volume, "--patch", 64)
    shown = cli(*common, "--count", 3).stdout
    first, *others = suggestions()
    assert first["slice"] == FAINT[0]
    inside = (
        min(first["y"] + 64, 96) - max(first["y"], 32),
        min(first["x"] + 64, 160) - max(first["x"], 96),
    )
    assert min(inside) > 32
    assert first["score"] > 1.2 * max(row["score"] for row in others)
    assert [row["rank"] for row in (first, *others)] == [1, 2, 3]
    assert details_of("work/suggestions") == {
        "apart": 3,
        "patch": 64,
    }  # 150 nm, if it were of ISBI 2012
    assert {(row["height"], row["width"]) for row in (first, *others)} == {(64, 64)}
    line = f"1: slice 1, y {first['y']:g}, x {first['x']:g} (64 x 64), score {first['score']:.4f}"
    assert line in shown
    assert Path("work/suggestions/suggestions.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in Path("work/suggestions").iterdir()) == [
        "manifest.json",
        "suggestions.csv",
        "suggestions.png",
    ]
    # What is labelled there is not suggested again, nor what is near it in the next slice.
    labels = np.full(faint.shape, 127, np.uint8)
    labels[FAINT] = np.where(faint[FAINT] > 100, 255, 0)
    write(tmp_path / "l.tif", labels)
    cli(*common, "--count", 3, "--labels", "l.tif", "--output", "next")
    for index, top, left in places("next"):
        assert (labels[index, top : top + 64, left : left + 64] == 127).all()
    assert places("next")[0] != places()[0]


@pytest.mark.slow
def test_all_forms_of_labels_say_the_same(faint: np.ndarray, model: Path, tmp_path: Path, cli: Cli):
    volume = write(tmp_path / "v.tif", faint)
    common = ("suggest", "--model", model, "--volume", volume, "--patch", 64, "--count", 4)
    labels = np.full(faint.shape, 127, np.uint8)
    labels[0], labels[1, :64, :64] = 255, 0
    write(tmp_path / "ours.tif", labels)
    write(tmp_path / "painted.tif", np.select([labels == 0, labels == 255], [1, 2]).astype("u1"))
    cli(*common, "--labels", "ours.tif", "--output", "ours")
    cli(*common, "--labels", "painted.tif", "--unlabelled", 0, "--output", "painted")
    assert places("ours") == places("painted")
    assert 0 not in [index for index, _, _ in places("ours")]
    write(tmp_path / "all.tif", np.where(faint > 100, 255, 0).astype(np.uint8))
    cli(*common, "--labels", "all.tif", "--unlabelled-slices", "0,2", "--output", "slices")
    assert {index for index, _, _ in places("slices")} == {0, 2}


@pytest.mark.slow
def test_the_same_again_and_in_any_pieces(
    faint: np.ndarray, model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    volume = write(tmp_path / "v.tif", faint)
    common = ("suggest", "--model", model, "--volume", volume, "--patch", 64, "--count", 5)
    cli(*common)
    assert "nothing to do" in cli(*common).stdout
    (row, *_) = json.loads(cli(*common, "--json").stdout)["places"]
    assert [row[name] for name in ("slice", "y", "x")] == list(places()[0])
    before = Path("work/suggestions/manifest.json").read_bytes()
    assert "wrote" in cli(*common, "--force").stdout
    assert Path("work/suggestions/manifest.json").read_bytes() == before
    monkeypatch.setattr(prediction, "longest_edge", lambda **_: 128 + 2 * 120)
    cli(*common, "--output", "pieces")
    assert places("pieces") == places()
    found = [[row["score"] for row in suggestions(f)] for f in ("pieces", "work/suggestions")]
    np.testing.assert_allclose(*found, atol=2e-5)


@pytest.mark.slow
def test_a_place_is_half_of_a_small_slice(faint: np.ndarray, model: Path, tmp_path: Path, cli: Cli):
    volume = write(tmp_path / "v.tif", faint[:1, :90, :130])
    cli("suggest", "--model", model, "--volume", volume)
    # Of a slice with 90 x 130 pixels; blocks are a fifth of a place.
    assert {(row["height"], row["width"]) for row in suggestions()} == {(45, 45)}
    assert json.loads(Path("work/suggestions/manifest.json").read_text())["details"]["patch"] == 45


@pytest.mark.slow
def test_missing_tissue_is_never_suggested(
    faint: np.ndarray, model: Path, tmp_path: Path, cli: Cli
):
    stack = faint.copy()
    stack[0], stack[1, :, :100] = 130, 0
    volume = write(tmp_path / "v.tif", stack)
    common = ("suggest", "--model", model, "--volume", volume, "--patch", 64, "--count", 50)
    done = cli(*common)
    assert 0 not in [index for index, _, _ in places()]
    assert min(left for index, _, left in places() if index == 1) + 32 >= 100
    found = len(places())
    assert f"v.tif: only {found} of 50 places fit into tissue without labels" in done.stderr
    assert "warning: " in done.stderr
    for number, (index, top, left) in enumerate(places()):
        for other, above, beside in places()[:number]:
            assert index != other or abs(top - above) >= 64 or abs(left - beside) >= 64


@pytest.mark.slow
def test_slices_apart_follow_the_voxel(faint: np.ndarray, model: Path, tmp_path: Path, cli: Cli):
    volume = write(tmp_path / "v.tif", faint)
    common = ("suggest", "--model", model, "--volume", volume, "--no-rescale", "--count", 1)
    for options, apart in ((("--voxel", "30 4 4"), 5), (("--voxel", "900 4 4", "--apart", 7), 7)):
        cli(*common, *options)
        assert details_of("work/suggestions") == {"apart": apart, "patch": 64}


@pytest.mark.slow
def test_models_that_differ_are_compared(
    faint: np.ndarray, model: Path, other_model: Path, tmp_path: Path, cli: Cli
):
    volume = write(tmp_path / "v.tif", faint)
    common = ("suggest", "--model", model, "--volume", volume, "--no-tta", "--count", 2)
    (line,) = cli(*common, code=2).stderr.splitlines()
    assert "--no-tta: expected several models" in line
    cli(*common, "--model", other_model, "--output", "two")
    cli(*common, "--model", model, "--output", "twice")
    assert max(row["score"] for row in suggestions("twice")) < 1e-6
    assert min(row["score"] for row in suggestions("two")) > 1e-3


def test_what_a_model_has_learned_from_is_said(model: Path, cli: Cli):
    common = ("suggest", "--model", model, "--volume", model.parent, "--count", 1)
    warned = cli(*common).stderr
    assert "models have learned from slices 0-3; give --labels" in warned
    labels = ("--labels", model.parent, "--unlabelled-slices", 4)
    assert "learned" not in cli(*common, *labels).stderr
    assert [index for index, _, _ in places()] == [4]


def test_faults_are_one_line(faint: np.ndarray, model: Path, tmp_path: Path, cli: Cli):
    volume = write(tmp_path / "v.tif", faint)
    write(tmp_path / "l.tif", np.where(faint > 100, 255, 0).astype(np.uint8))
    write(tmp_path / "short.tif", np.where(faint[:2] > 100, 255, 0).astype(np.uint8))
    folder = tmp_path / "micrographs"
    folder.mkdir()
    for number, edge in enumerate((100, 120)):
        tifffile.imwrite(folder / f"{number}.tif", coarse(1, edge, edge)[0])
    common = ("suggest", "--model", model)
    for arguments, code, text in (
        (("--labels", "l.tif"), 1, "expected a patch of tissue without labels, found labels in"),
        (("--labels", "short.tif"), 1, "short.tif: expected 3 slices of 128 x 192"),
        (("--unlabelled", 3), 2, "--unlabelled: expected with --labels"),
    ):
        *_, line = cli(*common, "--volume", volume, *arguments, code=code).stderr.splitlines()
        assert text in line
    *_, line = cli(*common, "--volume", folder, code=2).stderr.splitlines()
    assert "expected slices of one stack, found separate micrographs" in line
    assert not Path("work").exists()


def test_places_are_read_back(faint: np.ndarray, model: Path, cli: Cli):
    result = unetseg.suggest(faint, model, patch=64, count=2, output="out")
    first, second = read_places(Path("out"))
    row = result.data["places"][0]
    assert first == Place(row["slice"], row["y"], row["x"], 64, 64, row["score"])
    assert first.centre == (row["slice"], row["y"] + 31.5, row["x"] + 31.5)
    assert second.score > 0
    table = Path("out/suggestions.csv")
    table.write_text(table.read_text().replace("rank", "place"))
    with pytest.raises(InputError, match="run unetseg suggest"):
        read_places(Path("out"))
