"""Turn what a weighted loss taught into probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from unetseg.network.backend import jit
from unetseg.network.batches import Patches
from unetseg.network.startup import keras
from unetseg.network.unet import LOGITS, with_logits

# Enough for two numbers, however many slices there are; of neighbouring pixels one will do.
BATCHES = 64
STEP = 7


def calibrate(model: keras.Model, patches: Patches) -> tuple[float, float]:
    """Scale and shift the logits, in place, to those that fit the labels best.

    A loss that weighs membrane more than interior teaches the network to exaggerate membrane.
    Where every pixel counts the same, the scale and shift of least cross-entropy make the outputs
    probabilities again (Platt scaling; Guo et al. 2017, arXiv 1706.04599, section 4.2). Which
    pixels are likelier than which does not change.

    Parameters
    ----------
    model : keras.Model
        As from `unetseg.network.unet.build_unet`.
    patches : Patches
        Those that it was trained on.

    Returns
    -------
    scale, shift : float
        What the logits were changed by.
    """
    network = with_logits(model)
    network.compile(jit_compile=jit())
    logits, labels = [], []
    for index in range(min(len(patches), BATCHES)):
        # Training counts its epochs from 1: these are cut where it did not cut them.
        images, truth, _ = patches.batch(0, index)
        logits.append(np.asarray(network.predict_on_batch(images), np.float64).ravel()[::STEP])
        labels.append(truth.ravel()[::STEP])
    scale, shift = fit_scale_and_shift(np.concatenate(logits), np.concatenate(labels))
    layer = model.get_layer(LOGITS)
    layer.kernel.assign(layer.kernel * scale)
    layer.bias.assign(layer.bias * scale + shift)
    return scale, shift


def fit_scale_and_shift(
    logits: npt.NDArray[np.float64], labels: npt.NDArray[np.float32]
) -> tuple[float, float]:
    """Scale (positive) and shift of the logits that give the labels the least cross-entropy."""

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        scale = np.exp(parameters[0])
        changed = scale * logits + parameters[1]
        error = special.expit(changed) - labels
        value = np.mean(np.logaddexp(0, changed) - labels * changed)
        gradient = np.array([np.mean(error * logits) * scale, np.mean(error)])
        return float(value), gradient

    best = optimize.minimize(loss, np.zeros(2), jac=True, method="BFGS")
    return float(np.exp(best.x[0])), float(best.x[1])
