"""A network on slices of any size."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from unetseg.engine.prediction import Predictor, build_network
from unetseg.network.recipes import NETWORKS
from unetseg.network.startup import keras
from unetseg.network.unet import LOGITS


def make_exact(model: keras.Model) -> None:
    """Give a network weights in whose sums float32 rounds nothing, in whatever order it adds."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if not layer.weights:
            continue
        kernel, bias = layer.get_weights()
        # Three taps a filter: whole numbers that stay below 2**24 through all layers.
        taps = np.zeros((kernel[..., 0].size, kernel.shape[-1]), np.float32)
        for column in taps.T:
            column[rng.choice(len(column), 3, replace=False)] = rng.choice([-1, 1, 1], 3)
        layer.set_weights([taps.reshape(kernel.shape), rng.integers(3, size=bias.shape)])
    logits = model.get_layer(LOGITS)
    logits.kernel.assign(logits.kernel / 2**8)  # so that the sigmoid is not 0 or 1 throughout


@pytest.mark.parametrize("stride", [1, 2])
def test_tiles_equal_the_whole_slice(stride: int, monkeypatch: pytest.MonkeyPatch):
    network = dataclasses.replace(
        NETWORKS["compact"], base_filters=4, depth=2, stride=stride, batch_norm=False
    )
    model = build_network(network, seed=1)
    make_exact(model)
    predictor = Predictor(model, network)
    image = np.random.default_rng(0).integers(-2, 3, (150, 222)).astype(np.float32)
    whole = predictor.predict_slice(image, tta=True, memory=4e9)
    assert whole.shape == image.shape
    assert len(np.unique(whole)) > 1000
    for edge in (50, 77, 128):
        monkeypatch.setattr(predictor, "largest_box", lambda memory, edge=edge: edge)
        np.testing.assert_array_equal(predictor.predict_slice(image, tta=True, memory=1), whole)


def test_what_is_seen_in_every_symmetry_is_on_average_the_prediction():
    network = dataclasses.replace(NETWORKS["compact"], base_filters=4, depth=2, batch_norm=False)
    predictor = Predictor(build_network(network, seed=1), network)
    image = np.random.default_rng(0).normal(size=(90, 70)).astype(np.float32)
    settings = {"shape": image.shape, "tta": True}
    box = np.s_[10:60, 20:70]
    views = np.stack(list(predictor.predict_views(image.__getitem__, box, **settings)))
    assert len(views) == 8
    assert views.std(0).max() > 1e-4
    expected = predictor.predict(image.__getitem__, box, **settings)
    np.testing.assert_allclose(views.mean(0), expected, atol=1e-6)
    # The first is the image as it is.
    (plain,) = predictor.predict_views(image.__getitem__, box, shape=image.shape, tta=False)
    np.testing.assert_array_equal(plain, views[0])
