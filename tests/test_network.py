"""The network: its shape, its halo, and that every backend of Keras runs it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from unetseg.engine.prediction import Predictor, build_network
from unetseg.errors import InputError
from unetseg.network.batches import Patches, Slices, patch_shape
from unetseg.network.inference import longest_edge, prepare
from unetseg.network.recipes import NETWORKS, NetworkOptions
from unetseg.network.saving import hash_weights, load_weights, save_model
from unetseg.network.unet import LOGITS, build_unet

ROOT = Path(__file__).parents[1]

SMALL = {"base_filters": 2, "depth": 2, "stride": 1, "batch_norm": True, "dropout": 0.0}


def slices(count: int = 5, height: int = 40, width: int = 56) -> Slices:
    """Images that say where their pixels come from."""
    z, y, x = np.indices((count, height, width))
    images = (10_000 * z + 100 * y + x).astype(np.float32)
    return Slices(images, (images % 2).astype(np.uint8), images / 2)


def test_paper_has_the_papers_layers():
    model = build_network(NETWORKS["paper"], seed=0)
    # Figure 1 has 23 convolutions: 18 of 3 x 3, 4 up-convolutions, and the last of 1 x 1.
    *plain, last = [c for c in model.layers if isinstance(c, keras.layers.Conv2D)]
    levels = (64, 128, 256, 512, 1024, 512, 256, 128, 64)
    assert [c.filters for c in plain] == [filters for filters in levels for _ in range(2)]
    assert {c.kernel_size for c in plain} == {(3, 3)}
    assert last.kernel_size == (1, 1)
    up = [c for c in model.layers if isinstance(c, keras.layers.Conv2DTranspose)]
    assert [(c.filters, c.kernel_size) for c in up] == [(n, (2, 2)) for n in (512, 256, 128, 64)]
    assert sum(isinstance(layer, keras.layers.Dropout) for layer in model.layers) == 2


@pytest.mark.parametrize(("depth", "stride"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_halo_is_the_receptive_field(depth: int, stride: int):
    # With all weights positive, every pixel that can change the output does.
    shape = {**SMALL, "depth": depth, "stride": stride, "batch_norm": False}
    model = build_unet(**shape, seed=0)
    model.set_weights([np.abs(w) * 0.3 for w in model.get_weights()])
    logits = keras.Model(model.input, model.get_layer(LOGITS).output)
    network = NetworkOptions(**shape, border=0)
    reach, multiple = network.halo, network.multiple
    size = (2 * reach // multiple + 4) * multiple
    farthest = 0
    for pixel in range(size // 2 - multiple, size // 2 + multiple):
        spot = np.zeros((1, multiple, size, 1), np.float32)
        spot[:, :, pixel] = 1
        change = np.asarray(logits(spot) - logits(np.zeros_like(spot)))[0, 0, :, 0]
        changed = np.flatnonzero(change != 0)
        farthest = max(farthest, int(np.abs(changed - pixel).max()))
    assert farthest == reach


@pytest.mark.parametrize("name", ["stride 1", "stride 2"])
def test_tiles_equal_the_whole_slice(name: str, monkeypatch: pytest.MonkeyPatch):
    network = dataclasses.replace(
        NETWORKS["compact"], base_filters=4, depth=2, stride=int(name[-1])
    )
    predictor = Predictor(build_network(network, seed=1), network)
    image = np.random.default_rng(0).standard_normal((150, 222)).astype(np.float32)
    whole = predictor.predict_slice(image, tta=True, memory=4e9)
    assert whole.shape == image.shape
    assert whole.std() > 0.001
    for edge in (50, 77, 128):
        monkeypatch.setattr(predictor, "largest_box", lambda memory, edge=edge: edge)
        np.testing.assert_array_equal(predictor.predict_slice(image, tta=True, memory=1), whole)


def test_folded_normalisation_changes_nothing():
    network = dataclasses.replace(NETWORKS["compact"], base_filters=4, depth=2)
    model = build_network(network, seed=1)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape[0]
            scale, shift, mean, variance = rng.random((4, size))
            layer.set_weights([scale + 0.5, shift - 0.5, mean - 0.5, variance + 0.5])
    image = rng.standard_normal((64, 96)).astype(np.float32)
    before, folded = prepare(model)(image), Predictor(model, network).run(image)
    # Neither grey nor saturated, where any weights would do.
    assert ((before > 0.01) & (before < 0.99)).mean() > 0.5
    assert before.std() > 0.01
    np.testing.assert_allclose(folded, before, atol=1e-5)


def test_longest_edge_grows_with_memory():
    network = {"base_filters": 32, "stride": 2, "weights": 10**6}
    small, large = (longest_edge(memory=0.858e9 + m, **network) for m in (1e8, 4e8))
    assert large == pytest.approx(2 * small, rel=0.01)
    assert longest_edge(memory=1e6, **network) == 0


def test_patches_cover_every_slice_once_an_epoch():
    data = Patches(slices(), shape=(16, 16), batch_size=2, seed=0)
    batches = [data.batch(1, i) for i in range(len(data))]
    assert [len(images) for images, _, _ in batches] == [2, 2, 1]
    origin = np.concatenate([images for images, _, _ in batches])[:, 0, 0, 0] // 10_000
    assert sorted(origin) == [0, 1, 2, 3, 4]


def test_patches_stay_together():
    data = Patches(slices(), shape=(16, 16), batch_size=5, seed=0)
    images, labels, weights = data.batch(1, 0)
    np.testing.assert_array_equal(images % 2, labels)
    np.testing.assert_array_equal(images[..., 0] / 2, weights)


def test_patches_depend_on_seed_epoch_and_index():
    def first(seed: int, epoch: int) -> bytes:
        data = Patches(slices(), shape=(16, 16), batch_size=2, seed=seed)
        data.batch(epoch, 1)
        return data.batch(epoch, 0)[0].tobytes()

    assert first(0, 0) == first(0, 0)
    assert len({first(0, 0), first(0, 1), first(1, 0)}) == 3


def test_small_slices_are_mirrored_outwards():
    assert patch_shape((20, 500), patch=256, multiple=16) == (32, 256)
    data = Patches(slices(1, 20, 60), shape=(32, 48), batch_size=1, seed=0)
    images, _, _ = data.batch(1, 0)
    assert images.shape == (1, 32, 48, 1)
    rows = np.sort(images[0, :, 0, 0] // 100)
    assert rows.tolist() == sorted([*range(20), *range(8, 20)])


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


def test_the_documented_layers_are_the_papers_layers():
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in (ROOT / "docs/network.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    kinds = {
        keras.layers.InputLayer: "input",
        keras.layers.Conv2DTranspose: "up-conv {k} x {k}",
        keras.layers.Conv2D: "conv {k} x {k}",
        keras.layers.MaxPooling2D: "max pool 2 x 2",
        keras.layers.Dropout: "dropout 0.5",
        keras.layers.Concatenate: "copy",
        keras.layers.Activation: "sigmoid",
    }
    model = build_network(NETWORKS["paper"], seed=0)
    shapes = keras.Model(
        model.input, [layer.output for layer in model.layers]
    ).compute_output_shape((1, 512, 512, 1))
    built: list[list[str]] = []
    for layer, (_, height, width, channels) in zip(model.layers, shapes, strict=True):
        if isinstance(layer, keras.layers.ReLU):
            built[-1][0] += ", ReLU"
            continue
        name = next(name for kind, name in kinds.items() if isinstance(layer, kind))
        name = name.format(k=layer.kernel_size[0]) if "{k}" in name else name
        size = "" if name in ("dropout 0.5", "sigmoid") else f"{height} x {width} x {channels}"
        built.append([name, size])
    assert [row[2:] for row in rows[2:]] == built
