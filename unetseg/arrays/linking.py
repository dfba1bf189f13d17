"""Cells through the slices: which sections are of one cell, by a graph of sections that is cut.

Sections are nodes. An edge says how likely two of them are one cell: of neighbours in a slice, by
what the prediction says of the membrane between them; of two slices, by how they overlap. Minimum
cost multicut (correlation clustering; Andres et al., ECCV 2012, doi 10.1007/978-3-642-33712-3_56)
then finds the cells for which the evidence, summed over all edges, is best: cells may branch and
end, and sections of one slice may be one cell. Its solver is that of Kernighan and Lin (Keuper et
al., ICCV 2015, doi 10.1109/ICCV.2015.204), from bioimage-cpp.
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

# Slices before it that a slice is compared with. One slice that is badly predicted then separates
# no cell, and so does none that is lost.
REACH = 3
# Lost slices in a row that are bridged.
MOST_LOST = 3

# Log-odds that two sections are of one cell: a constant, and what the measures of an edge weigh.
# Fitted by `benchmarks/link.py --fit`, on synthetic stacks of 4 x 4 x 50 nm.
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
    """Pairs of sections, and how much speaks for one cell.

    Attributes
    ----------
    pairs : (N, 2) int64
        Numbers of sections.
    measures : (N, M) float64
        What `evidence` weighs, a column of ones first.
    pixels : (N,) int64
        Those that it rests on.
    distance : int
        Slices from one to the other; 0 in the same.
    """

    pairs: npt.NDArray[np.int64]
    measures: npt.NDArray[np.float64]
    pixels: npt.NDArray[np.int64]
    distance: int

    @property
    def evidence(self) -> npt.NDArray[np.float64]:
        """Log-odds that the pair is one cell, times a power of the pixels; negative against it."""
        weights = BETWEEN[min(self.distance, REACH) - 1] if self.distance else WITHIN
        # Sections are compared with REACH slices, and only once with their neighbours.
        times = 1 if self.distance else REACH
        return np.asarray(times * (self.measures @ np.array(weights)) * self.pixels**POWER)


class Linker:
    """Gather evidence slice by slice, then decide; it keeps no more than REACH slices.

    Raises
    ------
    UnetsegError
        If bioimage-cpp is not installed.
    """

    def __init__(self) -> None:
        import_graphs()  # said now, not when all slices have been looked at
        self._before: deque[Layer] = deque(maxlen=REACH)
        self._pairs: list[npt.NDArray[np.int64]] = []
        self._evidence: list[npt.NDArray[np.float64]] = []

    def add(self, layer: Layer) -> None:
        """Take the next slice. One that shows no tissue is lost, and neighbours of it are linked.

        Parameters
        ----------
        layer : Layer
            Farther down than those before.
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
        """Decide which sections are one cell.

        Parameters
        ----------
        sections : int
            How many there are; their numbers are 1 to that.

        Returns
        -------
        (sections + 1,) int64
            For each section the number of its cell: from 1, in the order of their first sections.
            0 for 0, which is none.
        """
        return solve_multicut(sections, *self.edges())

    def edges(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Pairs of sections, (N, 2), and what speaks for one cell, (N,), as gathered so far."""
        pairs = np.concatenate([np.empty((0, 2), np.int64), *self._pairs])
        return pairs, np.concatenate([np.empty(0), *self._evidence])


def solve_multicut(
    sections: int, pairs: npt.NDArray[np.int64], evidence: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Part a graph such that the evidence within its parts has the largest sum that is found.

    Parameters
    ----------
    sections : int
        Nodes are 1 to that.
    pairs : (N, 2) int64
        Edges, none of them twice, each with the smaller number first.
    evidence : (N,) float64
        Positive for one part, negative for two.

    Returns
    -------
    (sections + 1,) int64
        The part of each node, from 1 in the order of their smallest nodes; 0 for 0.
    """
    parts = np.zeros(sections + 1, np.int64)
    if not sections:
        return parts
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))  # which the graph wants
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
    """Measure what lies between neighbours in a slice.

    Parameters
    ----------
    layer : Layer
        Between whose neighbours lies a line one pixel wide, as `segment_cells` leaves it.

    Returns
    -------
    Edges
        Of sections that a single pixel in a row or column separates, the mean probability of
        interior in those pixels.
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
    """Measure how the sections of two slices overlap, once one is moved onto the other.

    Pixels weigh as much as both predictions are sure that they are inside a cell: an overlap that
    lies on membrane is none. What one slice shows beyond the frame or the tissue of the other does
    not count.

    Parameters
    ----------
    before, after : Layer
        The former lies above the latter.

    Returns
    -------
    Edges
        Of each pair that overlaps, the log-odds of two shares: of the overlap in the union, and of
        the overlap in that of the two of which it is the larger part.
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
    """What two slices have in common, as seen from the one that moves and from the other."""
    here = (slice(max(-by, 0), size - max(by, 0)) for by, size in zip(drift, shape, strict=True))
    there = (slice(max(by, 0), size - max(-by, 0)) for by, size in zip(drift, shape, strict=True))
    return tuple(here), tuple(there)


def _count(
    sides: Ints,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Every pair that occurs, which of them each row is, and how often it occurs."""
    base = int(sides.max(initial=0)) + 1
    keys, which, times = np.unique(
        sides[:, 0].astype(np.int64) * base + sides[:, 1], return_inverse=True, return_counts=True
    )
    return np.stack(np.divmod(keys, base), axis=1), which, times


def _total(owner: npt.NDArray[np.int64], parts: npt.NDArray[Any]) -> Floats:
    """For each part, the sum of the parts of its owner."""
    _, which = np.unique(owner, return_inverse=True)
    return np.asarray(np.bincount(which, parts)[which], np.float64)


def _log_odds(share: Floats) -> Floats:
    return np.asarray(np.log((share + SOFTENING) / (1 - share + SOFTENING)))
