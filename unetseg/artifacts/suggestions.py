"""Write and read the table of `unetseg suggest`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unetseg.arrays.suggesting import Place
from unetseg.artifacts.manifest import open_stage
from unetseg.errors import InputError

TABLE = "suggestions.csv"
DIGITS = 5  # of a score: further digits depend on the machine


def rows_of(places: Iterable[Place]) -> list[dict[str, Any]]:
    """Return places as rows of the table, in the order in which they were chosen."""
    return [
        {
            "rank": rank,
            "slice": place.index,
            "y": place.top,
            "x": place.left,
            "height": place.height,
            "width": place.width,
            "score": round(place.score, DIGITS),
        }
        for rank, place in enumerate(places, start=1)
    ]


def write_places(path: Path, places: Iterable[Place]) -> None:
    """Write the table of at least one place."""
    rows = rows_of(places)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def read_places(folder: Path) -> list[Place]:
    """Read the places that `unetseg suggest` wrote to a folder, in the order of their rank.

    Raises
    ------
    InputError
        If it did not finish there, or the table has changed since.
    """
    open_stage(folder, stage="suggest", fresh=False)
    path = folder / TABLE
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                Place(
                    int(row["slice"]),
                    int(row["y"]),
                    int(row["x"]),
                    int(row["height"]),
                    int(row["width"]),
                    float(row["score"]),
                )
                for row in csv.DictReader(file)
            ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            path,
            expected="the table of unetseg suggest",
            found=f"another ({error})",
            remedy="run unetseg suggest again",
        ) from error
