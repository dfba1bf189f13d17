"""Training: it learns, keeps to its time, goes on where it was killed, and says when it fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from pixelwise import build_pixelwise

from unetseg.errors import TrainingError
from unetseg.network import training as training_module
from unetseg.network.backend import make_deterministic
from unetseg.network.batches import Patches, Slices
from unetseg.network.saving import hash_weights
from unetseg.network.training import Epoch, Trainer
from unetseg.network.unet import build_unet, with_logits

# Dropout and batch normalisation: both have state that a checkpoint could miss.
SMALL = {"base_filters": 2, "depth": 2, "stride": 1, "batch_norm": True, "dropout": 0.3}

RECIPE = {
    "learning_rate": 0.03,
    "warm_up": 0.2,
    "decay": True,
    "weight_decay": 0.01,
    "clip_norm": 1.0,
}


def noise(count: int = 60) -> Slices:
    images = np.random.default_rng(0).standard_normal((count, 16, 16)).astype(np.float32)
    return Slices(images, (images > 0).astype(np.uint8), np.ones_like(images))


def trainer(seed: int = 3, data: Slices | None = None, **changes: Any) -> tuple[Any, Trainer]:
    make_deterministic(seed)
    model = build_unet(**SMALL, seed=seed)
    slices = data or noise()
    patches = Patches(
        slices, shape=(16, 16), count=len(slices), batch_size=2, overhang=4, seed=seed
    )
    settings = {"epochs": 4, "minutes": 0.0, "precision": "float32", **RECIPE, **changes}
    return model, Trainer(model, patches, **settings)


def train_two_weights(
    kernel: float, bias: float, *, image: Any, label: Any, weight: Any, **changes: Any
) -> tuple[Trainer, list[float], float]:
    """Train on one image at a constant rate: each epoch is one step on all its pixels.

    Returns the trainer, kernel and bias as they are then, and the loss of the last epoch.
    """
    model = build_pixelwise(kernel, bias)
    one = Slices(np.float32([image]), np.uint8([label]), np.float32([weight]))
    patches = Patches(one, shape=one.images.shape[1:], count=1, batch_size=1, overhang=4, seed=0)
    course = {"epochs": 1, "minutes": 0, "precision": "float32", "warm_up": 0, "decay": False}
    training = Trainer(model, patches, **{**RECIPE, **course, **changes})
    losses: list[float] = []
    training.run(lambda epoch: losses.append(epoch.loss))
    return training, [float(array.squeeze()) for array in model.get_weights()], losses[-1]


def test_every_pixel_of_the_loss_has_its_weight():
    # Everywhere 3 : 1 for interior, which costs ln 4/3 inside cells and ln 4 on membrane.
    plane = {"image": [[7, 7], [7, 7]], "label": [[1, 0], [1, 0]], "weight": [[1, 5], [0, 2]]}
    _, _, loss = train_two_weights(0, np.log(3), **plane)
    assert loss == pytest.approx((1 * np.log(4 / 3) + (5 + 2) * np.log(4)) / 4, rel=1e-6)


def test_weights_decay_where_there_is_nothing_to_learn():
    nothing = {"image": [[7, 7]], "label": [[1, 0]], "weight": [[0, 0]]}
    course = {"epochs": 3, "learning_rate": 0.1}
    _, weights, _ = train_two_weights(2, -1, **nothing, **course, weight_decay=0.5)
    # Each step leaves 1 - 0.1 * 0.5 of them.
    assert weights == pytest.approx([2 * 0.95**3, -(0.95**3)], rel=1e-6)
    _, weights, _ = train_two_weights(2, -1, **nothing, **course, weight_decay=0.0)
    assert weights == [2, -1]


@pytest.mark.parametrize(("clip_norm", "share"), [(0.0, 1), (0.7, 1), (0.125, 0.2)])
def test_long_gradients_are_shortened(clip_norm: float, share: float):
    # Probability 1/2 where 0 is right: the gradient of the bias is 1/2, that of the kernel 3/4 of
    # it, and both are 5/8 long.
    wrong = {"image": [[0.75, 0.75]], "label": [[0, 0]], "weight": [[1, 1]]}
    training, _, _ = train_two_weights(0, 0, **wrong, clip_norm=clip_norm)
    # Adam's steps do not depend on the length; its first moments do, a tenth of the gradient.
    moments = [v for v in training._optimizer.variables if v.path.endswith("_momentum")]
    found = [float(np.squeeze(keras.ops.convert_to_numpy(moment))) for moment in moments]
    assert found == pytest.approx([0.0375 * share, 0.05 * share], rel=1e-5)


def test_training_learns_and_equal_seeds_agree():
    def run(seed: int) -> tuple[list[float], str]:
        model, training = trainer(seed)
        losses: list[float] = []
        training.run(lambda epoch: losses.append(epoch.loss))
        return losses, hash_weights(model)

    losses, weights = run(3)
    assert losses[-1] < losses[0] / 2
    assert run(3) == (losses, weights)
    assert run(4)[1] != weights


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "precision"),
    [
        (1, "float32"),
        pytest.param(3, "float32", marks=pytest.mark.slow),
        pytest.param(3, "mixed_bfloat16", marks=pytest.mark.slow),
    ],
)
def test_a_restored_state_goes_on_bit_for_bit(stop: int, precision: str):
    states = []
    model, training = trainer(precision=precision)
    training.run(lambda epoch: states.append((epoch, training.state())))
    epoch, state = states[stop - 1]

    other, resumed = trainer(precision=precision)
    other.set_weights([w + 1 for w in other.get_weights()])
    resumed.restore(state, epochs=stop, seconds=epoch.seconds)
    rest: list[Epoch] = []
    resumed.run(rest.append)
    assert [e.loss for e in rest] == [e.loss for e, _ in states[stop:]]
    assert rest[0].seconds > epoch.seconds
    assert hash_weights(other) == hash_weights(model)


@pytest.mark.slow
def test_lower_precision_trains_a_float32_model():
    image = np.random.default_rng(1).standard_normal((1, 16, 16, 1)).astype(np.float32)
    outputs = []
    for precision in ("float32", "mixed_bfloat16"):
        model, training = trainer(precision=precision)
        losses: list[float] = []
        training.run(lambda epoch, losses=losses: losses.append(epoch.loss))
        assert losses[-1] < losses[0] / 2
        assert {w.dtype for w in model.get_weights()} == {np.dtype(np.float32)}
        outputs.append(np.asarray(model(image)))
        assert outputs[-1].dtype == np.float32
    assert 0 < np.abs(outputs[0] - outputs[1]).max() < 0.5


def test_the_loss_of_an_epoch_is_the_mean_over_its_batches():
    make_deterministic(0)
    model = build_unet(**{**SMALL, "batch_norm": False, "dropout": 0.0}, seed=0)
    data = noise()
    patches = Patches(data, shape=(16, 16), count=60, batch_size=2, overhang=4, seed=0)
    # Nothing is learnt at this rate.
    settings = {**RECIPE, "learning_rate": 1e-12, "weight_decay": 0.0}
    epochs: list[Epoch] = []
    Trainer(model, patches, epochs=1, minutes=0, precision="float32", **settings).run(epochs.append)
    losses = []
    for index in range(len(patches)):
        images, labels, _ = patches.batch(1, index)
        logits = np.asarray(with_logits(model)(images), np.float64)
        losses.append(np.mean(np.logaddexp(0, logits) - labels * logits))
    assert epochs[0].loss == pytest.approx(np.mean(losses), rel=1e-5)
    assert np.std(losses) > 0.001


def test_the_learning_rate_rises_and_falls():
    rates = []
    _, training = trainer(epochs=10, weight_decay=0.0, data=noise(8))
    training.run(lambda epoch: rates.append(epoch.learning_rate))
    # Four steps an epoch: the last one of epoch 2 is at 1.875 of 10, the warm-up ends at 2.
    assert rates[1] == pytest.approx(0.03 * 1.875 / 2, rel=1e-5)
    assert rates[5] == pytest.approx(0.015 * (1 + np.cos(np.pi * 3.875 / 8)), rel=1e-5)
    assert rates[9] < 0.0001


def test_time_ends_training_and_counts_what_was_spent():
    epochs: list[Epoch] = []
    _, training = trainer(epochs=100_000, minutes=0.05, learning_rate=1e-9)
    training.run(epochs.append)
    assert 3 <= epochs[-1].seconds < 30
    assert epochs[-1].progress == 1
    assert epochs[-1].learning_rate < 1e-9

    rest: list[Epoch] = []
    _, resumed = trainer(epochs=100_000, minutes=0.05, learning_rate=1e-9)
    resumed.restore(training.state(), epochs=7, seconds=epochs[-1].seconds)
    resumed.run(rest.append)
    assert rest == []


def test_the_last_epoch_is_known_as_the_last(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(training_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    epochs: list[Epoch] = []

    def score(epoch: Epoch) -> None:
        epochs.append(epoch)
        clock[0] += 25  # which scoring may take

    _, training = trainer(epochs=100, minutes=1)
    training.run(score)
    assert [epoch.progress for epoch in epochs] == pytest.approx([0.01, 25 / 60, 50 / 60, 1])


def test_a_loss_that_is_not_finite_ends_training():
    broken = noise()
    broken.weights[2] = np.inf
    _, training = trainer(data=broken)
    with pytest.raises(TrainingError, match=r"loss is not finite since batch \d+ of epoch 1;"):
        training.run(lambda epoch: None)


def test_weights_that_are_not_finite_end_training():
    model, training = trainer()

    # The statistics of batch normalisation do not enter the loss while training.
    paths = [variable.path for variable in model.variables]
    number = next(i for i, path in enumerate(paths) if path.endswith("moving_mean"))

    def spoil(epoch: Epoch) -> None:
        state = training.state()
        state[number] *= np.nan
        training.restore(state, epochs=epoch.number, seconds=0)

    with pytest.raises(TrainingError, match="weights are not finite since epoch 2;"):
        training.run(spoil)
