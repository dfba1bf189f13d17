"""Layout of the report's charts: positions of lines and labels. chart.svg draws them.

Not with matplotlib: it supports neither CSS classes nor currentColor, and its SVG of three lines of
19 points (9.2 kB; ours: 2.4) is all black on the page, whose policy blocks its 27 inline styles;
two such charts share 43 of their 44 ids. Rewriting its SVG to follow light and dark mode is hardly
less code, and depends on its version: 3.9 writes `font`, where 3.11 writes `font-size` and
`font-family`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 360, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 14, 40


@dataclass(frozen=True)
class Series:
    """A line: its name, its points, and how it is drawn (a class of style.css)."""

    name: str
    points: Sequence[tuple[float, float]]
    look: str


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A series as it is drawn: corners of the line, and dots."""

    name: str
    look: str
    corners: str
    dots: list[tuple[str, str]]


@dataclass(frozen=True)
class Chart:
    """A chart with all its coordinates, and a table of its values for those who cannot see it.

    `chosen` is the x of a vertical line, and `value` the place and value of the first series there.
    """

    title: str
    summary: str
    x_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    chosen: float | None
    value: tuple[float, str, str] | None
    header: list[str]
    rows: list[list[str]]


def make_chart(
    *,
    title: str,
    x_label: str,
    series: Sequence[Series],
    chosen: float | None,
    summary: str,
    top: float | None,
    bottom: float | None,
    dots: bool,
) -> Chart:
    """Lay out a chart of lines.

    Parameters
    ----------
    title, x_label : str
    series : sequence of Series
        The first is the main one, whose value at `chosen` is shown.
    chosen : float or None
        An x to mark.
    summary : str
        What the chart says, in a sentence.
    top : float or None
        Upper end of the y axis; None for an axis from 0 to the highest point.
    bottom : float or None
        Lowest y that must be shown: lines are cut off below it.
    dots : bool
        Mark the points.
    """
    xs = sorted({x for line in series for x, _ in line.points})
    ys = [y for line in series for _, y in line.points]
    x_ticks = nice_ticks(xs[0], xs[-1], most=6, whole=all(x == int(x) for x in xs))
    low, high = (0.0, max(ys)) if top is None else (min(ys), top)
    y_ticks = nice_ticks(low if bottom is None else max(low, bottom), high, most=5)
    x_low, x_high = xs[0], xs[-1]
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def across(x: float) -> float:
        share = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        share = (y - y_low) / (y_high - y_low) if y_high > y_low else 0.5
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    lines = []
    for line in series:
        places = [(f"{across(x):.1f}", f"{down(y):.1f}") for x, y in line.points]
        corners = " ".join(f"{x},{y}" for x, y in places)
        few = dots or len(places) == 1  # a line of one point is invisible
        lines.append(Line(line.name, line.look, corners, places if few else []))
    value = None
    if chosen is not None:
        y = dict(series[0].points)[chosen]
        value = (across(chosen), f"{down(y):.1f}", f"{y:.3f}")
    return Chart(
        title=title,
        summary=summary,
        x_label=x_label,
        x_ticks=[Tick(across(x), f"{x:g}") for x in x_ticks if x_low <= x <= x_high],
        y_ticks=[Tick(down(y), f"{y:g}") for y in y_ticks],
        lines=lines,
        chosen=chosen,
        value=value,
        header=[x_label, *(line.name for line in series)],
        rows=[[f"{x:g}", *(_cell(line, x) for line in series)] for x in xs],
    )


def _cell(line: Series, x: float) -> str:
    values = dict(line.points)
    return f"{values[x]:.4f}" if x in values else ""


def nice_ticks(low: float, high: float, *, most: int, whole: bool = False) -> list[float]:
    """Return round numbers that enclose a range, in steps of 1, 2 or 5 times a power of ten.

    If `whole`, only whole numbers.
    """
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(s * power for s in (1, 2, 5, 10, 20) if span / (s * power) <= most)
    if whole:
        step = max(step, 1.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]
