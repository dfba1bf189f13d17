"""The network: its shape, its halo, and that every backend of Keras runs it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from unetseg.errors import InputError, TrainingError
from unetseg.network.batches import PatchDataset, Slices, patch_shape
from unetseg.network.inference import compile_for_prediction, longest_edge, predict_image
from unetseg.network.saving import hash_weights, load_weights, save_model
from unetseg.network.training import train_unet
from unetseg.network.unet import LOGITS, build_unet, halo, total_pooling
from unetseg.options import NETWORKS
from unetseg.prediction import SlicePredictor, build_network

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
    model = build_unet(**{**SMALL, "depth": depth, "stride": stride, "batch_norm": False}, seed=0)
    model.set_weights([np.abs(w) * 0.3 for w in model.get_weights()])
    logits = keras.Model(model.input, model.get_layer(LOGITS).output)
    reach = halo(depth=depth, stride=stride)
    multiple = total_pooling(depth=depth, stride=stride)
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
    predict = SlicePredictor(build_network(network, seed=1), network, memory=1)
    image = np.random.default_rng(0).standard_normal((150, 222)).astype(np.float32)
    whole = predict(image, tta=True)
    assert whole.shape == image.shape
    assert whole.std() > 0.001
    monkeypatch.setattr(predict, "_edge", 128)
    np.testing.assert_allclose(predict(image, tta=True), whole, atol=1e-6)


def test_longest_edge_grows_with_memory():
    small = longest_edge(memory=1, base_filters=32, stride=2)
    assert longest_edge(memory=4, base_filters=32, stride=2) == pytest.approx(2 * small, rel=0.01)


def test_patches_cover_every_slice_once_an_epoch():
    data = PatchDataset(slices(), shape=(16, 16), batch_size=2, seed=0)
    batches = [data[i] for i in range(len(data))]
    assert [len(images) for images, _, _ in batches] == [2, 2, 1]
    origin = np.concatenate([images for images, _, _ in batches])[:, 0, 0, 0] // 10_000
    assert sorted(origin) == [0, 1, 2, 3, 4]


def test_patches_stay_together():
    data = PatchDataset(slices(), shape=(16, 16), batch_size=5, seed=0)
    images, labels, weights = data[0]
    np.testing.assert_array_equal(images % 2, labels)
    np.testing.assert_array_equal(images[..., 0] / 2, weights)


def test_patches_depend_on_seed_epoch_and_index():
    def first(seed: int, epoch: int) -> bytes:
        data = PatchDataset(slices(), shape=(16, 16), batch_size=2, seed=seed)
        data.epoch = epoch
        _ = data[1]
        return data[0][0].tobytes()

    assert first(0, 0) == first(0, 0)
    assert len({first(0, 0), first(0, 1), first(1, 0)}) == 3


def test_small_slices_are_mirrored_outwards():
    assert patch_shape((20, 500), patch=256, multiple=16) == (32, 256)
    data = PatchDataset(slices(1, 20, 60), shape=(32, 48), batch_size=1, seed=0)
    images, _, _ = data[0]
    assert images.shape == (1, 32, 48, 1)
    rows = np.sort(images[0, :, 0, 0] // 100)
    assert rows.tolist() == sorted([*range(20), *range(8, 20)])


def test_training_learns_and_equal_seeds_agree():
    rng = np.random.default_rng(0)
    images = rng.standard_normal((100, 16, 16)).astype(np.float32)
    data = Slices(images, (images > 0).astype(np.uint8), np.ones_like(images))

    def run(seed: int) -> tuple[list[float], str]:
        keras.utils.set_random_seed(seed)
        model = build_unet(**SMALL, seed=seed)
        losses: list[float] = []
        train_unet(
            model,
            PatchDataset(data, shape=(16, 16), batch_size=2, seed=seed),
            epochs=4,
            minutes=0,
            learning_rate=0.03,
            after_epoch=lambda epoch: losses.append(epoch.loss),
        )
        return losses, hash_weights(model)

    losses, weights = run(3)
    assert losses[-1] < losses[0] / 2
    assert run(3) == (losses, weights)
    assert run(4)[1] != weights


def test_time_ends_training():
    data = PatchDataset(slices(), shape=(16, 16), batch_size=1, seed=0)
    epochs = []
    train_unet(
        build_unet(**SMALL, seed=0),
        data,
        epochs=10_000,
        minutes=0.02,
        learning_rate=1e-9,
        after_epoch=epochs.append,
    )
    assert len(epochs) < 5000
    assert epochs[-1].progress == 1
    assert epochs[-1].learning_rate < 1e-9


def test_a_loss_that_is_not_finite_ends_training():
    broken = slices()
    broken.weights[2] = np.inf
    data = PatchDataset(broken, shape=(16, 16), batch_size=1, seed=0)
    with pytest.raises(TrainingError, match="not finite since batch"):
        train_unet(
            build_unet(**SMALL, seed=0),
            data,
            epochs=1,
            minutes=0,
            learning_rate=0.001,
            after_epoch=lambda epoch: None,
        )


def test_weights_travel(tmp_path: Path):
    model = build_unet(**SMALL, seed=1)
    save_model(model, tmp_path / "model.keras")
    other = build_unet(**SMALL, seed=2)
    assert hash_weights(other) != hash_weights(model)
    load_weights(other, tmp_path / "model.keras")
    assert hash_weights(other) == hash_weights(model)
    image = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    first, second = (predict_image(compile_for_prediction(m), image) for m in (model, other))
    np.testing.assert_array_equal(first, second)


def test_weights_of_something_else_are_refused(tmp_path: Path):
    save_model(build_unet(**SMALL, seed=1), tmp_path / "model.keras")
    deeper = build_unet(**{**SMALL, "depth": 3}, seed=1)
    with pytest.raises(InputError, match="expected the weights of this network"):
        load_weights(deeper, tmp_path / "model.keras")
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(InputError, match="expected the weights of this network"):
        load_weights(deeper, tmp_path / "model.keras")
