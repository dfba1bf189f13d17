"""Experiments: one file for all stages, and a line for whatever is wrong in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Cli

from unetseg.cli.experiment import read_experiment
from unetseg.options import AugmentOptions, EvaluateOptions, PredictOptions, TrainOptions

WHOLE = """
data = "data"
work = "trials/first"

[evaluate]

[augment]
copies = 1
elastic-sigma = 4
jobs = 1

[preprocess]
held-out = "3-4"

[train]
epochs = 1
batch-size = 2
patch = 64
"""


def written(text: str) -> Path:
    path = Path("trial.toml")
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.slow
def test_stages_run_in_their_order_with_their_options(data: Path, cli: Cli):
    lines = cli("run", written(WHOLE), "--json").stdout.splitlines()
    results = [json.loads(line) for line in lines]
    assert [r["stage"] for r in results] == ["augment", "preprocess", "train", "evaluate"]
    assert [r["folder"] for r in results] == [
        f"trials/first/{name}" for name in ("augmented", "preprocessed", "model", "evaluation")
    ]
    manifest = json.loads(Path("trials/first/augmented/manifest.json").read_text())
    assert manifest["options"]["elastic_sigma"] == 4.0
    assert manifest["options"]["copies"] == 1
    manifest = json.loads(Path("trials/first/preprocessed/manifest.json").read_text())
    assert manifest["details"]["held_out"] == [3, 4]
    again = cli("run", "trial.toml")
    assert again.stdout.count("up to date: nothing to do") == 3  # scoring takes no time
    assert again.stderr.count("== ") == 4


def test_folders_move_the_defaults(tmp_path: Path, cli: Cli):
    text = 'work = "w"\ndata = "d"\n[train]\n[predict]\nmodel = ["m", "n"]\n[augment]\n[evaluate]\n'
    stages = read_experiment(written(text))
    assert stages == {
        "augment": AugmentOptions(
            volume=(Path("d/train-volume.tif"),),
            labels=(Path("d/train-labels.tif"),),
            output=Path("w/augmented"),
        ),
        "train": TrainOptions(input=Path("w/preprocessed"), output=Path("w/model")),
        "predict": PredictOptions(
            model=(Path("m"), Path("n")),
            volume=Path("d/test-volume.tif"),
            output=Path("w/prediction"),
        ),
        "evaluate": EvaluateOptions(prediction=Path("w/model"), output=Path("w/evaluation")),
    }
    assert list(stages) == ["augment", "train", "predict", "evaluate"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[agument]", "expected data, work or the table of a stage, found [agument]; did you mean"),
        ("[train]\nepoch = 3", "[train] expected an option of unetseg train, found epoch; did you"),
        ("[train]\nbatch_size = 3", "found batch_size; did you mean batch-size?"),
        ("[train]\nepochs = 2.5", "[train] epochs: expected a whole number, found 2.5"),
        ("[train]\nepochs = true", "[train] epochs: expected a whole number, found True"),
        ("[train]\nepochs = 0", "[train] epochs is 0, must be at least 1"),
        ("[train]\nnetwork = 'huge'", "[train] network is 'huge', must be one of"),
        ("[predict]\nmodel = [3]", "[predict] model: expected a path, found 3"),
        ("[predict]\ntta = 1", "[predict] tta: expected true or false, found 1"),
        ("work = 3", "work: expected a path, found 3"),
        ("[augment]\nrotation = nan", "[augment] rotation is nan, must be a finite number"),
        ("[predict]\nmodel = []", "[predict] model is empty, must name at least one"),
        ("zzz = 3", "found zzz; there are data, work, [synthesize]"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_runs(cli: Cli, text: str, line: str):
    text = f"[synthesize]\n{text}" if "[" in text else text
    shown = cli("run", written(text), code=2).stderr
    assert shown.count("\n") == 1
    assert "error: trial.toml: " in shown
    assert line in shown
    assert not Path("data").exists()


def test_no_file_and_no_toml(cli: Cli):
    (line,) = cli("run", "nothing.toml", code=1).stderr.splitlines()
    assert "nothing.toml: expected a TOML file, found No such file" in line
    (line,) = cli("run", written("a = "), code=2).stderr.splitlines()
    assert "trial.toml: expected a TOML file, found none (Invalid value (at end of" in line
    for text in ("", "work = 'w'"):
        (line,) = cli("run", written(text), code=2).stderr.splitlines()
        assert "trial.toml: expected the table of a stage such as [train], found none" in line


def test_quiet_verbose_and_both(data: Path, cli: Cli):
    quiet = cli("augment", "--copies", 1, "--jobs", 1, "--quiet")
    assert quiet.output == ""
    shown = cli("augment", "--copies", 1, "--jobs", 1, "--verbose", "--force").stderr
    assert "  --copies 1\n" in shown
    assert "  --volume data/train-volume.tif\n" in shown
    assert "GB of memory at most" in shown
    cli("augment", "--quiet", "--verbose", code=2)
