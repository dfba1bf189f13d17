"""Export: what other programs run gives the numbers of the model, or is not handed over."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tifffile
from conftest import Cli

from unetseg.arrays.intensity import NORMALISATIONS, Standardisation
from unetseg.arrays.synthetic import synthesize
from unetseg.artifacts.manifest import Manifest
from unetseg.engine.prediction import Predictor, build_network, load_network
from unetseg.errors import UnetsegError
from unetseg.models import modelcard, modelpackage
from unetseg.models.exporting import open_onnx, open_saved_model, write_onnx, write_saved_model
from unetseg.network.inference import prepare
from unetseg.network.recipes import NETWORKS
from unetseg.stages import export as stage

DOCUMENT = Path(__file__).parents[1] / "docs/export.md"
NAMES = {"onnx": "model.onnx", "savedmodel": "saved_model", "bioimageio": "model.bioimageio.zip"}


def need(form: str) -> None:
    """Skip where what a format takes is not installed."""
    if form == "bioimageio":
        try:
            # Imported in any other way it changes the backend for all that follows.
            modelpackage.import_bioimageio(keras.backend.backend())
        except UnetsegError:
            pytest.skip("needs unetseg[export]")
    if form != "savedmodel":
        pytest.importorskip("onnx", reason="needs unetseg[export]")
        pytest.importorskip("onnxruntime", reason="needs unetseg[export]")


@pytest.fixture(params=NAMES)
def form(request: pytest.FixtureRequest) -> str:
    need(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in every format that can be written here."""
    from click.testing import CliRunner

    from unetseg.cli.commands import main

    need("bioimageio")
    folder = tmp_path_factory.mktemp("exported")
    formats = [part for name in NAMES for part in ("--format", name)]
    paths = ("--model", model, "--volume", model.parent, "--output", folder)
    result = CliRunner().invoke(main, ["export", *map(str, paths), *formats])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def run(model: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The model as it was trained, as a function of standardised slices (N, H, W, 1)."""
    one = prepare(load_network(model)[0])
    return lambda images: np.stack([one(image[..., 0]) for image in images])[..., None]


def random_slices(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((*shape, 1), np.float32)


OPENERS = {"model.onnx": open_onnx, "saved_model": open_saved_model}


@pytest.mark.parametrize("name", OPENERS)
@pytest.mark.parametrize("shape", [(1, 16, 16), (1, 64, 96), (3, 144, 32)])
def test_batch_height_and_width_are_free(
    exported: Path, run: Callable[..., Any], name: str, shape: tuple[int, ...]
):
    images = random_slices(*shape)
    np.testing.assert_allclose(OPENERS[name](exported / name)(images), run(images), atol=1e-5)


def test_the_named_signature_of_a_savedmodel(exported: Path, run: Callable[..., Any]):
    import tensorflow as tf

    images = random_slices(2, 32, 48)
    network = tf.saved_model.load(str(exported / "saved_model"))
    outputs = network.signatures["serving_default"](image=tf.constant(images))
    assert list(outputs) == ["interior"]
    np.testing.assert_allclose(outputs["interior"].numpy(), run(images), atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("write", [write_onnx, write_saved_model])
def test_both_networks_survive_with_all_their_layers(
    tmp_path: Path, name: str, write: Callable[..., None]
):
    need("onnx")
    settings = dataclasses.replace(NETWORKS[name], base_filters=4)
    model = build_network(settings, seed=0)
    rng = np.random.default_rng(0)
    # Moments, gains and biases that are not 0 or 1, as after training.
    model.set_weights(
        [
            w if w.ndim > 1 else w + 0.1 * rng.random(w.shape, np.float32)
            for w in model.get_weights()
        ]
    )
    images = random_slices(1, 32, 64)
    expected = np.asarray(model.predict_on_batch(images))
    low, high = np.quantile(expected, [0.1, 0.9])
    assert 0.01 < low < high - 0.05 < 0.94  # not saturated, or errors would not show
    write(Predictor(model, settings).network, tmp_path / "copy", notes={})
    opened = open_onnx if write is write_onnx else open_saved_model
    np.testing.assert_allclose(opened(tmp_path / "copy")(images), expected, atol=1e-5)


def test_equal_networks_give_equal_files(model: Path, tmp_path: Path):
    need("onnx")
    for name in ("a.onnx", "b.onnx"):
        network, settings = load_network(model)
        write_onnx(Predictor(network, settings).network, tmp_path / name, notes={"a": "b"})
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_an_onnx_file_says_how_to_use_it(exported: Path, model: Path):
    import onnxruntime

    session = onnxruntime.InferenceSession(exported / "model.onnx")
    assert session.get_inputs()[0].shape == ["batch", "height", "width", 1]
    notes = session.get_modelmeta().custom_metadata_map
    assert "subtract the mean" in notes["normalisation"]
    assert "divisible by 16" in notes["input"]
    assert "112 pixels" in notes["tiles"]
    details = json.loads((model / "manifest.json").read_text())["details"]
    assert notes["weights_sha256"] == details["weights_sha256"]
    assert json.loads((exported / "saved_model/assets.extra/unetseg.json").read_text()) == notes


def test_the_manifest_says_how_far_off_each_is(exported: Path):
    details = Manifest.read(exported / "manifest.json").details
    assert set(details["differences"]) == set(NAMES.values())
    assert 0 < max(details["differences"].values()) < 2e-5 < details["tolerance"]
    # Held out of the 5 slices is the last.
    assert details["example"] == "the middle of slice 4 (held out) of train-volume.tif"
    assert not (exported / ".unfinished").exists()


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
        "train-volume.tif (sha256 " + details["data"][0]["sha256"],
        "**Slices**: 4: 0, 1, 2, 3",
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
    assert set(NORMALISATIONS) == set(modelcard.NORMALISATIONS) == set(modelpackage.NORMALISATIONS)


def perturb(network: keras.Model) -> None:
    """Change one weight by a hundredth: the largest of the last 3 x 3 convolution."""
    kernel = network.weights[-4]
    value = np.array(kernel)
    value.flat[np.abs(value).argmax()] += 0.01
    kernel.assign(value)


def test_a_copy_with_one_changed_weight_is_not_handed_over(
    model: Path, data: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, form: str
):
    name = "write_saved_model" if form == "savedmodel" else "write_onnx"
    write = getattr(stage, name)

    def write_changed(network: keras.Model, path: Path, **settings: Any) -> None:
        perturb(network)
        write(network, path, **settings)

    monkeypatch.setattr(stage, name, write_changed)
    (line,) = cli("export", "--model", model, "--format", form, code=1).stderr.splitlines()
    assert f"work/export/{NAMES[form]}: expected probabilities within 0.0001" in line
    assert "found a difference of 0.0" in line
    assert not Path("work").exists()


def test_without_a_stack_a_synthetic_slice_will_do(model: Path, cli: Cli):
    need("onnx")
    shutil.copytree(model, "model")
    shown = cli("export", "--model", "model").stdout
    assert "tried out on a synthetic slice" in shown
    assert re.search(r"model.onnx: differs from the model by at most \de-0[678]", shown)
    # One that is named must be there.
    arguments = ("export", "--model", model, "--volume", "no.tif", "--output", "other")
    (line,) = cli(*arguments, code=1).stderr.splitlines()
    assert "no.tif: expected" in line


def test_a_stack_that_was_not_trained_on(model: Path, data: Path, cli: Cli):
    need("onnx")
    tifffile.imwrite(data / "other.tif", np.arange(2 * 20 * 300).reshape(2, 20, 300).astype("<u2"))
    shown = cli("export", "--model", model, "--volume", data / "other.tif").stdout
    assert "tried out on the middle of slice 0 (counted from 0) of other.tif" in shown


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "bioimageio"])
def test_a_missing_package_is_one_line(
    model: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, package: str
):
    need("bioimageio" if package == "bioimageio" else "onnx")
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    arguments = ("export", "--model", model, "--format", "bioimageio")
    (line,) = cli(*arguments, code=1).stderr.splitlines()
    assert "pip install 'unetseg[export]'" in line
    assert package in line
    assert not Path("work").exists()


def test_words_that_bioimage_io_does_not_know_are_one_line(model: Path, cli: Cli):
    need("bioimageio")
    arguments = ("export", "--model", model, "--format", "bioimageio", "--license", "mine")
    (line,) = cli(*arguments, code=2).stderr.splitlines()
    assert "--format bioimageio: expected what bioimage.io accepts, found license" in line
    assert not Path("work").exists()


def test_another_backend_cannot_write_a_savedmodel(
    model: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    (line,) = cli("export", "--model", model, "--format", "savedmodel", code=2).stderr.splitlines()
    assert "expected the TensorFlow backend of Keras, found jax" in line


def test_onnx_from_pytorch(model: Path, tmp_path: Path):
    need("onnx")
    pytest.importorskip("torch")
    subprocess.run(
        [sys.executable, "-m", "unetseg", "export", "--model", str(model), "--output", "torch"],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "torch"},
        check=True,
    )
    assert Manifest.read(tmp_path / "torch/manifest.json").details["backend"] == "torch"


BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("index", range(3))
def test_the_lines_in_the_document_run(
    exported: Path,
    run: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    index: int,
):
    (tmp_path / "data").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work/export").symlink_to(exported)
    images, _ = synthesize(slices=1, height=320, width=336, rng=np.random.default_rng(1))
    tifffile.imwrite(tmp_path / "data/test-volume.tif", images, photometric="minisblack")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with modelpackage.quiet():
        exec(BLOCKS[index], names)
    normalised = Standardisation.of(images)(images)[..., None]
    halo = 0 if index < 2 else 112
    around = [(0, 0), (halo, halo), (halo, halo), (0, 0)]
    expected = run(np.pad(normalised, around, mode="symmetric"))[0, :, :, 0]
    inner = expected[halo : halo + 320, halo : halo + 336]
    np.testing.assert_allclose(names["probability"], inner, atol=2e-5)
