"""Cross-validation: every slice is scored once, and nothing that is done is done again."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
from pathlib import Path

import pytest
import tifffile
from conftest import Cli, Stacks, make_cli, write_stacks

from unetseg.stages.crossvalidate import split

RUN = ("crossvalidate", "--folds", 2, "--epochs", 1, "--epoch-size", 4, "--patch", 32)


def test_folds_are_contiguous_and_cover_every_slice():
    assert [(b.start, b.stop) for b in split(30, 5)] == [
        (0, 6),
        (6, 12),
        (12, 18),
        (18, 24),
        (24, 30),
    ]
    for slices in range(2, 40):
        for folds in range(2, slices + 1):
            blocks = split(slices, folds)
            assert [z for block in blocks for z in block] == list(range(slices))
            sizes = [len(block) for block in blocks]
            assert len(sizes) == folds
            assert max(sizes) - min(sizes) <= 1


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny: Stacks) -> Path:
    """A folder in which all folds have been trained."""
    folder = tmp_path_factory.mktemp("folds")
    write_stacks(folder / "data", tiny)
    with pytest.MonkeyPatch.context() as patch:
        run = make_cli(folder, patch)
        run("augment", "--copies", 1)
        run(*RUN)
    return folder


@pytest.fixture
def done(finished: Path, cli: Cli, tmp_path: Path) -> Path:
    """A copy of it to change."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path / "work/crossvalidation"


def test_a_slice_that_cannot_be_scored_is_said_at_once(data: Path, cli: Cli):
    labels = tifffile.imread(data / "train-labels.tif")
    labels[4] = 0
    tifffile.imwrite(data / "train-labels.tif", labels, metadata={"axes": "ZYX"})
    cli("augment", "--copies", 1)
    (line,) = cli(*RUN, code=1).stderr.splitlines()
    assert "found only membrane in slice 4; leave it out of both stacks, and run unetseg" in line
    assert not Path("work/crossvalidation").exists()


@pytest.mark.slow
def test_what_is_not_of_this_run_is_said(done: Path, cli: Cli):
    fewer = ("crossvalidate", "--folds", 3, "--epochs", 1, "--epoch-size", 4, "--patch", 32)
    shown = cli(*fewer).stderr
    assert "table.md: from a run with other options, outdated as soon as folds" in shown
    assert "held-out-2-4: from a run with other folds, not part of this one" in shown
    assert "held-out-0-0" not in shown


def test_every_slice_is_scored_by_a_network_that_never_saw_it(done: Path):
    for fold, (held_out, training) in {
        "held-out-0-1": ([0, 1], {2, 3, 4}),
        "held-out-2-4": ([2, 3, 4], {0, 1}),
    }.items():
        details = json.loads((done / fold / "preprocessed/manifest.json").read_text())["details"]
        assert details["held_out"] == held_out
        assert set(details["train_sources"]) == training
    rows = list(csv.DictReader((done / "scores.csv").read_text().splitlines()))
    assert [row["of"] for row in rows] == [
        *("fold 0-1", "fold 2-4", "mean", "standard deviation"),
        *(f"slice {z}" for z in range(5)),
    ]
    evaluated = [
        json.loads((done / fold / "evaluation/scores.json").read_text())
        for fold in ("held-out-0-1", "held-out-2-4")
    ]
    values = [scores["v_rand"] for scores in evaluated]
    assert [float(row["v_rand"]) for row in rows[:4]] == pytest.approx(
        [*values, statistics.mean(values), statistics.stdev(values)]
    )
    assert float(rows[8]["v_info"]) == evaluated[1]["slices"][2]["v_info"]
    table = (done / "table.md").read_text()
    assert f"| mean | {statistics.mean(values):.4f} |" in table
    assert table.count("\n| ") == 2 + 2 + 2 + 5 + 1


@pytest.mark.slow
def test_a_rerun_trains_only_what_is_missing(done: Path, cli: Cli):
    kept = done / "held-out-0-1/model/model.keras"
    lost = done / "held-out-2-4/model"
    before, table = kept.stat().st_mtime_ns, (done / "scores.csv").read_text()
    for path in lost.iterdir():
        path.unlink()
    cli(*RUN)
    assert kept.stat().st_mtime_ns == before
    assert (lost / "manifest.json").exists()

    def without_minutes(text: str) -> list[str]:
        return [line.rpartition(",")[0] for line in text.splitlines()]

    assert without_minutes((done / "scores.csv").read_text()) == without_minutes(table)


def test_more_folds_than_slices_are_refused(data: Path, cli: Cli):
    cli("augment", "--copies", 0)
    result = cli("crossvalidate", "--folds", 6, code=1)
    assert (
        "expected a source slice for each of 6 folds, found 5; give fewer --folds" in result.output
    )
