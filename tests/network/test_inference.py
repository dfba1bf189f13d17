"""What predicts does what was trained."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from unetseg.engine.prediction import Predictor, build_network
from unetseg.network.inference import longest_edge, prepare
from unetseg.network.recipes import NETWORKS


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
