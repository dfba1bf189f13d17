"""Calibration: outputs become probabilities, and no pixel overtakes another."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from unetseg.network.batches import Patches, Slices
from unetseg.network.calibration import calibrate, fit_scale_and_shift
from unetseg.network.inference import prepare
from unetseg.network.unet import build_unet


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, 2.0), (3.0, -1.0)])
def test_the_scale_and_shift_that_made_the_labels_are_found(scale: float, shift: float):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 200_000)
    labels = (rng.random(logits.size) < expit(scale * logits + shift)).astype(np.float32)
    assert fit_scale_and_shift(logits, labels) == pytest.approx((scale, shift), abs=0.03)


def test_mean_probability_becomes_the_share_of_interior():
    rng = np.random.default_rng(0)
    images = rng.standard_normal((40, 16, 16)).astype(np.float32)
    labels = (rng.random(images.shape) < 0.8).astype(np.uint8)
    model = build_unet(base_filters=2, depth=1, stride=2, batch_norm=True, dropout=0.0, seed=0)
    image = rng.standard_normal((16, 16)).astype(np.float32)

    def predict() -> np.ndarray:
        return prepare(model)(image)

    before = predict()
    data = Slices(images, labels, np.ones_like(images))
    calibrate(model, Patches(data, shape=(16, 16), batch_size=4, seed=0))
    after = predict()
    assert abs(before.mean() - 0.8) > 0.2
    assert after.mean() == pytest.approx(0.8, abs=0.03)
    np.testing.assert_array_equal(np.argsort(before.ravel()), np.argsort(after.ravel()))
