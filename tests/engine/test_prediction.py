"""A network on slices of any size."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from unetseg.engine.prediction import Predictor, build_network
from unetseg.network.recipes import NETWORKS


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
