"""Weights on disk."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from unetseg.errors import InputError
from unetseg.network.inference import prepare
from unetseg.network.saving import hash_weights, load_weights, save_model
from unetseg.network.unet import build_unet

SMALL = {"base_filters": 2, "depth": 2, "stride": 1, "batch_norm": True, "dropout": 0.0}


def test_weights_travel(tmp_path: Path):
    model = build_unet(**SMALL, seed=1)
    save_model(model, tmp_path / "model.keras")
    other = build_unet(**SMALL, seed=2)
    assert hash_weights(other) != hash_weights(model)
    load_weights(other, tmp_path / "model.keras")
    assert hash_weights(other) == hash_weights(model)
    image = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    first, second = (prepare(m)(image) for m in (model, other))
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_keras_alone_opens_a_model(tmp_path: Path):
    model = build_unet(**SMALL, seed=1)
    save_model(model, tmp_path / "model.keras")
    program = (
        "import sys, keras, numpy as np\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "print(model.predict_on_batch(np.ones((1, 16, 16, 1)))[0, :, 3, 0].tolist())\n"
        "assert not any(name.startswith('unetseg') for name in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "model.keras"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    ours = prepare(model)(np.ones((16, 16), np.float32))
    np.testing.assert_allclose(json.loads(run.stdout), ours[:, 3], atol=1e-6)


def test_nothing_in_a_model_file_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path, proof = Path("model.keras"), Path("it-ran")
    # Without our own layer, which Keras alone would refuse before it sees the lambda.
    plain = {**SMALL, "batch_norm": False}
    model = build_unet(**plain, seed=1)
    evil = keras.layers.Lambda(lambda x: (__import__("pathlib").Path("it-ran").touch(), x)[1])
    image = np.zeros((1, 16, 16, 1), np.float32)
    armed = keras.Model(model.input, evil(model.output))
    proof.unlink()
    armed.save(path)
    with pytest.raises(ValueError, match="Lambda"):
        keras.saving.load_model(path)
    other = build_unet(**plain, seed=2)
    load_weights(other, path)
    assert hash_weights(other) == hash_weights(model)
    np.testing.assert_array_equal(other(image), model(image))
    assert not proof.exists()


def test_weights_of_something_else_are_refused(tmp_path: Path):
    save_model(build_unet(**SMALL, seed=1), tmp_path / "model.keras")
    deeper = build_unet(**{**SMALL, "depth": 3}, seed=1)
    with pytest.raises(InputError, match="expected the weights of this network"):
        load_weights(deeper, tmp_path / "model.keras")
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(InputError, match="expected the weights of this network"):
        load_weights(deeper, tmp_path / "model.keras")


def test_a_file_that_claims_gigabytes_is_refused_before_they_are_taken(tmp_path: Path):
    model = build_unet(**SMALL, seed=1)
    save_model(model, tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as package:
        package.extractall(tmp_path)
    with h5py.File(tmp_path / "model.weights.h5", "a") as weights:
        group = weights["layers/conv2d/vars"]
        del group["0"]
        group.create_dataset("0", (2**28,), "f4")  # which takes no room until it is written
    with zipfile.ZipFile(tmp_path / "hostile.keras", "w") as package:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            package.write(tmp_path / name, name)
    assert (tmp_path / "hostile.keras").stat().st_size < 10**6
    with pytest.raises(InputError, match="expected the weights of this network") as refused:
        load_weights(model, tmp_path / "hostile.keras")
    assert str(refused.value.__cause__).startswith("weights of 1073")
