"""Decide whether `unetseg segment` links sections through slices: by option, or by prediction.

The decision never depends on the memory, so that the cells do not either.
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

# Pixels of the largest slices that are linked by default: those that fit into the default memory,
# with something to spare for reading.
LARGEST = 10**7
# Pairs of neighbours that are compared, evenly spaced in the stack, and edge of the part compared.
PAIRS = 9
EDGE = 1024

LINKED = "sections of one cell have one number in all slices; --no-link gives each its own"


def choose_link(
    given: bool | None, prediction: Volume, *, zero_is_missing: bool
) -> tuple[bool, list[str]]:
    """Decide whether to link, and what to tell the user.

    By default the slices of a stack are linked if they are not too large and bioimage-cpp is
    installed. The prediction shows whether they are of one stack, not unrelated images in one file
    or folder: most of a few pairs of neighbours fit best within a few pixels of where they are.

    Parameters
    ----------
    given : bool or None
        The user's choice; None for the default.
    prediction : Volume
    zero_is_missing : bool
        Whether a probability of exactly 0 means missing tissue.

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
    """Say why not to link the slices, and how to do so anyway; None if they can be linked."""
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
    """Whether most pairs of slices that are compared look like neighbours in a stack."""
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
