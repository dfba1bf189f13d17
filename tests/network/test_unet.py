"""The network: its shape, its halo, and that every backend of Keras runs it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from unetseg.engine.prediction import build_network
from unetseg.network.recipes import NETWORKS, NetworkOptions
from unetseg.network.unet import LOGITS, build_unet

SMALL = {"base_filters": 2, "depth": 2, "stride": 1, "batch_norm": True, "dropout": 0.0}


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
