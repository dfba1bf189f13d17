"""`unetseg segment`: single cells with a number each, and tables of their sizes."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from unetseg.arrays.cells import Cell, measure_cells, segment_cells
from unetseg.arrays.linking import Layer, Linker
from unetseg.arrays.wholecells import WholeCell, describe_sections, measure_whole_cells
from unetseg.artifacts.finding import find_prediction, zero_is_missing
from unetseg.artifacts.manifest import Seen
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.parallel import ordered_map
from unetseg.errors import UsageError
from unetseg.options import SegmentOptions
from unetseg.progress import Progress, StageResult
from unetseg.stacks.micrographs import Micrographs
from unetseg.stacks.npy import create_npy, open_npy
from unetseg.stacks.opening import open_volume
from unetseg.stacks.tiffwriter import label_dtype
from unetseg.stacks.volume import Volume, check_probabilities

LABELS = "labels.tif"
TABLE = "cells.csv"
WHOLE_TABLE = "cells-3d.csv"
# Hidden, so that it is not published: how many cells there are decides how they are written. And
# which sections are one cell is known only when all have been seen.
DRAFT = ".labels.npy"
DRAFT_TABLE = ".cells.csv"

Slices = Iterator[tuple[npt.NDArray[np.int32], list[Cell]]]


def segment(options: SegmentOptions, progress: Progress) -> StageResult:
    """Turn a prediction into labelled cells, slice by slice.

    Every section of a cell has a number of its own in the whole stack, unless sections are linked:
    then those of one cell have one. Of separate micrographs each has labels of its own name, with
    numbers from 1, as if it were alone.

    Parameters
    ----------
    options : SegmentOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If the prediction cannot be read or is none.
    UsageError
        If sections of separate micrographs are to be linked.
    """
    path = find_prediction(options.prediction)
    seen = Seen.of(path)
    with open_volume(path) as prediction:
        check_probabilities(prediction)
        if options.link and prediction.separate:
            raise UsageError(
                f"--link: expected slices of one stack, found separate micrographs in {path}; "
                "leave --link out"
            )
        with StageWriter(
            options.output,
            stage="segment",
            options=options.recorded(),
            inputs=[seen],
            names=[*_names(prediction), TABLE, *([WHOLE_TABLE] if options.link else [])],
        ) as writer:
            if not options.force and writer.is_current():
                return writer.nothing_to_do()
            missing = zero_is_missing(path)
            slices = _cut(options, prediction, progress, zero_is_missing=missing)
            if isinstance(prediction, Micrographs):
                found = f"{_write_each(writer, slices, prediction)} cells"
            elif options.link:
                found = _write_linked(writer, slices, prediction, zero_is_missing=missing)
            else:
                found = f"{_write(writer, slices, prediction)} cells"
        read = [str(prediction)]
    return writer.result(read, notes=[f"{found} (0 is between them)"])


def _cut(
    options: SegmentOptions, prediction: Volume, progress: Progress, *, zero_is_missing: bool
) -> Slices:
    """Sections of every slice, from several processes."""
    work = partial(
        _segment,
        smoothing=options.smoothing,
        seed_threshold=options.seed_threshold,
        smallest=options.smallest,
        grow=options.grow,
        zero_is_missing=zero_is_missing,
    )
    return progress.track(
        ordered_map(work, map(prediction.own, range(len(prediction))), jobs=options.jobs),
        total=len(prediction),
        label="segment",
        unit="slice",
    )


def _segment(
    probability: npt.NDArray[Any], **settings: Any
) -> tuple[npt.NDArray[np.int32], list[Cell]]:
    """Cells of one slice, numbered from 1."""
    cells = segment_cells(probability, **settings)
    return cells, list(measure_cells(cells))


def _write(writer: StageWriter, slices: Slices, prediction: Volume) -> int:
    """Number the cells through, and write stack and table."""
    total = _write_drafts(writer, slices, prediction.shape, table=TABLE)
    _publish(writer, LABELS, writer.path(DRAFT), total, **_look(prediction, total))
    return total


def _write_drafts(
    writer: StageWriter, slices: Slices, shape: tuple[int, int, int], *, table: str
) -> int:
    """Number the sections through, for the draft of the stack and a table; how many there are."""
    total = 0
    with (
        create_npy(writer.path(DRAFT), shape=shape, dtype=np.uint32) as out,
        writer.path(table).open("w", newline="", encoding="utf-8") as file,
    ):
        rows = _begin_table(file, "slice")
        for index, (cells, measures) in enumerate(slices):
            out.append(np.where(cells > 0, cells + total, 0))
            _add_rows(rows, measures, after=total, slice=index)
            total += len(measures)
    return total


def _write_linked(
    writer: StageWriter, slices: Slices, prediction: Volume, *, zero_is_missing: bool
) -> str:
    """Link the sections, and write stack and tables; what was found, in words."""
    linker, described = Linker(), list[npt.NDArray[np.float64]]()

    def gather() -> Slices:
        """Show each slice to the linker, on its way into the drafts."""
        total = 0
        for z, (cells, measures) in enumerate(slices):
            # Read again: a slice comes from the disk faster than from another process.
            probability = prediction.own(z)
            tissue = probability > 0 if zero_is_missing else np.ones(cells.shape, bool)
            linker.add(Layer(z, np.where(cells > 0, cells + total, 0), probability, tissue))
            described.append(describe_sections(cells, measures, z=z))
            total += len(measures)
            yield cells, measures

    sections = _write_drafts(writer, gather(), prediction.shape, table=DRAFT_TABLE)
    numbers = linker.solve(sections)
    _add_numbers(writer.path(DRAFT_TABLE), writer.path(TABLE), numbers)
    whole = measure_whole_cells(
        np.concatenate(described),
        numbers[1:],
        shape=prediction.shape,
        voxel=None if prediction.voxel is None else math.prod(prediction.voxel.edges),
    )
    _write_whole_table(writer.path(WHOLE_TABLE), whole)
    total = int(numbers.max())
    _publish(writer, LABELS, writer.path(DRAFT), total, numbers, **_look(prediction, total))
    return f"{total} cells of {sections} sections"


def _write_each(
    writer: StageWriter,
    slices: Slices,
    prediction: Micrographs,
) -> int:
    """Write labels of every micrograph, and a table of all."""
    counts = []
    drafts = [writer.path(f".{name}.npy") for name in prediction.names]
    with writer.path(TABLE).open("w", newline="", encoding="utf-8") as file:
        table = _begin_table(file, "name")
        for (cells, measures), name, draft in zip(slices, prediction.names, drafts, strict=True):
            with create_npy(draft, shape=(1, *cells.shape), dtype=np.uint32) as out:
                out.append(cells)
            _add_rows(table, measures, after=0, name=name)
            counts.append(len(measures))
    # Of one type, so that their folder can be opened as one.
    dtype = label_dtype(max(counts))
    for index, (name, draft) in enumerate(zip(_names(prediction), drafts, strict=True)):
        with prediction.alone(index) as alone:
            shape, voxel = alone.shape, alone.voxel
        _publish(writer, name, draft, counts[index], shape=shape, dtype=dtype, voxel=voxel)
    return sum(counts)


def _names(prediction: Volume) -> list[str]:
    """Names of the labels."""
    return [f"{name}.tif" for name in prediction.names] if prediction.separate else [LABELS]


def _begin_table(file: TextIO, where: str) -> csv.DictWriter[str]:
    names = ["label", where, *(field.name for field in dataclasses.fields(Cell)[1:])]
    table = csv.DictWriter(file, names)
    table.writeheader()
    return table


def _add_rows(table: csv.DictWriter[str], cells: list[Cell], *, after: int, **where: Any) -> None:
    for cell in cells:
        table.writerow({**dataclasses.asdict(cell), "label": cell.label + after, **where})


def _add_numbers(draft: Path, path: Path, numbers: npt.NDArray[np.int64]) -> None:
    """Write a table of sections once more, with the cell of each, row by row."""
    with (
        draft.open(newline="", encoding="utf-8") as sections,
        path.open("w", newline="", encoding="utf-8") as file,
    ):
        rows = csv.DictReader(sections)
        label, *others = rows.fieldnames or []
        table = csv.DictWriter(file, [label, "cell", *others])
        table.writeheader()
        for row in rows:
            table.writerow({**row, "cell": numbers[int(row[label])]})
    draft.unlink()


def _write_whole_table(path: Path, cells: Iterable[WholeCell]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in dataclasses.fields(WholeCell)])
        table.writeheader()
        table.writerows(map(dataclasses.asdict, cells))


def _look(prediction: Volume, total: int) -> dict[str, Any]:
    """How the labels of a stack are written."""
    return {"shape": prediction.shape, "dtype": label_dtype(total), "voxel": prediction.voxel}


def _publish(
    writer: StageWriter,
    name: str,
    draft: Path,
    cells: int,
    numbers: npt.NDArray[np.int64] | None = None,
    **look: Any,
) -> None:
    """Write a draft as what Fiji opens, with other numbers if there are some."""
    labels = open_npy(draft, dtype=np.uint32)
    slices = labels if numbers is None else (numbers[section] for section in labels)
    writer.write_stack(name, slices, colours=cells, **look)
    del labels, slices  # mapped, and in the way of its removal on some systems
    draft.unlink()
