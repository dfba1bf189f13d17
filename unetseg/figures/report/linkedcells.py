"""The part of the report on cells that were linked through the slices."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetseg.arrays.tiles import Box, square_around
from unetseg.artifacts.linktable import Link, read_links
from unetseg.artifacts.workfolder import Stage
from unetseg.figures.report.cellpictures import (
    Seen,
    draw_link,
    draw_strip,
    find_contact,
    pick_section,
)
from unetseg.figures.report.contents import choose
from unetseg.stacks.volume import Volume

# How many of the longest cells are listed, how many are drawn, and in how many slices each.
LISTED, DRAWN, STEPS = 10, 3, 8
# Margin around a drawn cell, and largest edge of its picture, in pixels.
ROOM, LARGEST = 24, 640
# Around a link, in pixels: edge of the area searched for the contact, and limits of that shown.
SEARCHED, CROP = 512, (96, 256)


@dataclass(frozen=True)
class Linked:
    """Linked cells of a prediction.

    Attributes
    ----------
    cells : Stage
        What `unetseg segment --link` wrote.
    labels : Volume
        Their numbers.
    shown : Volume
        What is shown under them: the images, or the prediction.
    """

    cells: Stage
    labels: Volume
    shown: Volume

    def see(self, z: int, box: Box, cell: int) -> Seen:
        """Read a part of a slice, and the sections of a cell in it."""
        return Seen(z, self.shown.part(z, box), self.labels.part(z, box) == cell)


def linked_parts(linked: Linked, *, places: int) -> dict[str, Any]:
    """Part of a page on linked cells.

    Parameters
    ----------
    linked : Linked
    places : int
        How many of the least certain links to show: this many that join, and as many that do not.
    """
    folder, depth = linked.cells.folder, len(linked.labels)
    with (folder / "cells-3d.csv").open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    links = read_links(folder / "links.csv")
    chosen = [
        (f"{letter}{rank}", link)
        for joined, letter in ((True, "J"), (False, "A"))
        for rank, link in enumerate([li for li in links if li.joined == joined][:places], start=1)
    ]
    middles = _middles_of(folder / "cells.csv", (link for _, link in chosen))
    table = sorted(map(_row, cells), key=lambda row: (-row["slices"], -row["voxels"]))
    return {
        "linked": {
            "cells": len(cells),
            "sections": sum(int(cell["sections"]) for cell in cells),
            "through": sum(row["slices"] == depth for row in table),
            "depth": depth,
            "longest": table[:LISTED],
            "strips": [
                {"cell": row["cell"], "steps": _strip(linked, row)} for row in table[:DRAWN]
            ],
            "links": [
                {"name": name, "link": link, "panels": _link(linked, name, link, middles)}
                for name, link in chosen
            ],
        }
    }


def _row(cell: dict[str, str]) -> dict[str, Any]:
    """Return what is shown of a row of the table of whole cells."""
    whole = {
        key: int(value)
        for key, value in cell.items()
        if key in ("cell", "sections", "voxels") or key.endswith(("_first", "_last"))
    }
    volume = cell["volume_nm3"]
    return {
        **whole,
        "slices": whole["z_last"] - whole["z_first"] + 1,
        "um3": f"{float(volume) / 1e9:.3g}" if volume else "",
        "at_border": cell["at_border"] == "True",
    }


def _strip(linked: Linked, row: dict[str, Any]) -> Any:
    """Draw a cell in slices picked evenly from its first to its last."""
    sides = [(row[f"{axis}_first"], row[f"{axis}_last"]) for axis in "yx"]
    edge = max(last - first + 1 for first, last in sides) + 2 * ROOM
    middle = (sum(sides[0]) // 2, sum(sides[1]) // 2)
    box = square_around(middle, edge=min(edge, LARGEST), size=linked.labels.shape[1:])
    slices = choose(range(row["z_first"], row["z_last"] + 1), STEPS)
    return draw_strip(row["cell"], [linked.see(z, box, row["cell"]) for z in slices])


def _link(
    linked: Linked, name: str, link: Link, middles: dict[int, tuple[float, float, int]]
) -> Any:
    """Draw both sections of a link, enlarged around their contact."""
    size = linked.labels.shape[1:]
    wide = square_around((round(link.y), round(link.x)), edge=SEARCHED, size=size)
    sides = (
        (link.slice, link.cell, link.label),
        (link.other_slice, link.other_cell, link.other_label),
    )
    masks = []
    for z, cell, label in sides:
        y, x, _ = middles[label]
        mask = linked.labels.part(z, wide) == cell
        masks.append(pick_section(mask, (y - wide[0].start, x - wide[1].start)))
    row, column = find_contact(*masks)
    edge = int(np.clip(3 * math.sqrt(middles[link.label][2]), *CROP))
    box = square_around((row, column), edge=edge, size=masks[0].shape)
    place = tuple(
        slice(b.start + w.start, b.stop + w.start) for b, w in zip(box, wide, strict=True)
    )
    seen = [
        Seen(z, linked.shown.part(z, (place[0], place[1])), mask[box])
        for (z, _, _), mask in zip(sides, masks, strict=True)
    ]
    return draw_link(name, *seen)


def _middles_of(table: Path, links: Iterable[Link]) -> dict[int, tuple[float, float, int]]:
    """Read mean row and column, and area, of the sections of some links, by their labels."""
    wanted = {label for link in links for label in (link.label, link.other_label)}
    with table.open(newline="", encoding="utf-8") as file:
        return {
            label: (float(row["centroid_y"]), float(row["centroid_x"]), int(row["area"]))
            for row in csv.DictReader(file)
            if (label := int(row["label"])) in wanted
        }
