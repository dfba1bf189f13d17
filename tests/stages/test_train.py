"""Training as a stage: killed, refused, diverged; what it learns from, scores and keeps."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli
from pixelwise import build_pixelwise
from scipy.special import expit, logit

from unetseg.arrays.metrics import score_slice
from unetseg.engine import course as running
from unetseg.engine import prediction, start
from unetseg.engine.calibrator import find_cut
from unetseg.network.batches import Slices
from unetseg.network.calibration import calibrate, rescale
from unetseg.network.inference import prepare
from unetseg.options import TrainOptions
from unetseg.progress import Silent

COURSE = ("train", "--patch", "64", "--batch-size", "2", "--score-every", "3", "--epoch-size", "16")
TRAIN, SHORT = (*COURSE, "--epochs", "8"), (*COURSE, "--epochs", "2")


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
    for _ in range(2):
        with subprocess.Popen(
            command(*TRAIN, "--output", "killed"), cwd=tmp_path, stderr=subprocess.PIPE, text=True
        ) as run:
            for line in run.stderr or ():
                resumed += line.startswith("resuming after epoch")
                if re.match(r"epoch \d/8", line):
                    # Some way into the next epoch, or into the writing of its checkpoint.
                    time.sleep(0.05)
                    run.kill()
        assert not (killed / "manifest.json").exists()
    assert resumed == 1
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
    cli(*SHORT)
    before = weights_hash(tmp_path / "work/model")
    result = cli(*SHORT, "--learning-rate", 1e30, code=1)
    assert "not finite since" in result.output
    assert weights_hash(tmp_path / "work/model") == before
    cli("predict")
    # The course that diverged does not stand in the way of a better one.
    cli(*SHORT, "--learning-rate", 1e-4)


class Watcher(Silent):
    """Keeps the weights of a course whenever it says something, which it does after each epoch."""

    def __init__(self) -> None:
        self.weights: list[list[np.ndarray]] = []
        self.course: Any = None

    def say(self, line: str) -> None:
        """Look at the weights."""
        if line.startswith("epoch"):
            self.weights.append(self.course.model.get_weights())


Course = Callable[..., Watcher]


@pytest.fixture(scope="session")
def slices(tiny: tuple[np.ndarray, np.ndarray]) -> Slices:
    """Whole slices, whose membrane weighs five times as much as their interior."""
    volume, labels = tiny
    images = ((volume - volume.mean()) / volume.std()).astype(np.float32)
    weights = np.where(labels, 1, 5).astype(np.float32)
    return Slices(images, (labels > 0).astype(np.uint8), weights)


@pytest.fixture
def course(slices: Slices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    """Begin a course that trains two weights on four slices, and holds out the fifth."""

    def begin(*, kernel: float = 1, bias: float = 0, **options: Any) -> Watcher:
        for module in (start, prediction):
            monkeypatch.setattr(
                module, "build_network", lambda *_, **settings: build_pixelwise(kernel, bias)
            )
        training, held_out = (
            Slices(slices.images[part], slices.labels[part], slices.weights[part])
            for part in (np.s_[:4], np.s_[4:])
        )
        watcher = Watcher()
        settings = TrainOptions(epoch_size=4, **options)
        watcher.course = running.Course(
            settings,
            start.begin(settings, None),
            training,
            list(range(4)),
            held_out,
            tmp_path / "checkpoint.npz",
            watcher,
            onlooker=None,
            precision="float32",  # on any machine
        )
        return watcher

    return begin


@pytest.mark.parametrize(("recipe", "membrane_weight"), [("default", 5), ("paper", 1)])
def test_the_weight_maps_count_where_the_recipe_says(
    course: Course, slices: Slices, recipe: str, membrane_weight: float
):
    # It begins with 3 : 1 for interior, which costs ln 4/3 inside cells and ln 4 on membrane.
    watcher = course(kernel=0, bias=np.log(3), recipe=recipe, epochs=1)
    watcher.course.run()
    (epoch,) = watcher.course.history
    interior = slices.labels[:4].mean()
    expected = interior * np.log(4 / 3) + (1 - interior) * membrane_weight * np.log(4)
    assert epoch["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_every_epoch_is_scored_as_it_would_be_delivered(
    course: Course, slices: Slices, recipe: str
):
    # At a rate that stays high, so that no two epochs are alike.
    watcher = course(recipe=recipe, epochs=4, score_every=1, learning_rate=0.3)
    watcher.course.run()
    model = build_pixelwise(0, 0)
    run = prepare(model)
    scored = []
    for weights, row in zip(watcher.weights, watcher.course.history, strict=True):
        model.set_weights(weights)
        if recipe == "default":
            fitted = Slices(slices.images[:4], slices.labels[:4], slices.weights[:4])
            found = calibrate(run, fitted)
            assert found is not None
            rescale(model, *found)
            rescale(model, 1, -logit(find_cut(run, fitted)))
        scores = score_slice(
            run(slices.images[4]), slices.labels[4], thresholds=running.PROGRESS_THRESHOLDS
        )
        assert row["v_rand"] == pytest.approx(max(one.rand.value for one in scores))
        assert row["v_info"] == pytest.approx(max(one.information.value for one in scores))
        scored.append(model.get_weights())
    if recipe == "paper":  # calibrated, two weights come to the same whatever they were
        assert len({row["v_rand"] for row in watcher.course.history}) > 1
    for delivered, last in zip(watcher.course.model.get_weights(), scored[-1], strict=True):
        np.testing.assert_allclose(delivered, last, rtol=1e-5)


def mean_probability(run: Callable[[np.ndarray], np.ndarray], slices: Slices) -> float:
    """Of interior, over the slices that are trained on."""
    return float(np.mean([run(image) for image in slices.images[:4]]))


def test_training_ends_with_probabilities_moved_to_the_cut(course: Course, slices: Slices):
    watcher = course(epochs=20, score_every=20, learning_rate=0.3)
    watcher.course.run()
    interior = slices.labels[:4].mean()
    delivered, cut = watcher.course.predictor.run, watcher.course.calibrator.cut

    def probability(image: np.ndarray) -> np.ndarray:
        return expit(logit(delivered(image)) + logit(cut))

    assert mean_probability(probability, slices) == pytest.approx(interior, abs=0.02)
    # As trained, it exaggerated membrane.
    model = build_pixelwise(0, 0)
    model.set_weights(watcher.weights[-1])
    assert mean_probability(prepare(model), slices) < interior - 0.1


def test_a_model_folder_says_how_outputs_were_changed(model: Path):
    details = json.loads((model / "manifest.json").read_text())["details"]
    # Of four slices to train on, none can be spared.
    calibration = details["calibration"]
    assert (calibration["fitted_on"], calibration["trained_on"]) == ([0, 1, 2, 3], True)
    interior = tifffile.imread(model / "held-out-labels.tif").mean() / 255
    # Without calibration it is 0.47, after these two epochs.
    moved = logit(tifffile.imread(model / "held-out-prediction.tif")) + logit(calibration["cut"])
    assert expit(moved).mean() == pytest.approx(interior, abs=0.1)


def test_what_cannot_be_calibrated_is_said_and_kept(course: Course, slices: Slices):
    class Warned(Watcher):
        lines: list[str] = []  # noqa: RUF012  # of this one test

        def warn(self, line: str) -> None:
            self.lines.append(line)

    watcher = course(epochs=1)
    watcher.course._progress = warned = Warned()
    warned.course = watcher.course
    # All membrane: no scale makes a probability of that.
    slices.labels[:4], kept = 0, slices.labels[:4].copy()
    watcher.course.run()
    slices.labels[:4] = kept
    assert ["could not be calibrated" in line for line in warned.lines] == [True]
    assert watcher.course.calibrator.describe() is None
    for delivered, trained in zip(
        watcher.course.model.get_weights(), warned.weights[0], strict=True
    ):
        np.testing.assert_array_equal(delivered, trained)


def prepare_scores(monkeypatch: pytest.MonkeyPatch, *scores: float) -> None:
    """Let each of the coming epochs have this V_Rand; where they end, the run is interrupted."""
    coming = iter(scores)

    def score(*_: Any) -> tuple[float, float]:
        for v_rand in coming:
            return v_rand, 0.5
        raise KeyboardInterrupt

    monkeypatch.setattr(running.Course, "_score", score)


def epochs_kept(course: Any, weights: list[list[np.ndarray]]) -> list[int]:
    """Whose weights model and predictor have, but for the calibration, of these epochs."""
    scale, shift = course.calibrator.found
    found = [*course.model.get_weights(), *course.predictor.network.get_weights()]
    return [
        epoch
        for epoch, (kernel, bias) in enumerate(weights, start=1)
        if all(map(np.allclose, found, [kernel * scale, bias * scale + shift] * 2))
    ]


@pytest.mark.parametrize(("select", "kept"), [("last", 3), ("best", 2)])
def test_the_weights_that_are_selected_are_kept(
    course: Course, monkeypatch: pytest.MonkeyPatch, select: str, kept: int
):
    prepare_scores(monkeypatch, 0.5, 0.9, 0.7)
    watcher = course(select=select, epochs=3, score_every=1)
    watcher.course.run()
    assert watcher.course.kept_epoch == kept
    assert epochs_kept(watcher.course, watcher.weights) == [kept]


def test_the_best_weights_outlast_an_interruption(course: Course, monkeypatch: pytest.MonkeyPatch):
    settings = {"select": "best", "epochs": 3, "score_every": 1}
    prepare_scores(monkeypatch, 0.9, 0.5)
    begun = course(**settings)
    with pytest.raises(KeyboardInterrupt):
        begun.course.run()
    prepare_scores(monkeypatch, 0.7)
    resumed = course(**settings)
    resumed.course.run()
    assert resumed.course.kept_epoch == 1
    assert epochs_kept(resumed.course, [*begun.weights, *resumed.weights]) == [1]
