"""The scores of the ISBI 2012 challenge, to the letter of the organisers' evaluation.

Arganda-Carreras et al. 2015, "Crowdsourcing the creation of image segmentation algorithms for
connectomics", Frontiers in Neuroanatomy 9:142, doi 10.3389/fnana.2015.00142.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from unetseg.arrays.segments import label_cells, thin_borders

# 0.0, 0.1, ... 1.0 by repeated addition, as the organisers step: the last one is
# 0.9999999999999999, so that a pixel of exactly 1.0 still passes "> threshold".
THRESHOLDS: tuple[float, ...] = tuple(accumulate(repeat(0.1, 10), initial=0.0))

IntArray = npt.NDArray[Any]  # of any integer type


@dataclass(frozen=True)
class FScore:
    """An F-score of two segmentations and its two sides, each in 0..1.

    Attributes
    ----------
    value : float
        Harmonic mean of `merge` and `split`.
    merge : float
        Falls when the proposal joins cells that are apart in the truth.
    split : float
        Falls when the proposal cuts a cell of the truth to pieces.
    """

    value: float
    merge: float
    split: float


@dataclass(frozen=True)
class SliceScores:
    """Scores of one slice at one threshold.

    Attributes
    ----------
    rand, information : FScore
        V_Rand and V_Info after border thinning.
    hits, false_interior, false_membrane : int
        Pixels: interior found; membrane called interior; interior called membrane.
    """

    rand: FScore
    information: FScore
    hits: int
    false_interior: int
    false_membrane: int


def segmentation_scores(truth: IntArray, proposal: IntArray) -> tuple[FScore, FScore]:
    """Foreground-restricted Rand and information-theoretic F-scores of two segmentations.

    Over the n pixels whose truth is not 0; p_ij is the share of them in truth segment i and
    proposal segment j, a_i = sum_j p_ij with j = 0 included, b_j = sum_i p_ij for j >= 1.
    Pixels that the proposal leaves at 0 (dams; a share z) each count as a segment of one pixel::

        Rand:         split = (sum p_ij^2 + z/n) / sum a_i^2
                      merge = (sum p_ij^2 + z/n) / (sum b_j^2 + z/n)
        information:  H(truth) = -sum a ln a,  H(proposal) = -sum b ln b + z ln n,
                      H(joint) = -sum p ln p + z ln n,  I = H(truth) + H(proposal) - H(joint)
                      merge = I / H(truth),  split = I / H(proposal)

    Parameters
    ----------
    truth, proposal : (H, W) int
        Segment numbers, 0 or more; 0 is membrane in the truth and a dam in the proposal.

    Returns
    -------
    rand, information : FScore
        V_Rand and V_Info (section 2.4 of the paper named above, with alpha = 0.5).

    Raises
    ------
    ValueError
        If the truth holds no segment at all.
    """
    inside = truth > 0
    count = int(np.count_nonzero(inside))
    if count == 0:
        raise ValueError("the truth holds no segment: every pixel is 0")
    pairs = sparse.coo_array(
        (np.ones(count), (truth[inside], proposal[inside])),
        shape=(int(truth.max()) + 1, int(proposal.max()) + 1),
    ).tocsc()
    a = pairs.sum(axis=1) / count
    b = pairs.sum(axis=0)[1:] / count
    p = pairs[:, 1:].data / count
    z = pairs[:, :1].sum() / count

    both = np.sum(p**2) + z / count
    rand_split = both / np.sum(a**2)
    rand_merge = both / (np.sum(b**2) + z / count)

    singletons = z * np.log(count)
    entropy_truth = _entropy(a)
    entropy_proposal = _entropy(b) + singletons
    shared = entropy_truth + entropy_proposal - (_entropy(p) + singletons)
    rand = FScore(
        value=float(2 * rand_merge * rand_split / (rand_merge + rand_split)),
        merge=float(rand_merge),
        split=float(rand_split),
    )
    information = FScore(
        value=_ratio(2 * shared, entropy_truth + entropy_proposal),
        merge=_ratio(shared, entropy_truth),
        split=_ratio(shared, entropy_proposal),
    )
    return rand, information


def name_scores(rand: FScore, information: FScore) -> dict[str, float]:
    """Return both scores and their sides, by their names in files."""
    return {
        "v_rand": rand.value,
        "v_rand_merge": rand.merge,
        "v_rand_split": rand.split,
        "v_info": information.value,
        "v_info_merge": information.merge,
        "v_info_split": information.split,
    }


def _entropy(shares: npt.NDArray[np.float64]) -> float:
    present = shares[shares > 0]
    return float(-np.sum(present * np.log(present)))


def _ratio(part: float, whole: float) -> float:
    # No entropy at all: one segment in both, which is perfect agreement.
    return float(part / whole) if whole > 0 else 1.0


def score_slice(
    probability: npt.NDArray[Any],
    label: npt.NDArray[Any],
    *,
    thresholds: Sequence[float],
    counted: npt.NDArray[np.bool_] | None = None,
) -> list[SliceScores]:
    """Score one slice at each threshold.

    Pixels that do not count are treated like those outside the slice: cells of the truth and of the
    prediction end there.

    Parameters
    ----------
    probability : (H, W) float
        Probability of cell interior, 0..1. Compared in double precision, as the organisers do.
    label : (H, W) int or bool
        0 on membrane, anything else inside a cell.
    thresholds : sequence of float
        `THRESHOLDS` for the challenge's scores.
    counted : (H, W) bool, optional
        False on pixels that do not count.

    Returns
    -------
    list of SliceScores
        One for each threshold.

    Raises
    ------
    ValueError
        If no pixel of the label that counts is inside a cell.
    """
    if counted is None:
        counted = np.ones(label.shape, np.bool_)
    truth_interior = (label != 0) & counted
    truth = label_cells(truth_interior)
    exact = probability.astype(np.float64)
    return [_score_threshold(exact > t, truth_interior, truth, counted) for t in thresholds]


def _score_threshold(
    interior: npt.NDArray[np.bool_],
    truth_interior: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.int32],
    counted: npt.NDArray[np.bool_],
) -> SliceScores:
    rand, information = segmentation_scores(truth, thin_borders(interior, counted=counted))
    return SliceScores(
        rand=rand,
        information=information,
        hits=int(np.count_nonzero(interior & truth_interior)),
        false_interior=int(np.count_nonzero(interior & counted & ~truth_interior)),
        false_membrane=int(np.count_nonzero(~interior & truth_interior)),
    )


@dataclass(frozen=True)
class StackScores:
    """Scores of a stack: for each threshold the mean over its slices, and the best threshold.

    Attributes
    ----------
    v_rand, v_info : tuple of float
        Means over the slices, one for each threshold.
    pixel_error : tuple of float
        1 - F-score of interior pixels, counts summed over the slices (the challenge's pixel
        error), one for each threshold.
    """

    v_rand: tuple[float, ...]
    v_info: tuple[float, ...]
    pixel_error: tuple[float, ...]

    @classmethod
    def from_slices(cls, slices: Sequence[Sequence[SliceScores]]) -> StackScores:
        """Combine the scores of slices, each as `score_slice` returns them."""
        columns = list(zip(*slices, strict=True))
        return cls(
            v_rand=tuple(float(np.mean([s.rand.value for s in c])) for c in columns),
            v_info=tuple(float(np.mean([s.information.value for s in c])) for c in columns),
            pixel_error=tuple(_pixel_error(c) for c in columns),
        )

    @property
    def best_v_rand(self) -> int:
        """Index of the threshold with the highest V_Rand."""
        return int(np.argmax(self.v_rand))

    @property
    def best_v_info(self) -> int:
        """Index of the threshold with the highest V_Info."""
        return int(np.argmax(self.v_info))

    @property
    def best_pixel_error(self) -> int:
        """Index of the threshold with the lowest pixel error."""
        return int(np.argmin(self.pixel_error))

    def best(self) -> dict[str, float]:
        """Each measure at its own best threshold, by name."""
        return {
            "v_rand": self.v_rand[self.best_v_rand],
            "v_info": self.v_info[self.best_v_info],
            "pixel_error": self.pixel_error[self.best_pixel_error],
        }


def _pixel_error(slices: Sequence[SliceScores]) -> float:
    hits = sum(s.hits for s in slices)
    wrong = sum(s.false_interior + s.false_membrane for s in slices)
    return 1.0 - 2 * hits / (2 * hits + wrong)
