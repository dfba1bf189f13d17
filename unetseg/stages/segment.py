"""`unetseg segment`: single cells with a number each, and a table of their sizes."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from unetseg.arrays.cells import Cell, measure_cells, segment_cells
from unetseg.artifacts.finding import find_prediction, zero_is_missing
from unetseg.artifacts.manifest import Seen
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.parallel import ordered_map
from unetseg.options import SegmentOptions
from unetseg.progress import Progress, StageResult
from unetseg.stacks.micrographs import Micrographs
from unetseg.stacks.npy import create_npy, open_npy
from unetseg.stacks.opening import open_volume
from unetseg.stacks.tiffwriter import label_dtype
from unetseg.stacks.volume import Volume, check_probabilities
from unetseg.stacks.voxel import Voxel

LABELS = "labels.tif"
TABLE = "cells.csv"
# Hidden, so that it is not published: how many cells there are decides how they are written.
DRAFT = ".labels.npy"


def segment(options: SegmentOptions, progress: Progress) -> StageResult:
    """Turn a prediction into labelled cells, slice by slice.

    Every section of a cell has a number of its own in the whole stack. Of separate micrographs
    each has labels of its own name, with numbers from 1, as if it were alone.

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
    """
    path = find_prediction(options.prediction)
    seen = Seen.of(path)
    with open_volume(path) as prediction:
        check_probabilities(prediction)
        with StageWriter(
            options.output,
            stage="segment",
            options=options.recorded(),
            inputs=[seen],
            names=[*_names(prediction), TABLE],
        ) as writer:
            if not options.force and writer.is_current():
                return writer.nothing_to_do()
            work = partial(
                _segment,
                smoothing=options.smoothing,
                seed_threshold=options.seed_threshold,
                smallest=options.smallest,
                grow=options.grow,
                zero_is_missing=zero_is_missing(path),
            )
            slices = progress.track(
                ordered_map(work, map(prediction.own, range(len(prediction))), jobs=options.jobs),
                total=len(prediction),
                label="segment",
                unit="slice",
            )
            if isinstance(prediction, Micrographs):
                total = _write_each(writer, slices, prediction)
            else:
                total = _write(writer, slices, prediction.shape, prediction.voxel)
        read = [str(prediction)]
    return writer.result(read, notes=[f"{total} cells (0 is between them)"])


def _segment(
    probability: npt.NDArray[Any], **settings: Any
) -> tuple[npt.NDArray[np.int32], list[Cell]]:
    """Cells of one slice, numbered from 1."""
    cells = segment_cells(probability, **settings)
    return cells, list(measure_cells(cells))


def _write(
    writer: StageWriter,
    slices: Iterator[tuple[npt.NDArray[np.int32], list[Cell]]],
    shape: tuple[int, int, int],
    voxel: Voxel | None,
) -> int:
    """Number the cells through, and write stack and table."""
    total = 0
    draft = writer.path(DRAFT)
    with (
        create_npy(draft, shape=shape, dtype=np.uint32) as out,
        writer.path(TABLE).open("w", newline="", encoding="utf-8") as file,
    ):
        table = _begin_table(file, "slice")
        for index, (cells, measures) in enumerate(slices):
            out.append(np.where(cells > 0, cells + total, 0))
            _add_rows(table, measures, after=total, slice=index)
            total += len(measures)
    _publish(writer, LABELS, draft, total, shape=shape, dtype=label_dtype(total), voxel=voxel)
    return total


def _write_each(
    writer: StageWriter,
    slices: Iterator[tuple[npt.NDArray[np.int32], list[Cell]]],
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


def _publish(writer: StageWriter, name: str, draft: Path, cells: int, **look: Any) -> None:
    """Write a draft as what Fiji opens."""
    labels = open_npy(draft, dtype=np.uint32)
    writer.write_stack(name, labels, colours=cells, **look)
    del labels  # mapped, and in the way of its removal on some systems
    draft.unlink()
