"""Calibration: outputs become probabilities, and no pixel overtakes another."""

from __future__ import annotations

import numpy as np
import pytest
from pixelwise import build_pixelwise
from scipy.special import expit, logit

from unetseg.network.batches import Slices
from unetseg.network.calibration import CERTAIN, calibrate, fit_scale_and_shift, rescale
from unetseg.network.inference import prepare


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, 2.0), (3.0, -1.0)])
def test_the_scale_and_shift_that_made_the_labels_are_found(scale: float, shift: float):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 200_000)
    labels = (rng.random(logits.size) < expit(scale * logits + shift)).astype(np.uint8)
    assert fit_scale_and_shift(logits, labels) == pytest.approx((scale, shift), abs=0.03)


def test_logits_on_any_scale_are_fitted_alike():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 50_000)
    labels = (rng.random(logits.size) < expit(logits)).astype(np.uint8)
    scale, shift = fit_scale_and_shift(logits, labels) or (0.0, 0.0)
    for unit, origin in ((1e-3, 0.0), (1e3, 0.0), (1.0, 1e3)):
        moved = fit_scale_and_shift(unit * logits + origin, labels)
        expected = (scale / unit, shift - scale / unit * origin)
        assert moved == pytest.approx(expected, rel=1e-3, abs=1e-2)


NEVER_WRONG = np.repeat([-1.0, 1.0], 500)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        pytest.param(NEVER_WRONG, np.ones(1000), id="one-kind-of-label"),
        pytest.param(np.full(1000, 3.0), NEVER_WRONG > 0, id="all-the-same"),
        pytest.param(-NEVER_WRONG, NEVER_WRONG > 0, id="the-wrong-way-round"),
        pytest.param(NEVER_WRONG * np.nan, NEVER_WRONG > 0, id="not-a-number"),
        pytest.param(np.zeros(0), np.zeros(0), id="nothing"),
    ],
)
def test_what_has_no_scale_gets_none(logits: np.ndarray, labels: np.ndarray):
    assert fit_scale_and_shift(logits, labels.astype(np.uint8)) is None


def test_a_search_that_does_not_end_finds_nothing(monkeypatch: pytest.MonkeyPatch):
    from unetseg.network import calibration

    search = calibration.optimize.minimize

    def give_up(*arguments: object, **settings: object) -> object:
        return search(*arguments, **settings, options={"maxiter": 1})

    monkeypatch.setattr(calibration.optimize, "minimize", give_up)
    logits = np.random.default_rng(0).normal(0, 2, 1000)
    assert fit_scale_and_shift(logits, (logits > 1).astype(np.uint8)) is None


def test_what_is_never_wrong_keeps_a_finite_scale():
    scale, shift = fit_scale_and_shift(NEVER_WRONG, (NEVER_WRONG > 0).astype(np.uint8)) or (0, 9)
    # 500 of 500 pixels are taken for 501 of 502.
    assert scale == pytest.approx(logit(501 / 502), rel=1e-3)
    assert shift == pytest.approx(0, abs=1e-3)


def probabilities(true_scale: float, *, count: int = 2, seed: int = 0) -> Slices:
    """Images that are logits, and labels of which their multiple is the logit."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 2, (count, 300, 301)).astype(np.float32)
    labels = (rng.random(images.shape) < expit(true_scale * images)).astype(np.uint8)
    return Slices(images, labels, np.ones_like(images))


def test_every_pixel_that_counts_counts_the_same():
    right, wrong = probabilities(0.5), probabilities(-3)
    # Half of each slice is nonsense of weight 0; the rest weighs anything.
    half = np.arange(300)[:, None] < 150
    weights = np.random.default_rng(1).uniform(0.1, 50, right.images.shape).astype(np.float32)
    mixed = Slices(
        np.where(half, right.images, wrong.images),
        np.where(half, right.labels, wrong.labels),
        np.where(half, weights, np.float32(0)),
    )
    assert calibrate(expit, mixed) == pytest.approx((0.5, 0), abs=0.02)
    assert calibrate(expit, mixed.only([1])) == pytest.approx((0.5, 0), abs=0.03)


def test_slices_that_do_not_count_at_all_are_no_trouble():
    data = probabilities(1)
    data.weights[0] = 0
    assert calibrate(expit, data) == calibrate(expit, data.only([1]))
    assert calibrate(expit, data.only([0])) is None


def test_certainty_is_not_infinite():
    data = probabilities(1)
    data.images[data.images > 3] = np.inf
    scale, shift = calibrate(expit, data) or (0, 0)
    assert 0 < scale < 1.1
    assert expit(scale * logit(1 - CERTAIN) + shift) > 0.95


def test_rescaled_logits_order_pixels_as_before():
    image = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    model = build_pixelwise(2, -1)
    before = prepare(model)(image)
    rescale(model, 0.5, 0.25)
    after = prepare(model)(image)
    np.testing.assert_allclose(after, expit(0.5 * (2 * image - 1) + 0.25), rtol=1e-5)
    np.testing.assert_array_equal(np.argsort(before.ravel()), np.argsort(after.ravel()))
