"""Where the lines and labels of a chart go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unetseg.figures.report.charts import nice_ticks

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.93, 1, 5, [0.92, 0.94, 0.96, 0.98, 1]),
        (1, 20, 6, [0, 5, 10, 15, 20]),
        (1, 1, 5, [1]),
    ],
)
def test_ticks_are_round(low: float, high: float, most: int, ticks: list[float]):
    assert nice_ticks(low, high, most=most) == ticks
