"""The model that comes with unetseg: it is there, small, found by its name, and good."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import SHARED, Cli, details_of

from unetseg.arrays.metrics import THRESHOLDS, StackScores, score_slice
from unetseg.arrays.synthetic import synthesize
from unetseg.artifacts.finding import STARTER, STARTER_FOLDER, find_model
from unetseg.engine.prediction import load_network
from unetseg.network.saving import hash_weights

ROOT = Path(__file__).parents[2]
MOST_BYTES = 8_000_000
MIDDLE = THRESHOLDS.index(0.5)


def scores_of(cli: Cli, volume: np.ndarray, labels: np.ndarray) -> StackScores:
    """Of what the starter makes of a stack, as a user calls it."""
    tifffile.imwrite("mine.tif", volume, photometric="minisblack", metadata={"axes": "ZYX"})
    cli("predict", "--model", "starter", "--volume", "mine.tif")
    prediction = tifffile.imread("work/prediction/prediction.tif")
    return StackScores.from_slices(
        [
            score_slice(one, label, thresholds=THRESHOLDS)
            for one, label in zip(prediction, labels, strict=True)
        ]
    )


def test_it_is_complete_and_small():
    files = [path for path in STARTER_FOLDER.iterdir() if not path.name.startswith(".")]
    assert {path.name for path in files} == {"model.keras", "manifest.json", "README.md"}
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    network, _ = load_network(find_model(STARTER))
    details = details_of(STARTER_FOLDER)
    assert hash_weights(network) == details["weights_sha256"]
    assert details["synthetic"]
    # No path of the machine on which it was made.
    (learned_from,) = json.loads((STARTER_FOLDER / "manifest.json").read_text())["inputs"]
    assert learned_from["path"] == "../preprocessed/manifest.json"
    assert details["voxel"][1:] == [4.0, 4.0]


def test_its_card_says_what_it_is():
    card = (STARTER_FOLDER / "README.md").read_text(encoding="utf-8")
    assert "drawn by unetseg synthesize" in card
    assert details_of(STARTER_FOLDER)["validation"] in card


def test_a_folder_of_that_name_comes_first(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "starter").mkdir()
    assert find_model(STARTER) == STARTER_FOLDER  # which holds no model
    shutil.copytree(model, "starter", dirs_exist_ok=True)
    assert find_model(STARTER) == STARTER


def test_it_knows_tissue_that_it_was_not_drawn_from(cli: Cli):
    volume, labels = synthesize(slices=2, height=320, width=320, rng=np.random.default_rng(20_000))
    scores = scores_of(cli, volume, labels)
    assert scores.v_rand[MIDDLE] > 0.9
    assert scores.v_info[MIDDLE] > 0.93


@pytest.mark.slow
def test_it_segments_isbi_2012_at_the_middle(cli: Cli):
    folder = SHARED / "data/isbi2012"
    if not folder.is_dir():
        pytest.skip("the stacks of ISBI 2012 are not on this machine")
    chosen = [8, 16, 27]  # the cut was chosen on the first six
    scores = scores_of(
        cli,
        tifffile.imread(folder / "train-volume.tif")[chosen],
        tifffile.imread(folder / "train-labels.tif")[chosen],
    )
    assert scores.v_rand[MIDDLE] > 0.93
    assert scores.v_info[MIDDLE] > 0.965


@pytest.mark.slow
def test_package_and_sources_hold_it_once(tmp_path: Path):
    # Of a copy, so that the folders of a build do not get among the sources.
    kept = shutil.ignore_patterns(".*", "work", "data", "docs", "tests", "*.egg-info", "build")
    shutil.copytree(ROOT, tmp_path / "source", ignore=kept)
    build = "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path / "source", check=True)
    (sources,) = (tmp_path / "source/dist").glob("*.tar.gz")
    (wheel,) = (tmp_path / "source/dist").glob("*.whl")
    with tarfile.open(sources) as archive:
        names = archive.getnames()
    with zipfile.ZipFile(wheel) as package:
        for held in (names, package.namelist()):
            assert sum(name.endswith("model.keras") for name in held) == 1
            assert sum(name.endswith("starter/manifest.json") for name in held) == 1
