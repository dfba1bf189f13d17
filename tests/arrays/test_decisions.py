"""How narrowly linking has decided: by hand, and against cutting and joining one by one."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.arrays.decisions import Decisions, weigh_decisions


def by_pair(found: Decisions) -> dict[tuple[int, int], tuple[bool, float]]:
    rows = zip(found.pairs.tolist(), found.joined.tolist(), found.margin.tolist(), strict=True)
    return {(one, other): (joined, margin) for (one, other), joined, margin in rows}


def test_all_edges_between_two_sides_are_summed_up():
    # A chain 1 - 2 - 3 with an edge that speaks against 1 and 3, and beside it 4.
    pairs = np.array([[2, 3], [1, 2], [1, 3], [3, 4], [4, 1]])
    evidence = np.array([3.0, 4.0, -2.0, -1.0, -0.5])
    found = by_pair(weigh_decisions(pairs, evidence, np.array([0, 1, 1, 1, 2])))
    assert found == {
        (2, 3): (True, 3 - 2),
        (1, 2): (True, 4 - 2),
        (1, 4): (False, 1.5),  # of the two, this speaks less against it
    }


def test_the_least_sure_comes_first():
    found = Decisions(
        np.array([[1, 2], [5, 6], [3, 4]]), np.array([True, False, True]), np.array([3.0, 1.0, 1.0])
    )
    some = found.least_sure(2)
    assert some.pairs.tolist() == [[3, 4], [5, 6]]
    assert some.joined.tolist() == [True, False]
    assert some.margin.tolist() == [1, 1]


def test_nothing_to_decide():
    none = np.empty((0, 2), np.int64)
    for numbers in ([0], [0, 1, 2]):
        assert len(weigh_decisions(none, np.empty(0), np.array(numbers)).pairs) == 0


def total(pairs: np.ndarray, evidence: np.ndarray, numbers: np.ndarray) -> float:
    """What a cut is worth: the evidence within its cells."""
    return float(evidence[numbers[pairs[:, 0]] == numbers[pairs[:, 1]]].sum())


@pytest.mark.parametrize("seed", range(8))
def test_the_margin_is_what_the_other_decision_would_cost(seed: int):
    rng = np.random.default_rng(seed)
    nodes, cells = 16, 4
    every = np.stack(np.triu_indices(nodes, 1), axis=1) + 1
    pairs = every[rng.random(len(every)) < 0.5]
    evidence = rng.normal(0, 2, len(pairs))
    numbers = np.concatenate([[0], rng.integers(1, cells + 1, nodes)])
    found = by_pair(weigh_decisions(rng.permutation(pairs, axis=1), evidence, numbers))
    worth = total(pairs, evidence, numbers)
    within = numbers[pairs[:, 0]] == numbers[pairs[:, 1]]
    for (one, other), (joined, margin) in found.items():
        changed = numbers.copy()
        if joined:
            assert numbers[one] == numbers[other]
            rest = reach_without((one, other), pairs[within], evidence[within], nodes + 1)
            assert not rest[one, other]
            changed[rest[other]] = cells + 1
        else:
            changed[numbers == numbers[other]] = numbers[one]
        assert worth - total(pairs, evidence, changed) == pytest.approx(margin)
    borders = {tuple(sorted(p)) for p in numbers[pairs[~within]].tolist()}
    assert len(borders) == sum(not joined for joined, _ in found.values())


def reach_without(
    edge: tuple[int, int], pairs: np.ndarray, evidence: np.ndarray, nodes: int
) -> np.ndarray:
    """Which nodes the tree of strongest edges connects, once an edge is taken from it."""
    tree, reach = [], np.eye(nodes, dtype=bool)
    for one, other in pairs[np.argsort(-evidence)]:
        if not reach[one, other]:
            tree.append((one, other))
            reach = connect(reach, one, other)
    reach = np.eye(nodes, dtype=bool)
    for one, other in tree:
        if tuple(sorted((one, other))) != edge:
            reach = connect(reach, one, other)
    return reach


def connect(reach: np.ndarray, one: int, other: int) -> np.ndarray:
    both = reach[one] | reach[other]
    reach = reach.copy()
    reach[np.ix_(both, both)] = True
    return reach
