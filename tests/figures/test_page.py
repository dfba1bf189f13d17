"""The page as a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unetseg.figures.report.page import duration, render, span

if TYPE_CHECKING:
    pass


def test_numbers_are_written_for_people():
    assert span([24, 25, 26]) == "24\N{EN DASH}26"
    assert span([0, 2, 3]) == "0, 2\N{EN DASH}3"
    assert [duration(m) for m in (0.02, 0.5, 1, 11.31, 120)] == [
        "1 second",
        "30 seconds",
        "1 minute",
        "11.3 minutes",
        "2 hours",
    ]


def test_a_forgotten_part_is_an_error_not_a_hole():
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render({"version": "0"})
