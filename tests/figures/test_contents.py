"""What is on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unetseg.figures.report.contents import choose

if TYPE_CHECKING:
    pass


def test_slices_are_chosen_from_best_to_worst():
    ranked = list("abcdefg")
    assert choose(ranked, 3) == ["a", "d", "g"]
    assert choose(ranked, 1) == ["d"]
    assert choose(ranked, 2) == ["a", "g"]
    assert choose(ranked, 20) == ranked
    assert choose(["a"], 3) == ["a"]
