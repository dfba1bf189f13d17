"""Keras as it starts here, whatever others have told it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def run(home: Path, *program: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Python for a user whose ~/.keras/keras.json holds these settings."""
    (home / ".keras").mkdir()
    (home / ".keras/keras.json").write_text(json.dumps(settings))
    environment = {**os.environ, "HOME": str(home)}
    environment.pop("KERAS_BACKEND", None)
    return subprocess.run(
        [sys.executable, *program], env=environment, cwd=home, capture_output=True, text=True
    )


def test_settings_of_other_programs_do_not_count(tmp_path: Path):
    program = (
        "from unetseg.network.startup import keras\n"
        "print(keras.config.image_data_format(), keras.config.floatx(), keras.layers.ReLU().dtype)"
    )
    done = run(tmp_path, "-c", program, image_data_format="channels_first", floatx="float64")
    assert (done.stdout, done.stderr) == ("channels_last float32 float32\n", "")


@pytest.mark.parametrize("backend", ["theano", "jax"])
def test_a_backend_that_a_file_names_and_is_not_there_is_said(tmp_path: Path, backend: str):
    if importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is installed")
    program = "from unetseg.network.startup import keras; print(keras.backend.backend())"
    done = run(tmp_path, "-c", program, backend=backend)
    assert (done.returncode, done.stdout) == (0, "tensorflow\n")
    (line,) = done.stderr.splitlines()
    assert f".keras/keras.json: names the backend {backend}, which is not installed" in line


@pytest.mark.parametrize(
    ("text", "lines"),
    [("", 1), ("no JSON", 1), ("[]", 1), ('{"backend": 3}', 2), ('{"floatx": "float99"}', 1)],
)
def test_whatever_is_in_the_file_there_is_no_more_than_a_line(
    tmp_path: Path, text: str, lines: int
):
    (tmp_path / "keras.json").write_text(text)
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    environment.pop("KERAS_BACKEND", None)
    command = [sys.executable, "-m", "unetseg", "train"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    *before, line = done.stderr.splitlines()
    assert len(before) == lines - 1
    assert "work/preprocessed: expected" in line or "mend ~/.keras/keras.json" in line


def test_a_backend_that_was_asked_for_and_is_not_there_is_one_line(tmp_path: Path):
    environment = {**os.environ, "KERAS_BACKEND": "theano"}
    command = [sys.executable, "-m", "unetseg", "train"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "Keras: expected a backend that can be imported" in line
    assert "set KERAS_BACKEND=tensorflow, or mend ~/.keras/keras.json" in line


@pytest.mark.slow
def test_an_ensemble_is_not_taken_for_a_network_that_is_compiled_too_often():
    program = (
        "import numpy as np\n"
        "from unetseg.network.recipes import NETWORKS\n"
        "from unetseg.engine.prediction import Predictor, build_network\n"
        "network = NETWORKS['compact']\n"
        "model = build_network(network, seed=0)\n"
        "for _ in range(6): Predictor(model, network).run(np.zeros((32, 32), np.float32))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
