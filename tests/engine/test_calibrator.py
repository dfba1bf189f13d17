"""Which slices are set apart, and what that makes of outputs."""

from __future__ import annotations

import numpy as np
import pytest
from pixelwise import build_pixelwise
from scipy.special import expit, logit

from unetseg.engine import calibrator as module
from unetseg.engine import prediction
from unetseg.engine.calibrator import Calibrator, find_cut, set_apart
from unetseg.engine.prediction import Predictor
from unetseg.network.batches import Slices
from unetseg.network.recipes import NETWORKS

MEMORY = 2e9


@pytest.mark.parametrize(
    ("sources", "apart"),
    [
        (range(1), []),
        (range(9), []),
        (range(10), [5]),
        (range(12), [6]),
        (range(24), [6, 18]),
        ([*range(6), *range(12, 30)], [12, 24]),
        (range(1000), [62, 187, 312, 437, 562, 687, 812, 937]),
    ],
)
def test_one_slice_in_ten_is_set_apart_evenly(sources: list[int], apart: list[int]):
    assert set_apart(sources) == apart


def stack(sources: list[int]) -> Slices:
    """Slices whose pixels are logits, of which a quarter is the true one; no two are alike."""
    rng = np.random.default_rng(0)
    images = rng.normal(0, 6, (len(sources), 64, 80)).astype(np.float32)
    labels = (rng.random(images.shape) < expit(images / 4)).astype(np.uint8)
    return Slices(images, labels, np.full_like(images, 3))


TWO_COPIES = [*range(10), *range(10), *range(10)]


def test_a_slice_is_set_apart_with_all_its_copies():
    calibrator = Calibrator(stack(TWO_COPIES), TWO_COPIES, memory=MEMORY)
    assert calibrator.fitted_on == [5]
    assert calibrator.trained_on == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert list(calibrator.training.numbers or []) == [
        i for i, source in enumerate(TWO_COPIES) if source != 5
    ]


def test_slices_without_labels_do_not_calibrate():
    sources = [*range(11), *range(11)]
    data = stack(sources)
    data.weights[5::11] = 0
    calibrator = Calibrator(data, sources, memory=MEMORY)
    assert calibrator.fitted_on == [6]
    data.weights[:2] = data.weights[11:13] = 0
    few = Calibrator(data, sources, memory=MEMORY)
    assert few.fitted_on == [2, 3, 4, 6, 7, 8, 9, 10]
    assert few.trained_on == [*range(11)]


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> Predictor:
    """Predicts that logits are what pixels are."""
    monkeypatch.setattr(prediction, "build_network", lambda *_, **settings: build_pixelwise(1, 0))
    return Predictor(build_pixelwise(1, 0), NETWORKS["compact"])


def test_outputs_follow_the_originals_that_were_set_apart(predictor: Predictor):
    data = stack(TWO_COPIES)
    # Elsewhere the labels say the opposite, in the copies of slice 5 too.
    others = np.arange(30) != 5
    data.labels[others] = 1 - data.labels[others]
    calibrator = Calibrator(data, TWO_COPIES, memory=MEMORY)
    calibrator.prepare(predictor)
    scale, shift = calibrator.found or (0, 0)
    assert (scale, shift + logit(calibrator.cut)) == pytest.approx((0.25, 0), abs=0.05)
    description = calibrator.describe()
    assert description is not None
    assert (description["fitted_on"], description["trained_on"]) == ([5], False)


def test_training_goes_on_with_weights_that_are_not_calibrated(predictor: Predictor):
    model = predictor._model
    calibrator = Calibrator(stack(TWO_COPIES), TWO_COPIES, memory=MEMORY)
    calibrator.prepare(predictor)
    first = predictor.network.get_weights()
    assert [float(w.squeeze()) for w in model.get_weights()] == [1, 0]
    # However often: what was changed before is not changed again.
    calibrator.prepare(predictor)
    np.testing.assert_array_equal(predictor.network.get_weights()[0], first[0])
    calibrator.finish(model)
    for delivered, scored in zip(model.get_weights(), first, strict=True):
        np.testing.assert_array_equal(delivered, scored)


def test_few_slices_are_all_trained_on(predictor: Predictor):
    calibrator = Calibrator(stack([0, 1, 0, 1]), [0, 1, 0, 1], memory=MEMORY)
    assert len(calibrator.training) == 4
    calibrator.prepare(predictor)
    description = calibrator.describe()
    assert description is not None
    assert (description["fitted_on"], description["trained_on"]) == ([0, 1], True)


def test_outputs_that_cannot_be_calibrated_stay_as_they_are(predictor: Predictor):
    data = stack(TWO_COPIES)
    data.labels[:] = 1 - data.labels
    calibrator = Calibrator(data, TWO_COPIES, memory=MEMORY)
    calibrator.prepare(predictor)
    assert calibrator.found is None
    assert calibrator.describe() is None
    calibrator.finish(predictor._model)
    assert [float(w.squeeze()) for w in predictor.network.get_weights()] == [1, 0]
    assert [float(w.squeeze()) for w in predictor._model.get_weights()] == [1, 0]


def two_cells(membrane: float, *, inside: float = 0.95) -> Slices:
    """A slice of two cells, and what is predicted of them, as its image."""
    image = np.full((1, 40, 60), inside, np.float32)
    image[:, :, 28:32] = membrane
    labels = np.ones(image.shape, np.uint8)
    labels[:, :, 28:32] = 0
    return Slices(image, labels, np.ones_like(image))


@pytest.mark.parametrize(
    ("membrane", "inside", "cut"),
    [
        (0.65, 0.95, 0.8),  # below 0.7 the two are one
        (0.45, 0.75, 0.6),  # between 0.4 and 0.7 alone they are two, of all pixels
        (0.05, 0.95, 0.6),  # everything will do
    ],
)
def test_cells_are_cut_where_they_are_told_apart_best(membrane: float, inside: float, cut: float):
    assert find_cut(lambda image: image, two_cells(membrane, inside=inside)) == pytest.approx(cut)


def test_what_does_not_count_has_no_part_in_the_cut():
    slices = two_cells(0.65)
    slices.weights[:, :, 30:] = 0
    everywhere = find_cut(lambda image: image, slices)
    slices.weights[:] = 0
    assert (everywhere, find_cut(lambda image: image, slices)) == (pytest.approx(0.6), 0.5)


def test_half_is_the_cut_that_was_found(predictor: Predictor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "find_cut", lambda *_: 0.8)
    calibrator = Calibrator(stack(TWO_COPIES), TWO_COPIES, memory=MEMORY)
    calibrator.prepare(predictor)
    # Of pixels that are four times the true logits.
    image = np.full((64, 80), 4 * logit(0.8), np.float32)
    assert predictor.run(image) == pytest.approx(np.full((64, 80), 0.5), abs=0.03)
    description = calibrator.describe()
    assert description is not None
    assert description["cut"] == 0.8
