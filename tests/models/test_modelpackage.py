"""Packages of bioimage.io."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from conftest import Cli

from unetseg.arrays.intensity import NORMALISATIONS
from unetseg.models import modelcard, modelpackage

pytestmark = pytest.mark.slow


def test_a_package_passes_the_tests_of_bioimage_io(exported: Path):
    from bioimageio import core, spec

    path = exported / "model.bioimageio.zip"
    with modelpackage.quiet():
        described = spec.load_model_description(path)
        status = described.validation_summary.status
        weights = {name for name, entry in described.weights if entry is not None}
        cited = {str(entry.doi) for entry in described.cite}
        del described  # it leaves files open
        # The export itself has run the tests of both weights; these are the quicker ones.
        tested = core.test_model(path, weight_format="onnx").status
    assert (status, tested) == ("valid-format", "passed")
    assert weights == {"keras_v3", "onnx"}
    assert cited == set(modelcard.CITATIONS)


def test_a_package_documents_its_model(exported: Path, model: Path):
    with zipfile.ZipFile(exported / "model.bioimageio.zip") as package:
        text = package.read("README.md").decode()
        assert {entry.date_time for entry in package.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert package.read("weights.keras") == (model / "model.keras").read_bytes()
    details = json.loads((model / "manifest.json").read_text())["details"]
    for fact in (
        "train-volume.tif and train-labels.tif (sha256 " + details["data"][0]["sha256"],
        "**Slices**: 4, slices 0-3",
        "Trained on one stack:",
        "epochs 2",
        "base_filters 32",
        f"V_Rand {details['scores']['v_rand']:.4f}",
        "Slices 4 to 4 (counted from 0) were never trained on",
        "## Limits",
    ):
        assert fact in text


def test_equal_models_give_equal_packages(
    exported: Path, model: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(modelpackage, "check_package", lambda path: "")  # slow, and has been
    options = ("--format", "bioimageio", "--volume", model.parent)
    cli("export", "--model", model, *options)
    again = Path("work/export/model.bioimageio.zip").read_bytes()
    assert again == (exported / "model.bioimageio.zip").read_bytes()
    assert "up to date" in cli("export", "--model", model, *options).stdout


def test_every_normalisation_can_be_told_to_others():
    assert set(NORMALISATIONS) == set(modelpackage.NORMALISATIONS)
    assert all(kind.words for kind in NORMALISATIONS.values())
