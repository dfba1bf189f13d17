"""Link sections to cells through the slices, by partitioning a graph of sections.

Sections are nodes. An edge says how likely two of them are the same cell: for neighbours in a
slice, from the predicted membrane between them; for sections of two slices, from their overlap.
Minimum cost multicut (correlation clustering; Andres et al., ECCV 2012, doi
10.1007/978-3-642-33712-3_56) then finds the cells with the best evidence, summed over all edges:
cells may branch and end, and sections of one slice may be the same cell. Its solver is that of
Kernighan and Lin (Keuper et al., ICCV 2015, doi 10.1109/ICCV.2015.204), from bioimage-cpp.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.layers import Layer, find_drift
from unetseg.errors import UnetsegError

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]

# Number of preceding slices that a slice is compared with. A single slice that is badly predicted
# or lost then does not cut a cell in two.
REACH = 3
# Most lost slices in a row that are bridged.
MOST_LOST = 3

# Log-odds that two sections are the same cell: a constant, then a weight for each measure of an
# edge. Fitted by `benchmarks/link.py --fit`, on synthetic stacks of 4 x 4 x 50 nm.
BETWEEN = (  # at a distance of 1, 2, 3 and more slices; by shares of overlap, see `link_slices`
    (2.48, 1.06, 0.35),
    (2.34, 1.07, 0.31),
    (1.98, 1.00, 0.21),
)
WITHIN = (-3.53, 7.95)  # by the mean probability of interior between them
# Evidence grows with the pixels that it rests on, but slowly: they are far from independent.
POWER = 0.25
# Keeps the log-odds of a share of 0 or 1 finite.
SOFTENING = 0.01


def import_graphs() -> Any:
    """Import bioimage-cpp, which has no wheels for some machines, and which only linking needs.

    Raises
    ------
    UnetsegError
        If it is not installed.
    """
    try:
        import bioimage_cpp.graph.multicut
    except ImportError as error:
        raise UnetsegError(
            f"--link: expected the package bioimage-cpp, found none ({error}); pip install "
            "bioimage-cpp, or give --no-link"
        ) from error
    return bioimage_cpp.graph


@dataclass(frozen=True)
class Edges:
    """Pairs of sections, and the evidence that they are the same cell.

    Attributes
    ----------
    pairs : (N, 2) int64
        Numbers of sections.
    measures : (N, M) float64
        The measures that `evidence` weighs, after a column of ones.
    pixels : (N,) int64
        How many pixels the evidence rests on.
    distance : int
        Slices from one section to the other; 0 in the same slice.
    """

    pairs: npt.NDArray[np.int64]
    measures: npt.NDArray[np.float64]
    pixels: npt.NDArray[np.int64]
    distance: int

    @property
    def evidence(self) -> npt.NDArray[np.float64]:
        """Log-odds that the pair is the same cell, times a power of the number of pixels."""
        weights = BETWEEN[min(self.distance, REACH) - 1] if self.distance else WITHIN
        # Sections are compared with REACH slices, but only once with their neighbours in a slice.
        times = 1 if self.distance else REACH
        return np.asarray(times * (self.measures @ np.array(weights)) * self.pixels**POWER)


class Linker:
    """Gather evidence slice by slice, then decide; at most REACH slices are kept in memory.

    Raises
    ------
    UnetsegError
        If bioimage-cpp is not installed.
    """

    def __init__(self) -> None:
        import_graphs()  # fails now, rather than after all slices are read
        self._before: deque[Layer] = deque(maxlen=REACH)
        self._pairs: list[npt.NDArray[np.int64]] = []
        self._evidence: list[npt.NDArray[np.float64]] = []

    def add(self, layer: Layer) -> None:
        """Add the next slice. One without tissue is lost: it is skipped, and its neighbours linked.

        Parameters
        ----------
        layer : Layer
            Below all slices added so far.
        """
        if not layer.tissue.any():
            return
        if self._before and layer.z - self._before[-1].z > MOST_LOST + 1:
            self._before.clear()
        self._keep(link_neighbours(layer))
        for before in self._before:
            self._keep(link_slices(before, layer))
        self._before.append(layer)

    def _keep(self, edges: Edges) -> None:
        self._pairs.append(edges.pairs)
        self._evidence.append(edges.evidence)

    def solve(self, sections: int) -> npt.NDArray[np.int64]:
        """Decide which sections are the same cell.

        Parameters
        ----------
        sections : int
            How many there are; they are numbered from 1.

        Returns
        -------
        (sections + 1,) int64
            For each section the number of its cell: from 1, in the order of their first sections.
            0 at index 0, which is no section.
        """
        return solve_multicut(sections, *self.edges())

    def edges(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Return the pairs of sections, (N, 2), and their evidence, (N,), gathered so far."""
        pairs = np.concatenate([np.empty((0, 2), np.int64), *self._pairs])
        return pairs, np.concatenate([np.empty(0), *self._evidence])


