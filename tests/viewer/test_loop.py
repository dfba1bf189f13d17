"""The window that predicts, paints and trains, driven by its buttons and the mouse."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli, Stacks, details_of, read
from screens import run_on_a_screen

from unetseg.arrays.suggesting import Place
from unetseg.artifacts.manifest import open_stage
from unetseg.artifacts.suggestions import read_places

pytestmark = pytest.mark.slow

DRIVING = Path(__file__).with_name("driving.py")
STACK = "data/stack.tif"


@pytest.fixture
def stack(tiny: Stacks, cli: Cli) -> np.ndarray:
    """Five slices of 64 x 96, in the folder that windows are opened in."""
    Path("data").mkdir()
    tifffile.imwrite(STACK, tiny[0], metadata={"axes": "ZYX"})
    return tiny[0]


def drive(scene: str, *, dies: bool = False) -> list[dict[str, Any]]:
    """Play a scene; what the window showed on the way."""
    shown = run_on_a_screen(DRIVING, scene, STACK, dies=dies)
    reports: list[dict[str, Any]] = json.loads(shown.splitlines()[-1])
    return reports


def sha256(pixels: np.ndarray) -> str:
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def test_round_and_round(stack: np.ndarray, cli: Cli):
    opened, predicted, trained = drive("go_round")
    assert list(opened["layers"]) == ["image", "painted"]
    assert opened["layers"]["image"]["sha256"] == sha256(stack)
    assert opened["layers"]["painted"]["values"] == [0]

    def pixels(model: str, output: str) -> np.ndarray:
        paths = ("--model", model, "--volume", STACK, "--output", output)
        cli("predict", *paths, "--no-tta")
        return read(Path(output, "prediction.tif"))

    first, last = pixels("starter", "first"), pixels("work/model", "last")
    assert predicted["layers"]["probability"]["sha256"] == sha256(first)
    assert predicted["command"].startswith("unetseg predict --model starter --volume ")
    # Two strokes in one slice, and nobody has labelled the others.
    painted = read(Path("work/drawn/painted.tif"))
    assert np.unique(painted[1]).tolist() == [0, 127, 255]
    assert (painted[1, 20, 20:70] == 0).all()
    assert (painted[1, 45, 20:70] == 255).all()
    assert (painted[1, [5, 32, 58]] == 127).all()
    assert (painted[[0, 2, 3, 4]] == 127).all()
    # The layer has changed, on the way and at the end, when it is what the shell gets.
    assert trained["seen"][:1] == [1]
    assert trained["layers"]["probability"]["sha256"] == sha256(last)
    assert np.abs(first - last).max() > 0.01
    assert (trained["epochs"], trained["model"]) == (2, "work/model")
    assert trained["status"].startswith("saved: work/drawn/painted.tif, work/model, work/predic")
    assert details_of("work/model")["train_slices"] == [1]
    for stage in ("augment", "preprocess", "train", "predict"):
        name = {"augment": "augmented", "train": "model", "predict": "prediction"}
        open_stage(Path("work", name.get(stage, "preprocessed")), stage=stage, fresh=True)
    # The shell goes on where the window has stopped.
    assert trained["command"] == "unetseg run work/train.toml"
    assert cli("run", "work/train.toml").stdout.count("up to date") == 4


def test_from_place_to_place(stack: np.ndarray, cli: Cli):
    # As the shell names them.
    asked = ("suggest", "--volume", STACK, "--count", 2, "--patch", 32)
    cli(*asked, "--model", "starter", "--output", "first")
    busy, first, second, again, trained = drive("follow_places")
    assert busy["busy"]
    for number, shown in enumerate((first, second)):
        check_place(shown, read_places(Path("first")), number)
        assert shown["asked"] == 1
        assert shown["command"].startswith("unetseg suggest --model starter --volume ")
        assert "--labels" not in shown["command"]
    # What is painted is no place any more, for the same model and for the one that learned from it.
    labels = read(Path("work/drawn/suggest-labels.tif"))
    place, _ = read_places(Path("first"))
    assert np.unique(labels[place.index][place.box]).tolist() == [0, 127, 255]
    labels[place.index][place.box] = 127
    assert (labels == 127).all()
    told = ("--labels", "work/drawn/suggest-labels.tif")
    for number, (shown, model) in enumerate(((again, "starter"), (trained, "work/model")), 2):
        cli(*asked, "--model", model, *told, "--output", model.replace("work/", "by-"))
        check_place(shown, read_places(Path(model.replace("work/", "by-"))), 0)
        assert shown["asked"] == number
    places = read_places(Path("work/suggestions"))
    assert places == read_places(Path("by-model"))
    assert place.centre not in [other.centre for other in places]


def check_place(shown: dict[str, Any], places: list[Place], number: int) -> None:
    """The place is in the middle of the window, outlined, and the strokes still go to `painted`."""
    place = places[number]
    index, *middle = shown["middle"]
    assert index == place.index
    np.testing.assert_allclose(middle, place.centre[1:], atol=1)
    assert min(shown["seen"]) == pytest.approx(2 * 32, abs=2)
    ends = [
        [[p.index, p.top - 0.5, p.left - 0.5], [p.index, p.top + 31.5, p.left + 31.5]]
        for p in places
    ]
    assert shown["outlines"] == ends
    others = [colour for i, colour in enumerate(shown["colours"]) if i != number]
    assert shown["colours"][number] not in others
    assert shown["active"] == "painted"
    assert shown["status"].startswith(f"place {number + 1} of 2, in slice {place.index}: ")


def test_a_stroke_outlives_the_window(stack: np.ndarray):
    drive("close_at_once")
    assert (read(Path("work/drawn/painted.tif"))[1, 45, 20:70] == 255).all()


def test_killed_and_opened_again(stack: np.ndarray, cli: Cli):
    (killed,) = drive("die", dies=True)
    said = Path("work/loop.log").read_text()
    gone_on = int(re.findall(r"resuming after epoch (\d+)", said)[0])
    assert gone_on >= killed["epochs"] >= 1
    opened, finished, corrected, stopped = drive("come_back")
    assert opened["layers"]["painted"]["values"] == [0, 1, 2]
    assert opened["options"].startswith("--epochs 4 --epoch-size")
    assert details_of("work/model-1")["epochs_run"] == 4
    assert finished["model"] == "work/model"
    assert "probability" in finished["layers"]
    # One slice was corrected, another one said to be right.
    assert corrected["changed"] == [3]
    assert corrected["status"] == "2 slices of cells to train on"
    numbers, cells = read(Path("work/drawn/corrected.tif")), read(Path("work/cells/labels.tif"))
    assert (numbers[:3] == 65535).all()
    assert (numbers[3] == 999).any()
    assert np.array_equal(numbers[3] == 999, numbers[3] != cells[3])
    np.testing.assert_array_equal(numbers[4], cells[4])
    details, options = (
        details_of("work/model"),
        open_stage(Path("work/augmented"), stage="augment", fresh=True).options,
    )
    assert (options["labels_as"], options["unlabelled"]) == ("cells", 65535)
    assert (read(Path("work/augmented/labels.tif"))[:3] == 127).all()
    assert details["train_slices"] == [3, 4]
    assert 1 <= details["epochs_run"] < 9
    assert len(details["ancestors"]) == len(details_of("work/model-1")["ancestors"]) + 1
    prediction = read(Path("work/prediction/prediction.tif"))
    assert stopped["layers"]["probability"]["sha256"] == sha256(prediction)
