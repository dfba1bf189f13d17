"""Sections of several slices, and which of them are one cell."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from unetseg.arrays import linking
from unetseg.arrays.layers import Layer, find_drift
from unetseg.arrays.linking import (
    SOFTENING,
    Edges,
    Linker,
    link_neighbours,
    link_slices,
    solve_multicut,
)


def layer(sections: object, *, z: int = 0, probability: object = 1.0, tissue: object = True):
    cells = np.array(sections, np.int64)
    p = np.array(np.broadcast_to(np.asarray(probability, np.float32), cells.shape))
    return Layer(z, cells, p, np.array(np.broadcast_to(np.asarray(tissue, bool), cells.shape)))


def share(log_odds: float) -> float:
    """The share that has these softened log-odds: of (s + e) / (1 - s + e), e the softening."""
    odds = np.exp(log_odds)
    return float((odds * (1 + SOFTENING) - SOFTENING) / (1 + odds))


def by_pair(edges: Edges) -> dict[tuple[int, int], list[float]]:
    return {
        tuple(pair): measures
        for pair, measures in zip(edges.pairs.tolist(), edges.measures.tolist(), strict=True)
    }


def test_neighbours_are_measured_across_the_line_between_them():
    cells = layer(
        [[5, 0, 3, 3], [5, 0, 3, 3], [5, 0, 0, 0], [5, 0, 4, 4]],
        probability=[[1, 0.2, 1, 1], [1, 0.4, 1, 1], [1, 0.9, 0.5, 0.7], [1, 0.3, 1, 1]],
    )
    edges = link_neighbours(cells)
    # 5 | 3 in two rows, 5 | 4 in one, and 3 over 4 in two columns. What lies where three meet, 0.9,
    # is beside none of them on two sides.
    assert edges.pairs.tolist() == [[3, 4], [3, 5], [4, 5]]
    assert edges.pixels.tolist() == [2, 2, 1]
    np.testing.assert_allclose(edges.measures, [[1, 0.6], [1, 0.3], [1, 0.3]], rtol=1e-6)
    assert edges.distance == 0
    assert len(link_neighbours(layer([[1, 1], [1, 1]])).pairs) == 0


def test_overlaps_are_shares_of_the_union_and_of_the_smaller():
    above = layer([[1, 1, 1, 1, 0, 2], [0, 0, 0, 0, 0, 2]])
    below = layer([[0, 0, 3, 3, 3, 3], [0, 0, 3, 3, 0, 0]], z=2)
    edges = link_slices(above, below)
    # 1 has 4 pixels, 2 has 2, and 3 has 6: 2 of 8 and 2 of 4; 1 of 7 and 1 of 2.
    assert edges.pairs.tolist() == [[1, 3], [2, 3]]
    assert edges.pixels.tolist() == [2, 1]
    assert edges.distance == 2
    found = [[share(x) for x in measures[1:]] for measures in edges.measures]
    np.testing.assert_allclose(found, [[2 / 8, 2 / 4], [1 / 7, 1 / 2]])


def test_an_overlap_on_membrane_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(linking, "find_drift", lambda *_: (0, 0))
    above = layer([[1, 1, 1, 1, 2]], probability=[[1, 1, 0.5, 0, 1]])
    below = layer([[0, 3, 3, 3, 3]], probability=[[1, 0.5, 1, 1, 0]])
    # Overlaps weigh 0.5 + 0.5 + 0 for 1; 0 for 2, which leaves no edge. 1 weighs 2.5, 3 weighs 2.5.
    assert list(by_pair(link_slices(above, below))) == [(1, 3)]
    _, union, smaller = by_pair(link_slices(above, below))[1, 3]
    assert share(union) == pytest.approx(1 / 4)
    assert share(smaller) == pytest.approx(1 / 2.5)


def test_what_the_other_slice_cannot_show_does_not_count():
    whole = layer(np.ones((6, 8)))
    torn = layer(
        np.full((6, 8), 2) * (np.arange(8) < 3), z=1, tissue=np.tile(np.arange(8) < 3, (6, 1))
    )
    _, union, smaller = by_pair(link_slices(whole, torn))[1, 2]
    assert share(union) == share(smaller) == pytest.approx(1)


def blobs(seed: int, shape: tuple[int, int] = (40, 50)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(rng.random((shape[0] // 5, shape[1] // 5)), np.ones((5, 5)))


def test_a_slice_that_moved_is_moved_back():
    before = blobs(0)
    moved = np.roll(before, (3, -5), (0, 1))
    assert find_drift(
        layer(before * 0, probability=before), layer(moved * 0, probability=moved)
    ) == (3, -5)
    cells = (before > 0.5).astype(int)
    edges = link_slices(
        layer(cells, probability=before),
        layer(2 * np.roll(cells, (3, -5), (0, 1)), z=1, probability=moved),
    )
    assert [share(x) for x in by_pair(edges)[1, 2][1:]] == pytest.approx([1, 1])


def energy(parts: np.ndarray, pairs: np.ndarray, evidence: np.ndarray) -> float:
    return float(evidence[parts[pairs[:, 0]] == parts[pairs[:, 1]]].sum())


def partitions(count: int) -> Iterator[list[int]]:
    """Every way to part so many nodes, each once."""
    if not count:
        yield []
        return
    for parts in partitions(count - 1):
        for part in range(max(parts, default=0) + 1):
            yield [*parts, part + 1]
    # A part of its own is the last of these numbers.


def test_no_other_parts_have_more_evidence():
    rng = np.random.default_rng(0)
    every = [np.array([0, *parts]) for parts in partitions(6)]
    assert len({tuple(parts) for parts in every}) == 203  # Bell's number
    pairs = np.array([*itertools.combinations(range(1, 7), 2)])
    for _ in range(30):
        kept = pairs[rng.random(len(pairs)) < 0.7]
        kept = kept[rng.permutation(len(kept))]
        evidence = rng.normal(size=len(kept))
        parts = solve_multicut(6, kept, evidence)
        assert energy(parts, kept, evidence) == pytest.approx(
            max(energy(other, kept, evidence) for other in every)
        )


def test_cells_are_numbered_in_the_order_of_their_first_sections():
    pairs = np.array([[2, 5], [1, 2], [3, 4]])
    assert solve_multicut(5, pairs, np.array([2.0, -1.0, 0.5])).tolist() == [0, 1, 2, 3, 3, 2]
    assert solve_multicut(2, np.empty((0, 2), np.int64), np.empty(0)).tolist() == [0, 1, 2]
    assert solve_multicut(0, np.empty((0, 2), np.int64), np.empty(0)).tolist() == [0]


def test_the_sum_of_evidence_decides_over_two_sections_of_a_slice():
    # 1 and 2 lie in one slice with a membrane between them; 3 lies under both.
    pairs = np.array([[1, 2], [1, 3], [2, 3]])
    assert solve_multicut(3, pairs, np.array([-1.0, 2.0, 2.0])).tolist() == [0, 1, 1, 1]
    assert solve_multicut(3, pairs, np.array([-3.0, 2.0, 2.5])).tolist() == [0, 1, 2, 2]


def pillars(slices: range, *, lost: set[int], sections: list[int]) -> list[Layer]:
    """Two cells that go straight down, 9 pixels wide, with a membrane between them."""
    layers = []
    for z in slices:
        cells = np.zeros((9, 19), int)
        if z not in lost:
            cells[:, :9], cells[:, 10:] = len(sections) + 1, len(sections) + 2
            sections += [1, 2]
        probability = np.where(cells > 0, 0.95, 0.05)
        layers.append(layer(cells, z=z, probability=probability, tissue=z not in lost))
    return layers


@pytest.mark.parametrize(("lost", "bridged"), [(0, True), (1, True), (3, True), (4, False)])
def test_lost_slices_are_bridged(lost: int, bridged: bool):
    sections: list[int] = []
    linker = Linker()
    for one in pillars(range(9), lost=set(range(3, 3 + lost)), sections=sections):
        linker.add(one)
    found = linker.solve(len(sections))
    assert found.max() == (2 if bridged else 4)
    expected = (
        [0, *sections] if bridged else [0, *sections[:6], *(3, 4) * ((len(sections) - 6) // 2)]
    )
    assert found.tolist() == expected


def test_a_slice_in_which_two_cells_run_together_joins_them_not():
    sections: list[int] = []
    layers = pillars(range(30), lost=set(), sections=sections)
    layers[14] = layer(np.full((9, 19), 29), z=14, probability=0.9)  # in the place of 29 and 30
    linker = Linker()
    for one in layers:
        linker.add(one)
    left, right = np.delete(linker.solve(len(sections))[1:].reshape(30, 2), 14, axis=0).T
    assert set(left) == {1}
    assert set(right) == {2}


def test_evidence_is_weighed_by_distance_and_pixels():
    pair, measures = np.array([[1, 2]]), np.array([[1.0, 0.5, 2.0]])
    near = Edges(pair, measures, np.array([16]), distance=1)
    # 16 pixels count twice as much as one.
    assert near.evidence == pytest.approx(2 * np.dot(linking.BETWEEN[0], [1, 0.5, 2]))
    for distance in (3, 6):
        far = Edges(pair, measures, np.array([1]), distance=distance)
        assert far.evidence == pytest.approx(np.dot(linking.BETWEEN[2], [1, 0.5, 2]))
    beside = Edges(pair, measures[:, :2], np.array([1]), distance=0)
    assert beside.evidence == pytest.approx(3 * np.dot(linking.WITHIN, [1, 0.5]))


def test_no_more_slices_are_kept_than_are_compared():
    linker, sections = Linker(), []
    for one in pillars(range(9), lost=set(), sections=sections):
        linker.add(one)
        assert len(linker._before) <= linking.REACH == 3