def solve_multicut(
    sections: int, pairs: npt.NDArray[np.int64], evidence: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Partition a graph so that the evidence within its parts has the largest sum that is found.

    Parameters
    ----------
    sections : int
        Number of nodes, which are numbered from 1.
    pairs : (N, 2) int64
        Edges, each of them once, with the smaller number first.
    evidence : (N,) float64
        Positive for the same part, negative for different parts.

    Returns
    -------
    (sections + 1,) int64
        The part of each node, from 1 in the order of their smallest nodes; 0 at index 0.
    """
    parts = np.zeros(sections + 1, np.int64)
    if not sections:
        return parts
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))  # as the graph requires
    graphs = import_graphs()
    graph = graphs.UndirectedGraph.from_unique_edges(sections, pairs[order] - 1)
    objective = graphs.multicut.MulticutObjective(graph, evidence[order])
    found = np.asarray(graphs.multicut.KernighanLinMulticut().optimize(objective))
    _, first, part = np.unique(found, return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    number[np.argsort(first)] = np.arange(1, len(first) + 1)
    parts[1:] = number[part]
    return parts


def link_neighbours(layer: Layer) -> Edges:
    """Measure the membrane between neighbouring sections of a slice.

    Parameters
    ----------
    layer : Layer
        Neighbouring sections are separated by a line one pixel wide, as `segment_cells` leaves it.

    Returns
    -------
    Edges
        For sections that are separated by a single pixel in a row or column, the mean probability
        of interior in those pixels.
    """
    cells, found = layer.sections, []
    for one, between, other, probability in (
        (cells[:-2], cells[1:-1], cells[2:], layer.probability[1:-1]),
        (cells[:, :-2], cells[:, 1:-1], cells[:, 2:], layer.probability[:, 1:-1]),
    ):
        apart = (between == 0) & (one > 0) & (other > 0) & (one != other)
        sides = np.stack([one[apart], other[apart]], axis=1).astype(np.int64)
        found.append((np.sort(sides, axis=1), probability[apart]))
    sides, probability = (np.concatenate(part) for part in zip(*found, strict=True))
    pairs, which, pixels = _count(sides)
    mean = np.bincount(which, probability, minlength=len(pairs)) / np.maximum(pixels, 1)
    return Edges(pairs, np.stack([np.ones(len(pairs)), mean], axis=1), pixels, distance=0)


def link_slices(before: Layer, after: Layer) -> Edges:
    """Measure how the sections of two slices overlap, once the slices are aligned.

    Pixels are weighted by the probability of interior, in an overlap the lower one of both slices:
    overlap on membrane does not count. Nor does what one slice shows beyond the frame or the tissue
    of the other.

    Parameters
    ----------
    before, after : Layer
        The former lies above the latter.

    Returns
    -------
    Edges
        For each pair that overlaps, the log-odds of two shares: of the overlap in the union, and of
        the overlap in the smaller one of the two.
    """
    here, there = _windows(find_drift(before, after), before.sections.shape)
    common = before.tissue[here] & after.tissue[there]
    above, below = before.probability[here] * common, after.probability[there] * common
    pairs, which, pixels = _count(
        np.stack([before.sections[here].ravel(), after.sections[there].ravel()], axis=1)
    )
    shared = np.bincount(which, np.minimum(above, below).ravel(), minlength=len(pairs))
    one = _total(pairs[:, 0], np.bincount(which, above.ravel(), minlength=len(pairs)))
    other = _total(pairs[:, 1], np.bincount(which, below.ravel(), minlength=len(pairs)))
    both = (pairs > 0).all(axis=1) & (shared > 0)
    shared, one, other = shared[both], one[both], other[both]
    in_union, in_smaller = shared / (one + other - shared), shared / np.minimum(one, other)
    measures = [np.ones(len(shared)), _log_odds(in_union), _log_odds(in_smaller)]
    return Edges(pairs[both], np.stack(measures, axis=1), pixels[both], distance=after.z - before.z)


def _windows(
    drift: tuple[int, int], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the area that two slices have in common, in the first and in the second."""
    here = (slice(max(-by, 0), size - max(by, 0)) for by, size in zip(drift, shape, strict=True))
    there = (slice(max(by, 0), size - max(-by, 0)) for by, size in zip(drift, shape, strict=True))
    return tuple(here), tuple(there)


def _count(
    sides: Ints,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Return the distinct pairs, the index of each row's pair, and the count of each pair."""
    base = int(sides.max(initial=0)) + 1
    keys, which, times = np.unique(
        sides[:, 0].astype(np.int64) * base + sides[:, 1], return_inverse=True, return_counts=True
    )
    return np.stack(np.divmod(keys, base), axis=1), which, times


def _total(owner: npt.NDArray[np.int64], parts: npt.NDArray[Any]) -> Floats:
    """Return, for each part, the sum of all parts with the same owner."""
    _, which = np.unique(owner, return_inverse=True)
    return np.asarray(np.bincount(which, parts)[which], np.float64)


def _log_odds(share: Floats) -> Floats:
    return np.asarray(np.log((share + SOFTENING) / (1 - share + SOFTENING)))
