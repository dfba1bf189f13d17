"""Training as a stage: killed, refused, diverged."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Cli

TRAIN = ("train", "--epochs", "8", "--patch", "64", "--batch-size", "2", "--score-every", "3")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "unetseg", *arguments]


def weights_hash(folder: Path) -> str:
    manifest = json.loads((folder / "manifest.json").read_text())
    return str(manifest["details"]["weights_sha256"])


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_killed_training_goes_on_to_the_same_weights(data: Path, tmp_path: Path, cli: Cli):
    cli("augment", "--copies", 3)
    cli("preprocess")
    cli(*TRAIN, "--output", "undisturbed")
    killed = tmp_path / "killed"
    resumed = 0
    for _ in range(3):
        with subprocess.Popen(
            command(*TRAIN, "--output", "killed"), cwd=tmp_path, stderr=subprocess.PIPE, text=True
        ) as run:
            for line in run.stderr or ():
                resumed += line.startswith("going on after epoch")
                if re.match(r"epoch \d/8", line):
                    # Some way into the next epoch, or into the writing of its checkpoint.
                    time.sleep(0.05)
                    run.kill()
        assert not (killed / "manifest.json").exists()
    assert resumed == 2
    done = subprocess.run(
        command(*TRAIN, "--output", "killed"), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert weights_hash(killed) == weights_hash(tmp_path / "undisturbed")
    assert history(killed) == history(tmp_path / "undisturbed")
    assert not list(killed.glob(".*"))


@pytest.mark.slow
def test_an_unfinished_run_is_not_thrown_away_by_other_options(
    data: Path, cli: Cli, tmp_path: Path
):
    cli("augment", "--copies", 1)
    cli("preprocess")
    with subprocess.Popen(command(*TRAIN), cwd=tmp_path, stderr=subprocess.PIPE, text=True) as run:
        next(line for line in run.stderr or () if line.startswith("epoch 1/8"))
        run.kill()
    other = (*TRAIN, "--learning-rate", "0.01")
    result = cli(*other, code=1)
    assert "an unfinished run of the same options" in result.output
    assert "learning_rate" in result.output
    cli(*other, "--force")
    assert not list((tmp_path / "work/model").glob(".*"))


@pytest.mark.slow
def test_a_run_that_diverges_leaves_the_earlier_model(data: Path, cli: Cli, tmp_path: Path):
    cli("augment", "--copies", 1)
    cli("preprocess")
    cli(*TRAIN)
    before = weights_hash(tmp_path / "work/model")
    result = cli(*TRAIN, "--learning-rate", 1e30, code=1)
    assert "not finite since" in result.output
    assert weights_hash(tmp_path / "work/model") == before
    cli("predict")
    # The course that diverged does not stand in the way of a better one.
    cli(*TRAIN, "--learning-rate", 1e-4)
