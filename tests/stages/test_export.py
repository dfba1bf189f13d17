"""Export: what other programs run gives the numbers of the model, or is not handed over."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tifffile
from conftest import Cli
from exports import NAMES, need

from unetseg.arrays.intensity import Percentiles
from unetseg.arrays.synthetic import synthesize
from unetseg.arrays.tissue import all_tissue
from unetseg.artifacts.manifest import Manifest
from unetseg.models import modelpackage
from unetseg.stages import export as stage

DOCUMENT = Path(__file__).parents[2] / "docs/export.md"


@pytest.fixture(
    params=[
        name if name == "savedmodel" else pytest.param(name, marks=pytest.mark.slow)
        for name in NAMES
    ]
)
def form(request: pytest.FixtureRequest) -> str:
    need(request.param)
    return str(request.param)


def test_the_manifest_says_how_far_off_each_is(exported: Path):
    details = Manifest.read(exported / "manifest.json").details
    assert set(details["differences"]) == set(NAMES.values())
    assert 0 < max(details["differences"].values()) < 2e-5 < details["tolerance"]
    # Held out of the 5 slices is the last.
    assert details["example"] == "the middle of slice 4 (held out) of train-volume.tif"
    assert not (exported / ".unfinished").exists()


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


BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("index", range(3))
def test_the_lines_in_the_document_run(
    exported: Path,
    as_trained: Callable[..., Any],
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
    normalised = Percentiles.of(all_tissue(images), [])(images)[..., None]
    halo = 0 if index < 2 else 112
    around = [(0, 0), (halo, halo), (halo, halo), (0, 0)]
    expected = as_trained(np.pad(normalised, around, mode="symmetric"))[0, :, :, 0]
    inner = expected[halo : halo + 320, halo : halo + 336]
    np.testing.assert_allclose(names["probability"], inner, atol=2e-5)


def test_a_model_that_does_not_say_enough_is_refused_first(model: Path, tmp_path: Path, cli: Cli):
    shutil.copytree(model, "m")
    raw = json.loads(Path("m/manifest.json").read_text())
    raw["details"].pop("kept_epoch")
    Path("m/manifest.json").write_text(json.dumps(raw))
    (line,) = cli("export", "--model", "m", code=1).stderr.splitlines()
    assert "m/manifest.json: expected what unetseg train writes" in line
    assert "(kept_epoch is missing)" in line
