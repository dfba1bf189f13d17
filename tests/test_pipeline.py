"""All stages in a row, on stacks as users bring them."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli, prepared

from unetseg.arrays.synthetic import synthesize

TRAIN = ("--epochs", 2, "--epoch-size", 8, "--batch-size", 2, "--patch", 64)


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run_all(cli: Cli, **augment: object) -> None:
    arguments = [part for name, value in augment.items() for part in (f"--{name}", value)]
    cli("augment", *arguments)
    cli("preprocess")
    cli("train", *TRAIN)
    cli("predict")
    cli("evaluate")


@pytest.mark.parametrize("dtype", [pytest.param("uint8", marks=pytest.mark.slow), "uint16"])
def test_odd_sizes_and_16_bit_go_through_every_stage(tmp_path: Path, cli: Cli, dtype: str):
    volume, labels = synthesize(slices=5, height=133, width=217, rng=np.random.default_rng(0))
    if dtype == "uint16":
        volume = volume.astype(np.uint16) * 16 + 300
    data = tmp_path / "data"
    data.mkdir()
    tifffile.imwrite(data / "train-volume.tif", volume)
    tifffile.imwrite(data / "train-labels.tif", labels // 255)
    tifffile.imwrite(data / "test-volume.tif", volume[:2, :65, :99])
    run_all(cli, copies=1)
    prediction = tifffile.imread(tmp_path / "work/prediction/prediction.tif")
    assert prediction.shape == (2, 65, 99)
    assert prediction.dtype == np.float32
    assert 0 <= prediction.min() < prediction.max() <= 1
    augmented = tifffile.imread(tmp_path / "work/augmented/volume.tif")
    assert augmented.shape == (10, 133, 217)
    assert augmented.dtype == dtype
    np.testing.assert_array_equal(augmented[:5], volume)
    assert set(np.unique(tifffile.imread(tmp_path / "work/augmented/labels.tif"))) == {0, 255}


def test_no_copy_of_a_held_out_slice_is_trained_on(data: Path, cli: Cli):
    cli("augment", "--copies", 3)
    cli("preprocess", "--held-out", "1-2")
    details = json.loads(Path("work/preprocessed/manifest.json").read_text())["details"]
    assert details["held_out"] == [1, 2]
    assert sorted(details["train_sources"]) == sorted([0, 3, 4] * 4)
    volume = tifffile.imread("work/augmented/volume.tif").astype(np.float64)
    low, high = np.percentile(volume, (5, 95), axis=(1, 2), keepdims=True)
    standard = (np.clip((volume - low) / (high - low), -1, 2) - 0.5) * 3.2
    np.testing.assert_allclose(prepared("held-out").images, standard[1:3], atol=1e-5)
    chosen = [i for i in range(20) if i % 5 in (0, 3, 4)]
    training = prepared("train")
    np.testing.assert_allclose(training.images, standard[chosen], atol=1e-5)
    labels, weights = training.labels, training.weights
    expected = tifffile.imread("work/augmented/labels.tif")[chosen] // 255
    np.testing.assert_array_equal(labels, expected)
    share = details["interior_share"]
    assert expected.mean() == pytest.approx(share)
    np.testing.assert_allclose(weights[labels == 1], 0.5 / share, rtol=1e-6)
    assert weights[labels == 0].min() >= 0.5 / (1 - share) * (1 - 1e-6)


@pytest.mark.slow
def test_same_seed_same_bytes_whatever_the_jobs(data: Path, cli: Cli):
    for jobs in (1, 2, 3):
        cli("augment", "--copies", 2, "--jobs", jobs, "--output", f"a{jobs}")
        cli("preprocess", "--input", f"a{jobs}", "--jobs", jobs, "--output", f"p{jobs}")
    assert outputs(Path("a1")) == outputs(Path("a2")) == outputs(Path("a3"))
    arrays = [
        {k: v for k, v in outputs(Path(p)).items() if k != "manifest.json"}
        for p in ("p1", "p2", "p3")
    ]
    assert arrays[0] == arrays[1] == arrays[2]
    cli("augment", "--copies", 2, "--seed", 1, "--output", "other")
    assert outputs(Path("other"))["volume.tif"] != outputs(Path("a1"))["volume.tif"]


@pytest.mark.slow
def test_evaluate_scores_held_out_slices_as_predict_would(data: Path, cli: Cli):
    run_all(cli, copies=1)
    model = Path("work/model")
    tifffile.imwrite("held-out.tif", tifffile.imread(data / "train-volume.tif")[4:])
    cli("predict", "--volume", "held-out.tif", "--output", "again")
    held_out = tifffile.imread(model / "held-out-prediction.tif")
    np.testing.assert_array_equal(tifffile.imread("again/prediction.tif"), held_out)

    scores = json.loads(Path("work/evaluation/scores.json").read_text())
    printed = cli("evaluate", "--json", "--output", "e").stdout
    assert json.loads(printed).items() >= scores.items()
    assert len(scores["curves"]["v_rand"]) == 11
    assert scores["v_rand"] == max(scores["curves"]["v_rand"])
    labels = ("--labels", model / "held-out-labels.tif", "--output", "f", "--json")
    again = cli("evaluate", "--prediction", "again", *labels)
    assert json.loads(again.stdout).items() >= scores.items()


@pytest.mark.slow
def test_the_model_folder_explains_itself(data: Path, cli: Cli):
    cli("augment", "--copies", 0)
    cli("preprocess")
    shown = cli(
        "train",
        "--epochs",
        3,
        "--epoch-size",
        8,
        "--score-every",
        2,
        "--patch",
        64,
        "--select",
        "best",
    )
    assert "epoch 2/3  loss" in shown.stderr
    assert "held-out V_Rand" in shown.stderr
    manifest = json.loads(Path("work/model/manifest.json").read_text())
    assert manifest["options"]["select"] == "best"
    assert manifest["details"]["kept_epoch"] in (2, 3)
    assert manifest["details"]["network"]["base_filters"] == 32
    with Path("work/model/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [bool(row["v_rand"]) for row in rows] == [False, True, True]
    assert Path("work/model/curves.png").read_bytes().startswith(b"\x89PNG")
    cli("evaluate")
    scores = json.loads(Path("work/evaluation/scores.json").read_text())
    assert manifest["details"]["scores"] == {
        key: scores[key] for key in manifest["details"]["scores"]
    }


@pytest.mark.slow
def test_a_model_folder_travels_alone(data: Path, cli: Cli, tmp_path: Path):
    cli("augment", "--copies", 1)
    cli("preprocess")
    cli("train", *TRAIN)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree("work/model", elsewhere)
    shutil.rmtree("work")
    volume = data / "test-volume.tif"
    shown = cli("predict", "--model", elsewhere, "--volume", volume, "--output", "p").stdout
    hashes = {
        name: hashlib.sha256((data / name).read_bytes()).hexdigest()
        for name in ("train-volume.tif", "train-labels.tif")
    }
    details = json.loads((elsewhere / "manifest.json").read_text())["details"]
    assert {source["name"]: source["sha256"] for source in details["data"]} == hashes
    assert details["train_slices"] == [0, 1, 2, 3]
    assert (
        f"{elsewhere}: compact network, 2 epochs on 4 slices of train-volume.tif and "
        "train-labels.tif, after a model of 424 slices of 216 stacks, drawn by unetseg synthesize; "
        f"held-out V_Rand {details['scores']['v_rand']:.4f}" in shown
    )


@pytest.mark.slow
def test_training_on_all_slices_leaves_nothing_to_score(data: Path, cli: Cli):
    cli("augment", "--copies", 0)
    cli("preprocess", "--held-out", "none")
    cli("train", *TRAIN)
    (line,) = cli("evaluate", code=1).stderr.splitlines()
    assert "one trained on all of them" in line
    cli("train", *TRAIN, "--select", "best", "--output", "b", code=2)
    cli("report")
    page = Path("work/report/report.html").read_text(encoding="utf-8")
    assert "No slices were held out" in page
    assert 'id="slices"' not in page


def test_a_perfect_prediction_scores_one(data: Path, cli: Cli):
    labels = tifffile.imread(data / "test-labels.tif")
    tifffile.imwrite("perfect.tif", (labels / 255).astype(np.float32))
    perfect = ("--prediction", "perfect.tif", "--labels", data, "--json")
    scores = json.loads(cli("evaluate", *perfect).stdout)
    assert scores["pixel_error"] == 0
    assert scores["v_rand"] > 0.99
    tifffile.imwrite("grey.tif", labels)
    (line,) = cli(
        "evaluate", "--prediction", "grey.tif", "--labels", data, code=1
    ).stderr.splitlines()
    assert "expected probabilities from 0 to 1, found 0 to 255 in slice 0" in line


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch, the other backend, is not installed"
)
def test_the_torch_backend_trains_and_predicts(data: Path, tmp_path: Path, cli: Cli):
    cli("augment", "--copies", 0)
    cli("preprocess")
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    for command in (("train", *TRAIN), ("predict",)):
        subprocess.run(
            [sys.executable, "-m", "unetseg", *map(str, command)],
            cwd=tmp_path,
            env=environment,
            check=True,
            timeout=300,
        )
    details = json.loads(Path("work/model/manifest.json").read_text())["details"]
    assert details["backend"] == "torch"
    # A model is its weights: what one backend trained, another predicts with.
    torch = tifffile.imread("work/prediction/prediction.tif")
    cli("predict", "--output", "here")
    np.testing.assert_allclose(tifffile.imread("here/prediction.tif"), torch, atol=1e-4)
