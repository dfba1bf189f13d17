"""Tables of sections and cells, as `unetseg segment` writes them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.cells import Cell, measure_cells
from unetseg.arrays.tallies import Tally
from unetseg.arrays.wholecells import WholeCell, describe_sections, measure_whole_cells


def write_sections(
    path: Path,
    slices: Iterable[Tally],
    *,
    first: npt.NDArray[np.int64],
    names: Sequence[str] | None,
    cells: npt.NDArray[np.int64] | None,
) -> npt.NDArray[np.float64]:
    """Write a row for each section, slice by slice.

    Parameters
    ----------
    path : Path
    slices : iterable of Tally
        Tally of the sections of each slice, numbered from 1 in every slice.
    first : (Z,) int64
        Offset that is added to the section numbers of each slice.
    names : sequence of str or None
        Names of separate micrographs; None for slices of a stack.
    cells : (sections + 1,) int64 or None
        The cell of each section, if they are linked.

    Returns
    -------
    (N, 8) float64
        Rows of `describe_sections` if sections are linked, else no rows.
    """
    described = [np.empty((0, 8))]
    where = "slice" if names is None else "name"
    linked = [] if cells is None else ["cell"]
    with path.open("w", newline="", encoding="utf-8") as file:
        columns = ["label", *linked, where, *(field.name for field in fields(Cell)[1:])]
        table = csv.DictWriter(file, columns)
        table.writeheader()
        for z, tally in enumerate(slices):
            row: dict[str, Any] = {where: z if names is None else names[z]}
            for cell in measure_cells(tally):
                label = cell.label + int(first[z])
                if cells is not None:
                    row["cell"] = cells[label]
                table.writerow({**asdict(cell), **row, "label": label})
            if cells is not None:
                described.append(describe_sections(tally, z=z))
    return np.concatenate(described)


def write_cells(
    path: Path,
    sections: npt.NDArray[np.float64],
    numbers: npt.NDArray[np.int64],
    *,
    shape: tuple[int, int, int],
    voxel: float | None,
) -> None:
    """Write a row for each cell through the slices; parameters as for `measure_whole_cells`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(WholeCell)])
        table.writeheader()
        table.writerows(
            map(asdict, measure_whole_cells(sections, numbers, shape=shape, voxel=voxel))
        )
