"""The table of the decisions that linking was least sure of."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.decisions import Decisions

# Nobody looks at more rows, and there may be millions.
MOST = 1000


@dataclass(frozen=True)
class Link:
    """A row: two sections, the smaller one first, and whether they were joined.

    Attributes
    ----------
    slice, y, x
        Slice, mean row and mean column of the smaller section.
    label, cell : int
        Its number in cells.csv, and the number of its cell.
    other_slice, other_label, other_cell : int
        The same for the larger section.
    joined : bool
        Whether both belong to one cell.
    margin : float
        See `Decisions`.
    """

    slice: int
    y: float
    x: float
    label: int
    cell: int
    other_slice: int
    other_label: int
    other_cell: int
    joined: bool
    margin: float


def write_links(
    path: Path,
    decisions: Decisions,
    *,
    sections: npt.NDArray[np.float64],
    numbers: npt.NDArray[np.int64],
) -> None:
    """Write the least sure decisions, the least sure first.

    Parameters
    ----------
    path : Path
    decisions : Decisions
    sections : (N, 8) float64
        Rows of `describe_sections`, from section 1 on.
    numbers : (N + 1,) int64
        The cell of each section, after a leading 0.
    """
    few = decisions.least_sure(MOST)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([field.name for field in fields(Link)])
        for pair, joined, margin in zip(few.pairs, few.joined, few.margin, strict=True):
            small, large = pair[np.argsort(sections[pair - 1, 5], kind="stable")]
            z, y, x = sections[small - 1][[0, 6, 7]]
            here = (int(z), y, x, small, numbers[small])
            there = (int(sections[large - 1][0]), large, numbers[large])
            table.writerow((*here, *there, joined, f"{margin:.4f}"))


def read_links(path: Path) -> list[Link]:
    """Read the table, the least sure first."""
    kinds: dict[str, Callable[[str], Any]]
    kinds = {"float": float, "bool": "True".__eq__, "int": int}  # as Python and csv write them
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Link(**{f.name: kinds[str(f.type)](row[f.name]) for f in fields(Link)})
            for row in csv.DictReader(file)
        ]
