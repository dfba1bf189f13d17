"""Set slices apart from training, and calibrate the outputs of a network with them.

A threshold of 0.5 on calibrated probabilities is not yet the best cut between cells: where a
membrane is faint, pixels are interior more often than not, and the cells on both sides merge. So
outputs are shifted further, until 0.5 separates cells best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import special

from unetseg.arrays.metrics import THRESHOLDS, StackScores, score_slice
from unetseg.engine.prediction import Predictor
from unetseg.network.batches import Slices
from unetseg.network.calibration import calibrate, rescale

if TYPE_CHECKING:
    import keras

# One labelled slice in so many is not trained on. Where there are fewer, none can be spared: a
# network trained on nine slices needs all of them more than it needs the right scale.
ONE_IN = 10
MOST = 8  # enough for two numbers, however many slices there are

# Candidate thresholds for the cut; the first and the last only count as neighbours.
CUTS = THRESHOLDS[2:10]
ALIKE = 1e-9  # sums of scores this close differ only by rounding

NOT_CALIBRATED = (
    "the outputs could not be calibrated: they are no probabilities, and the best threshold may be "
    "far from 0.5; train for longer, or look at the labels"
)


class Calibrator:
    """Set slices apart before training, and calibrate the outputs with them.

    A source slice is set apart together with all its copies. Where none can be spared, training
    slices are used instead: the outputs are then overconfident on new slices.

    Parameters
    ----------
    slices : Slices
        All slices that are not held out.
    sources : sequence of int
        The source slice of each of them; the first of a source is its original.
    memory : float
        Memory for predicting, in bytes.

    Attributes
    ----------
    training : Slices
        Slices to train on.
    trained_on, fitted_on : list of int
        Source slices to train on, and to calibrate with.
    found : (float, float) or None
        Scale and shift of the logits, as last found; the shift includes that of the cut.
    cut : float
        The calibrated probability that becomes 0.5 in the output.
    """

    def __init__(self, slices: Slices, sources: Sequence[int], *, memory: float) -> None:
        originals = {source: index for index, source in reversed(list(enumerate(sources)))}
        labelled = [one for one, i in originals.items() if (slices.weights[i] > 0).any()]
        apart = set_apart(labelled)
        self.training = slices.only([i for i, one in enumerate(sources) if one not in apart])
        self.trained_on = sorted(set(sources) - set(apart))
        self.fitted_on = apart or sorted(labelled)
        self.found: tuple[float, float] | None = None
        self.cut = 0.5
        self._slices = slices.only([originals[one] for one in self.fitted_on])
        self._memory = memory

    def prepare(self, predictor: Predictor) -> None:
        """Give a predictor its model's present weights, calibrated so that 0.5 cuts cells best.

        A single pass of the network is calibrated; the mean of 8 is a little less confident.
        """
        predictor.take_weights()
        once = partial(predictor.predict_slice, tta=False, memory=self._memory)
        self.found = calibrate(once, self._slices)
        if self.found is None:
            return
        scale, shift = self.found
        rescale(predictor.network, scale, shift)
        self.cut = find_cut(once, self._slices)
        self.found = scale, shift - float(special.logit(self.cut))
        predictor.take_weights()  # so that rounding is as in `finish`
        rescale(predictor.network, *self.found)

    def finish(self, model: keras.Model) -> None:
        """Apply the scale and shift found last to the weights of a model, for good."""
        if self.found is not None:
            rescale(model, *self.found)

    def describe(self) -> dict[str, Any] | None:
        """Return the entry for the manifest of a model; None if it is not calibrated."""
        if self.found is None:
            return None
        scale, shift = self.found
        trained_on = not set(self.trained_on).isdisjoint(self.fitted_on)
        return {
            "scale": scale,
            "shift": shift,
            "cut": self.cut,
            "fitted_on": self.fitted_on,
            "trained_on": trained_on,
        }


def find_cut(
    predict: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]], slices: Slices
) -> float:
    """Find the threshold that separates cells best, by the sum of V_Rand and V_Info.

    Sums are smoothed over neighbouring thresholds (1, 2, 1): with few slices, one cell that is
    merged or split changes a score more than the next threshold does.

    Parameters
    ----------
    predict : callable
        Takes a normalised image, returns the probability of interior, both (H, W) float32.
    slices : Slices
        Pixels of weight 0 do not count; slices without any cell are not scored.

    Returns
    -------
    float
        One of `CUTS`, except the first and the last; 0.5 if there is nothing to score.
    """
    scores = []
    for index in range(len(slices)):
        image, label, weight = slices.cut(index, np.s_[:, :])
        counted = weight > 0
        if (label[counted] > 0).any():
            scores.append(score_slice(predict(image), label, counted=counted, thresholds=CUTS))
    if not scores:
        return 0.5
    found = StackScores.from_slices(scores)
    sums = np.convolve(np.add(found.v_rand, found.v_info), (1, 2, 1), mode="valid")
    # Where several are equally good, the middle one.
    best = np.flatnonzero(sums >= sums.max() - ALIKE)
    return CUTS[1 + int(best[len(best) // 2])]


def set_apart(sources: Sequence[int]) -> list[int]:
    """Choose source slices to calibrate with, not to train on; none if there are too few.

    Parameters
    ----------
    sources : sequence of int
        Source slices that have labels and are not held out.

    Returns
    -------
    list of int
        About one in ten, and MOST at most: the middle ones of as many equal parts of the list.
    """
    known = sorted(set(sources))
    count = min(len(known) // ONE_IN, MOST)
    return [known[(2 * part + 1) * len(known) // (2 * count)] for part in range(count)]
