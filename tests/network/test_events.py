"""Learning curves for TensorBoard, read back by TensorFlow itself."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli

from unetseg.errors import TrainingError
from unetseg.network.events import write_events

EVENTS = "events.out.tfevents"
TRAIN = ("train", "--epochs", 3, "--epoch-size", 4, "--batch-size", 2, "--patch", 64)
ROWS = [
    {"epoch": 1, "time": 1e9, "loss": 0.7, "learning_rate": 1e-3, "v_rand": None, "v_info": None},
    {"epoch": 2, "time": 1e9 + 9.5, "loss": 0.5, "learning_rate": 0, "v_rand": 0.9, "v_info": 0.8},
]


def read(path: Path) -> list[tuple[int, float, dict[str, float]]]:
    """Step, time and values of every event but the first, which says what follows."""
    import tensorflow as tf

    first, *events = tf.compat.v1.train.summary_iterator(str(path))
    assert first.file_version == "brain.Event:2"
    return [
        (e.step, e.wall_time, {value.tag: value.simple_value for value in e.summary.value})
        for e in events
    ]


def test_values_are_those_of_the_history(tmp_path: Path):
    write_events(tmp_path / EVENTS, ROWS)
    (step, began, first), (later, ended, last) = read(tmp_path / EVENTS)
    assert (step, later, began, ended) == (1, 2, 1e9, 1e9 + 9.5)
    # In single precision, as they are in the file.
    assert first == {"loss": np.float32(0.7), "learning_rate": np.float32(1e-3)}
    assert last == {
        "loss": 0.5,
        "learning_rate": 0,
        "held_out/v_rand": np.float32(0.9),
        "held_out/v_info": np.float32(0.8),
    }


def test_the_file_grows_under_who_reads_it(tmp_path: Path):
    path = tmp_path / EVENTS
    write_events(path, ROWS[:1])
    with path.open("rb") as reader:
        begin = reader.read()
        write_events(path, ROWS)
        rest = reader.read()
    assert rest
    assert begin + rest == path.read_bytes()


def scalars(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """What the model's folder has for TensorBoard, without the time."""
    return [(step, values) for step, _, values in read(folder / EVENTS)]


def as_events(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """The same, from history.csv."""
    names = {"v_rand": "held_out/v_rand", "v_info": "held_out/v_info"}
    with (folder / "history.csv").open() as file:
        return [
            (
                int(row["epoch"]),
                {
                    names.get(key, key): float(np.float32(row[key]))
                    for key in ("loss", "learning_rate", "v_rand", "v_info")
                    if row[key]
                },
            )
            for row in csv.DictReader(file)
        ]


def details(folder: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(Path(folder, "manifest.json").read_text())
    return manifest


def test_curves_are_an_output_and_change_no_weights(data: Path, cli: Cli):
    cli("augment", "--copies", 0)
    cli("preprocess")
    cli(*TRAIN, "--output", "plain")
    cli(*TRAIN, "--score-every", 2, "--tensorboard", "--output", "shown")
    plain, shown = details("plain"), details("shown")
    assert shown["details"]["weights_sha256"] == plain["details"]["weights_sha256"]
    assert EVENTS in [output["name"] for output in shown["outputs"]]
    assert EVENTS not in [output["name"] for output in plain["outputs"]]
    assert scalars(Path("shown")) == as_events(Path("shown"))
    assert [len(values) for _, values in scalars(Path("shown"))] == [2, 4, 4]
    # Hours are not spent again for a drawing.
    assert "comes with --force" in cli(*TRAIN, "--tensorboard", "--output", "plain").output
    # Who trains again without has none.
    cli(*TRAIN, "--score-every", 2, "--force", "--output", "shown")
    assert not Path("shown", EVENTS).exists()


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(True, True), (True, False), (False, True)])
def test_a_run_that_was_killed_goes_on_with_its_curves(
    data: Path, cli: Cli, tmp_path: Path, before: bool, after: bool
):
    cli("augment", "--copies", 0)
    cli("preprocess")
    command = [sys.executable, "-m", "unetseg", *map(str, TRAIN)]
    asked = ["--tensorboard"] if before else []
    with subprocess.Popen(
        [*command, *asked], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as run:
        next(line for line in run.stderr or () if line.startswith("epoch 2/3"))
        run.kill()
    begun = Path("work/model/.unfinished", EVENTS)
    assert begun.exists() == before
    if before:  # it died while it wrote
        begun.write_bytes(begun.read_bytes()[:-7])
    result = cli(*TRAIN, *(["--tensorboard"] if after else []))
    assert "resuming after epoch" in result.output
    folder = Path("work/model")
    assert (folder / EVENTS).exists() == after
    if after:
        assert scalars(folder) == as_events(folder)
        assert [step for step, _ in scalars(folder)] == [1, 2, 3]


def test_a_run_that_diverged_leaves_no_curves_that_refuse_the_next(
    data: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    losses = iter([0.5])

    def train_epoch(*_: Any) -> float:
        for loss in losses:
            return loss
        assert Path("work/model/.unfinished", EVENTS).exists()
        raise TrainingError("not finite")

    monkeypatch.setattr("unetseg.network.training.Trainer._train_epoch", train_epoch)
    cli("augment", "--copies", 0)
    cli("preprocess")
    cli(*TRAIN, "--tensorboard", code=1)
    assert not list(Path("work").glob("model/.*"))


@pytest.mark.slow
def test_other_backends_are_refused_in_one_line(data: Path, cli: Cli, tmp_path: Path):
    pytest.importorskip("torch")
    cli("augment", "--copies", 0)
    cli("preprocess")
    done = subprocess.run(
        [sys.executable, "-m", "unetseg", "train", "--tensorboard"],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert "--tensorboard: expected the TensorFlow backend of Keras, found torch" in line
    assert not Path("work/model").exists()
