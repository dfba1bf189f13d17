"""Turn the outputs of a network trained with a weighted loss into probabilities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from unetseg.network.batches import Slices
from unetseg.network.startup import keras
from unetseg.network.unet import LOGITS

# About how many pixels of a slice are used: neighbouring pixels carry the same information.
PIXELS = 2**16

# Least distance of probabilities from 0 and 1 that float32 resolves: closer, logits are infinite.
CERTAIN = 1e-7


def calibrate(
    predict: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]], slices: Slices
) -> tuple[float, float] | None:
    """Find the scale and shift of the logits that fit the labels best.

    A loss that weights membrane more than interior teaches the network to exaggerate membrane, and
    the network is more confident on what it was trained on than on anything new. The scale and
    shift of least unweighted cross-entropy, on slices that it has not seen, make its outputs
    probabilities again (Platt scaling; Guo et al. 2017, arXiv 1706.04599, section 4.2). The
    ranking of pixels by probability does not change.

    Parameters
    ----------
    predict : callable
        Takes a normalised image, returns the probability of interior, both (H, W) float32.
    slices : Slices
        Pixels of weight 0 do not count; the weights of others make no difference.

    Returns
    -------
    scale, shift : float
        None if `fit_scale_and_shift` finds none.
    """
    logits, labels = [], []
    for index in range(len(slices)):
        image, label, weight = slices.cut(index, np.s_[:, :])
        counted = np.flatnonzero(weight > 0)
        # An odd step, so as not to use only some columns.
        counted = counted[:: 2 * (counted.size // (2 * PIXELS)) + 1]
        probability = predict(image).ravel()[counted].astype(np.float64)
        logits.append(special.logit(np.clip(probability, CERTAIN, 1 - CERTAIN)))
        labels.append(label.ravel()[counted])
    return fit_scale_and_shift(np.concatenate(logits), np.concatenate(labels))


def fit_scale_and_shift(
    logits: npt.NDArray[np.float64], labels: npt.NDArray[np.uint8]
) -> tuple[float, float] | None:
    """Find the positive scale and the shift of the logits with the least cross-entropy.

    Returns
    -------
    scale, shift : float
        None if there are none: all labels are the same, all logits are the same or a logit is not
        finite, higher logits mean membrane, or the search did not converge.
    """
    interior = np.count_nonzero(labels)
    spread = float(np.std(logits)) if logits.size else 0.0
    if not 0 < interior < labels.size or not 0 < spread < np.inf:
        return None
    middle = float(np.mean(logits))
    # Standardised, so that the search finds both parameters equally well.
    standard = (logits - middle) / spread
    # As if one more pixel of each kind had been seen (Platt 1999): without them the best scale of
    # logits that are never wrong would be infinite.
    targets = np.where(
        labels > 0, (interior + 1) / (interior + 2), 1 / (labels.size - interior + 2)
    )

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        changed = parameters[0] * standard + parameters[1]
        error = special.expit(changed) - targets
        value = np.mean(np.logaddexp(0, changed) - targets * changed)
        return float(value), np.array([np.mean(error * standard), np.mean(error)])

    best = optimize.minimize(loss, [spread, middle], jac=True, method="BFGS")
    scale = float(best.x[0]) / spread
    shift = float(best.x[1]) - scale * middle
    if not best.success or not 0 < scale < np.inf or not np.isfinite(shift):
        return None
    return scale, shift


def rescale(model: keras.Model, scale: float, shift: float) -> None:
    """Scale the logits of a network, then shift them, by changing its weights."""
    layer = model.get_layer(LOGITS)
    layer.kernel.assign(layer.kernel * scale)
    layer.bias.assign(layer.bias * scale + shift)
