"""Training that begins with a model: what it takes from there, and who has seen what."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Cli, details_of

from unetseg.artifacts.ancestry import held_out_seen, line_of, slices_seen
from unetseg.artifacts.finding import STARTER, STARTER_FOLDER
from unetseg.artifacts.manifest import Manifest
from unetseg.artifacts.workfolder import Stage, command_of
from unetseg.engine.prediction import load_network, open_model
from unetseg.engine.start import Parent, begin, find_parent, recipe_of
from unetseg.network.recipes import FINE_TUNING, RECIPES
from unetseg.network.unet import LOGITS
from unetseg.options import NOTHING, TrainOptions

SHORT = ("--epochs", 1, "--epoch-size", 4, "--batch-size", 2, "--patch", 64)


def test_it_begins_with_the_weights_of_the_model(model: Path):
    calibration = details_of(model)["calibration"]
    manifest = open_model(model)
    check_start(model, manifest, calibration)
    # As earlier versions wrote it down.
    manifest.details["calibration"] = [calibration["scale"], calibration["shift"]]
    check_start(model, manifest, calibration)
    assert line_of(manifest)[-1]["fitted_on"] == []


def check_start(model: Path, manifest: Manifest, calibration: dict[str, Any]) -> None:
    """See that all weights are those of the model, but for its calibration."""
    start = begin(TrainOptions(from_=model), Parent(model, model, manifest))
    delivered, _ = load_network(model)
    for layer, known in zip(start.model.layers, delivered.layers, strict=True):
        for here, there in zip(layer.get_weights(), known.get_weights(), strict=True):
            if layer.name != LOGITS:
                np.testing.assert_array_equal(here, there)
            elif here.ndim > 1:  # calibration is not what a weighted loss teaches
                np.testing.assert_allclose(here * calibration["scale"], there, rtol=1e-5)
            else:
                calibrated = here * calibration["scale"] + calibration["shift"]
                np.testing.assert_allclose(calibrated, there, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("from_model", [False, True])
@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe: str, from_model: bool):
    parent = Parent.open(STARTER) if from_model else None
    known = {**RECIPES, **FINE_TUNING} if from_model else RECIPES
    assert recipe_of(TrainOptions(recipe=recipe), parent) == known[recipe]
    asked = recipe_of(TrainOptions(recipe=recipe, epochs=7, learning_rate=0.5), parent)
    assert (asked.epochs, asked.learning_rate) == (7, 0.5)


@pytest.mark.parametrize(
    ("options", "details", "expected"),
    [
        ({}, {}, STARTER),
        ({}, {"voxel": [30, 4.2, 3.9]}, STARTER),
        ({}, {"voxel": [40, 8, 8]}, STARTER),
        ({}, {"voxel": [40, 4, 2]}, STARTER),
        ({}, {"voxel": [40, 4, 8.1]}, None),
        ({}, {"voxel": [40, 1.9, 4]}, None),
        ({}, {"normalisation": "of another version"}, None),
        ({"network": "paper"}, {}, None),
        ({"recipe": "paper"}, {}, None),
        ({"from_": NOTHING}, {}, None),
        ({"from_": STARTER}, {"voxel": [40, 30, 30]}, STARTER),
        ({"from_": STARTER, "network": "paper"}, {}, STARTER),  # which is refused later
    ],
)
def test_training_begins_with_the_starter_where_it_fits(
    options: dict[str, Any], details: dict[str, Any], expected: Path | None
):
    known = Parent.open(STARTER)
    prepared = {"normalisation": known.normalisation, "voxel": None, **details}
    parent = find_parent(TrainOptions(**options), prepared)
    assert (parent.name if parent else None) == expected


@pytest.mark.slow
def test_what_a_model_began_with_is_said(model: Path, cli: Cli):
    preprocessed = ("--input", model.parent / "preprocessed")
    shown = cli("train", *SHORT, *preprocessed, "--output", "mine")
    assert "read  starter: compact network, 24 epochs on 424 slices of 216 stacks" in shown.output
    (parent,) = details_of("mine")["ancestors"]
    assert parent["weights_sha256"] == details_of(STARTER_FOLDER)["weights_sha256"]
    stack = model.parent / "train-volume.tif"
    shown = cli("predict", "--model", "mine", "--volume", stack, "--no-tta")
    assert "after a model of 424 slices of 216 stacks, drawn by unetseg synth" in shown.output
    shown = cli("train", *SHORT, *preprocessed, "--from", "nothing", "--output", "other")
    assert "began with random weights" in shown.output
    assert details_of("other")["ancestors"] == []
    # As a report says how to make it again.
    for folder, start in (("mine", "--from starter"), ("other", "--from nothing")):
        manifest = Manifest.read(Path(folder, "manifest.json"))
        assert start in command_of("train", Stage(Path(folder), manifest), base=Path())


@pytest.mark.slow
def test_a_model_names_those_before_it(model: Path, cli: Cli):
    preprocessed = ("--input", model.parent / "preprocessed")
    first = cli("train", *SHORT, *preprocessed, "--from", model, "--output", "first")
    assert "too good" not in first.stderr
    (parent,) = details_of("first")["ancestors"]
    known = details_of(model)
    assert parent["weights_sha256"] == known["weights_sha256"]
    assert parent["data"] == known["data"]
    assert parent["train_slices"] == [0, 1, 2, 3]
    again = cli("train", *SHORT, *preprocessed, "--from", model, "--output", "first")
    assert "nothing to do" in again.output
    # Another block held out: of that slice both models before have learned.
    cli("preprocess", "--input", model.parent / "augmented", "--held-out", "1-1", "--output", "p")
    second = cli("train", *SHORT, "--input", "p", "--from", "first", "--output", "second")
    assert "trained on held-out slice 1: their score will be too good" in second.stderr
    line = details_of("second")["ancestors"]
    assert [one["weights_sha256"] for one in line] == [
        known["weights_sha256"],
        details_of("first")["weights_sha256"],
    ]
    scored = cli("evaluate", "--prediction", "second")
    assert "has learned from slice 1: scores of these are too good" in scored.stderr
    # A stack of the same bytes is the same stack, wherever it lies.
    stack, labels = model.parent / "train-volume.tif", model.parent / "train-labels.tif"
    cli("predict", "--model", "second", "--volume", stack, "--output", "prediction")
    scored = cli("evaluate", "--prediction", "prediction", "--labels", labels, "--output", "e")
    assert "has learned from slices 0-4" in scored.stderr


def test_what_has_not_seen_the_held_out_slices_is_not_warned_of(model: Path, cli: Cli):
    assert "too good" not in cli("evaluate", "--prediction", model).stderr


def test_slices_are_those_of_their_own_stack():
    old = {
        "data": [{"name": "a", "sha256": "A"}, {"name": "la", "sha256": "LA"}],
        "train_slices": [0, 1],
        "fitted_on": [3],
    }
    later = {
        "data": [
            {"name": "b", "sha256": "B", "first": 0, "slices": 5},
            {"name": "lb", "sha256": "LB"},
            {"name": "a", "sha256": "A", "first": 5, "slices": 4},
            {"name": "la", "sha256": "LA"},
        ],
        "held_out": [0, 1, 5, 7, 8],
    }
    assert slices_seen([old], "A") == {0, 1, 3}
    assert slices_seen([old], "LA") == set()
    assert held_out_seen([old], later) == [5, 8]
    both = {**later, "train_slices": [2, 6], "fitted_on": []}
    assert slices_seen([old, both], "A") == {0, 1, 3}
    assert slices_seen([both], "A") == {1}
    assert slices_seen([both], "B") == {2}


def test_another_network_is_refused(model: Path, cli: Cli):
    options = ("--input", model.parent / "preprocessed", "--from", model, "--output", "new")
    (line,) = cli("train", *options, "--network", "paper", code=1).stderr.splitlines()
    assert f"{model}: expected the network to train (base_filters 64," in line
    assert "found base_filters 32, depth 3, stride 2, batch_norm True" in line
    assert "give --network and --recipe as for the model that --from names" in line
    assert not Path("new").exists()


@pytest.mark.parametrize("calibration", [[1.0], [0, 1], {"scale": 1}, "none", {"shift": "x"}, 3])
def test_a_calibration_that_is_none_is_refused(model: Path, cli: Cli, calibration: Any):
    copy = Path("copy")
    shutil.copytree(model, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["details"]["calibration"] = calibration
    (copy / "manifest.json").write_text(json.dumps(manifest))
    stack = model.parent / "train-volume.tif"
    (line,) = cli("predict", "--model", copy, "--volume", stack, code=1).stderr.splitlines()
    assert "copy/manifest.json: expected the settings of a model, found none that this" in line
    cli("evaluate", "--prediction", copy)


def test_another_normalisation_is_refused(model: Path, cli: Cli):
    old = Path("old")
    old.mkdir()
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["details"]["normalisation"] = "slice-standard"
    for output in manifest["outputs"]:
        (old / output["name"]).write_bytes((model / output["name"]).read_bytes())
    (old / "manifest.json").write_text(json.dumps(manifest))
    options = ("--input", model.parent / "preprocessed", "--from", old, "--output", "new")
    (line,) = cli("train", *options, code=1).stderr.splitlines()
    assert "old: expected a model of images that were normalised as here" in line
    assert "found slice-standard, of an earlier version; train that model again" in line


def test_pixels_of_another_size_are_said(model: Path, cli: Cli):
    stacks = ("--volume", model.parent, "--labels", model.parent, "--copies", 0)
    for name, edge in (("fine", 4), ("coarse", 8)):
        cli("augment", *stacks, "--voxel", f"50 {edge} {edge}", "--output", f"{name}/a")
        cli("preprocess", "--input", f"{name}/a", "--output", f"{name}/p")
    cli("train", *SHORT, "--input", "fine/p", "--output", "fine/m")
    shown = cli("train", *SHORT, "--input", "coarse/p", "--from", "fine/m", "--output", "coarse/m")
    assert "fine/m: knows pixels of 4 x 4 nm, and those here are of 8 x 8 nm" in shown.stderr


def test_a_course_goes_on_in_another_folder_alone(model: Path, cli: Cli):
    options = ("--input", model.parent / "preprocessed", "--from", model, "--output", model)
    (line,) = cli("train", *options, code=1).stderr.splitlines()
    assert "expected a folder in which nothing is read" in line
