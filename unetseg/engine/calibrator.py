"""Which slices a network is trained on, and which show how sure it may be of the others.

A calibrated probability is not yet the best cut between cells: where a membrane is faint, pixels
are interior more often than not, and at 0.5 the cells on both sides run together. So outputs are
moved further, to where 0.5 separates cells best.
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

# Of the slices with labels one in so many is not trained on. Where there are fewer, none can be
# spared: a network of nine slices needs all of them more than it needs the right scale.
ONE_IN = 10
MOST = 8  # enough for two numbers, however many slices there are

# Thresholds that a cut is looked for between, the first and the last left out.
CUTS = THRESHOLDS[2:10]
ALIKE = 1e-9  # sums of scores that differ by rounding

NOT_CALIBRATED = (
    "the outputs could not be calibrated: they are no probabilities, and the best threshold may be "
    "far from 0.5; train for longer, or look at the labels"
)


class Calibrator:
    """Sets slices apart before training, and turns outputs into probabilities by them.

    A source slice is set apart together with all its copies. Where none can be spared, those that
    are trained on take their place: the outputs are then too sure of themselves on new slices.

    Parameters
    ----------
    slices : Slices
        All that are not held out.
    sources : sequence of int
        The source slice of each of them; the first of a source is its original.
    memory : float
        For predicting, in bytes.

    Attributes
    ----------
    training : Slices
        Those to train on.
    trained_on, fitted_on : list of int
        Source slices: those to train on, and those that outputs are compared with.
    found : (float, float) or None
        Scale and shift of the logits, as they were found last; the shift holds that of the cut.
    cut : float
        The calibrated probability that is delivered as 0.5.
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
        """Let a predictor have its model's present weights, calibrated, and cells cut at 0.5.

        It is one pass of the network that is looked at: the mean of 8 is a little less sure.
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
        predictor.take_weights()  # so that rounding is that of `finish`
        rescale(predictor.network, *self.found)

    def finish(self, model: keras.Model) -> None:
        """Let a model have, for good, what was found for it last."""
        if self.found is not None:
            rescale(model, *self.found)

    def describe(self) -> dict[str, Any] | None:
        """For the manifest of a model; None if its outputs are as they were trained."""
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
    """The threshold at which cells are best told from each other, by the sum of V_Rand and V_Info.

    A threshold counts with its neighbours (1, 2, 1): of few slices, one cell that is joined or cut
    moves a score further than a threshold does.

    Parameters
    ----------
    predict : callable
        Takes a normalised image, returns the probability of interior, both (H, W) float32.
    slices : Slices
        Pixels of weight 0 do not count; of slices without any cell there is nothing to score.

    Returns
    -------
    float
        One of `CUTS` but the first and the last; 0.5 if there is nothing to score.
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
    # Where several are as good, the middle one.
    best = np.flatnonzero(sums >= sums.max() - ALIKE)
    return CUTS[1 + int(best[len(best) // 2])]


def set_apart(sources: Sequence[int]) -> list[int]:
    """Which source slices to calibrate with, and not to train on; none if there are too few.

    Parameters
    ----------
    sources : sequence of int
        Those that have labels, and that are not held out.

    Returns
    -------
    list of int
        One in ten or so, from the middle of as many equal parts of the stack.
    """
    known = sorted(set(sources))
    count = min(len(known) // ONE_IN, MOST)
    return [known[(2 * part + 1) * len(known) // (2 * count)] for part in range(count)]
