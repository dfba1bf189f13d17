"""Measure how certain each decision of linking is, by the evidence that linking summed up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra, minimum_spanning_tree

Whole = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decisions:
    """Decisions on pairs of sections, and their margins.

    Attributes
    ----------
    pairs : (N, 2) int64
        Numbers of sections, the smaller one first.
    joined : (N,) bool
        Whether both belong to the same cell.
    margin : (N,) float64
        How much the sum of the evidence would fall under the opposite decision: if the cell were
        cut in two between them, or their two cells were joined.
    """

    pairs: Whole
    joined: npt.NDArray[np.bool_]
    margin: Floats

    def least_sure(self, most: int) -> Decisions:
        """Return the decisions with the smallest margins, the least certain first."""
        order = np.lexsort((self.pairs[:, 1], self.pairs[:, 0], self.margin))[:most]
        return Decisions(self.pairs[order], self.joined[order], self.margin[order])


def weigh_decisions(pairs: Whole, evidence: Floats, numbers: Whole) -> Decisions:
    """Compute the margins of the decisions by which a graph of sections was divided into cells.

    A single edge says little: others may support the same decision as strongly. So all edges
    between two cells are summed up, and the one with the most evidence for joining them represents
    them. A cell is held together by a spanning tree of its strongest edges (Kruskal, doi
    10.1090/S0002-9939-1956-0078686-7); without one of these it would fall into two parts, and all
    edges between the parts are summed up.

    Parameters
    ----------
    pairs : (N, 2) int64
        Edges, each of them once.
    evidence : (N,) float64
        Positive for the same cell, negative for different cells.
    numbers : (sections + 1,) int64
        The cell of each section; 0 at index 0, which is no section.

    Returns
    -------
    Decisions
        One for each edge of the spanning tree of each cell (one fewer than it has sections, if
        edges connect them all), then one for each two cells with an edge between them.
    """
    pairs = np.sort(pairs, axis=1)
    cells = numbers[pairs]
    within = cells[:, 0] == cells[:, 1]
    joined = _weigh_cells(pairs[within], evidence[within], nodes=len(numbers))
    apart = _weigh_borders(pairs[~within], evidence[~within], cells[~within])
    return Decisions(
        np.concatenate([joined[0], apart[0]]),
        np.arange(len(joined[0]) + len(apart[0])) < len(joined[0]),
        np.concatenate([joined[1], apart[1]]),
    )


def _weigh_borders(pairs: Whole, evidence: Floats, cells: Whole) -> tuple[Whole, Floats]:
    """Return the strongest edge between each two cells, and the evidence against joining them."""
    borders, which = np.unique(np.sort(cells, axis=1), axis=0, return_inverse=True)
    which = which.reshape(-1)
    order = np.lexsort((-evidence, which))
    first = order[np.searchsorted(which[order], np.arange(len(borders)))]
    against = -np.bincount(which, evidence, minlength=len(borders))
    return pairs[first], against.astype(np.float64)


def _weigh_cells(pairs: Whole, evidence: Floats, *, nodes: int) -> tuple[Whole, Floats]:
    """Return the edges of the cells' spanning trees, and the evidence for joining their sides."""
    # The largest evidence gets the smallest weight; no weight is 0, which would mean no edge.
    weights = evidence.max(initial=0) - evidence + 1
    tree = minimum_spanning_tree(coo_array((weights, pairs.T), shape=(nodes, nodes)).tocsr())
    parent, depth = _root(tree, nodes=nodes)
    margin = np.zeros(nodes)
    # An edge supports every edge of the tree on the path between its ends: climb from both ends,
    # the deeper one first, until they meet.
    ends, speaks = pairs.copy(), evidence
    while len(ends):
        rows, deeper = np.arange(len(ends)), np.argmax(depth[ends], axis=1)
        climber = ends[rows, deeper]
        np.add.at(margin, climber, speaks)
        ends[rows, deeper] = parent[climber]
        apart = ends[:, 0] != ends[:, 1]
        ends, speaks = ends[apart], speaks[apart]
    below = np.flatnonzero(depth > 1)
    return np.sort(np.stack([below, parent[below]], axis=1), axis=1), margin[below]


def _root(tree: csr_array, *, nodes: int) -> tuple[Whole, Whole]:
    """Return the parent of each node in a forest, and its depth, which is 1 at the roots."""
    _, roots = np.unique(connected_components(tree, directed=False)[1], return_index=True)
    # A node above all roots makes it one tree.
    forest = tree.tocoo()
    rows = np.concatenate([forest.coords[0], np.full(len(roots), nodes)])
    columns = np.concatenate([forest.coords[1], roots])
    whole = coo_array((np.ones(len(rows)), (rows, columns)), shape=(nodes + 1, nodes + 1))
    depth, parent = dijkstra(
        whole.tocsr(), directed=False, indices=nodes, unweighted=True, return_predecessors=True
    )
    return parent.astype(np.int64), depth[:nodes].astype(np.int64)
