"""Whether `unetseg segment` links sections through the slices: said, or seen of the prediction.

It never depends on the memory, so that neither do the cells.
"""

from __future__ import annotations

import math

import numpy as np

from unetseg.arrays.cells import tissue_of
from unetseg.arrays.layers import Layer, lie_together
from unetseg.arrays.linking import import_graphs
from unetseg.arrays.tiles import middle_of
from unetseg.errors import UnetsegError, UsageError
from unetseg.stacks.volume import Volume

# Pixels of the largest slices that are linked unless it is said: those that fit into the memory
# that is allowed by default, with something to spare for reading.
LARGEST = 10**7
# Neighbours that are compared, evenly through the stack, and the edge of what is seen of them.
PAIRS = 9
EDGE = 1024

LINKED = "sections of one cell have one number in all slices; --no-link gives each its own"


def choose_link(
    given: bool | None, prediction: Volume, *, zero_is_missing: bool
) -> tuple[bool, list[str]]:
    """Decide whether to link, and what to say of it.

    Unless it was said, the slices of a stack are linked. That they are of one, and not images that
    only lie in one file or folder, is seen of the prediction: of most of a few neighbours, nowhere
    does one fit the other better than within a few pixels of where it is.

    Parameters
    ----------
    given : bool or None
        What the user has said.
    prediction : Volume
    zero_is_missing : bool
        Whether a probability of exactly 0 shows no tissue.

    Returns
    -------
    linked : bool
    notes : list of str
        One line at most.

    Raises
    ------
    UsageError
        If separate micrographs are to be linked.
    UnetsegError
        If sections are to be linked, and bioimage-cpp is not installed.
    """
    if given is not None:
        if given:
            import_graphs()
            if prediction.separate:
                raise UsageError(
                    "--link: expected slices of one stack, found separate micrographs in "
                    f"{prediction.path}; leave --link out"
                )
        return given, []
    if prediction.separate or len(prediction) == 1:
        return False, []
    reason = _reason_against(prediction, zero_is_missing=zero_is_missing)
    return reason is None, [LINKED if reason is None else f"slices are not linked: {reason}"]


def _reason_against(prediction: Volume, *, zero_is_missing: bool) -> str | None:
    """Why not to link the slices, and how to do it all the same."""
    if math.prod(prediction.shape[1:]) > LARGEST:
        return f"they are larger than {LARGEST // 10**6} megapixels; --link takes more memory"
    try:
        import_graphs()
    except UnetsegError:
        return "the package bioimage-cpp is not installed; pip install bioimage-cpp"
    if not _are_neighbours(prediction, zero_is_missing=zero_is_missing):
        return "they do not look like neighbours in a stack; --link links them all the same"
    return None


def _are_neighbours(prediction: Volume, *, zero_is_missing: bool) -> bool:
    """Whether most slices that are looked at lie where those behind them do."""
    box = middle_of(prediction.shape[1:], most=EDGE)

    def see(z: int) -> Layer:
        probability = prediction.part(z, box)
        tissue = tissue_of(probability, zero_is_missing=zero_is_missing)
        return Layer(z, np.empty((0, 0), int), probability, tissue)

    pairs = len(prediction) - 1
    chosen = np.unique(np.linspace(0, pairs - 1, min(pairs, PAIRS)).round().astype(int)).tolist()
    shown = found = 0
    for pair in ((see(z), see(z + 1)) for z in chosen):
        if all(layer.tissue.any() for layer in pair):
            shown += 1
            found += lie_together(*pair)
    return 2 * found > shown
