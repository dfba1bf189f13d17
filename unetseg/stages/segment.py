"""`unetseg segment`: single cells with a number each, and a table of their sizes."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.cells import Cell, measure_cells, segment_cells
from unetseg.artifacts.finding import find_prediction, zero_is_missing
from unetseg.artifacts.manifest import Seen
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.parallel import ordered_map
from unetseg.options import SegmentOptions
from unetseg.progress import Progress, StageResult
from unetseg.stacks.npy import create_npy, open_npy
from unetseg.stacks.opening import open_volume
from unetseg.stacks.volume import check_probabilities
from unetseg.stacks.voxel import Voxel

LABELS = "labels.tif"
TABLE = "cells.csv"
# Hidden, so that it is not published: how many cells there are decides how they are written.
DRAFT = ".labels.npy"


def segment(options: SegmentOptions, progress: Progress) -> StageResult:
    """Turn a prediction into labelled cells, slice by slice.

    Every section of a cell has a number of its own in the whole stack.

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
            names=[LABELS, TABLE],
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
                ordered_map(work, prediction, jobs=options.jobs),
                total=len(prediction),
                label="segment",
                unit="slice",
            )
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
    names = ["label", "slice", *(field.name for field in dataclasses.fields(Cell)[1:])]
    total = 0
    draft = writer.path(DRAFT)
    with (
        create_npy(draft, shape=shape, dtype=np.uint32) as out,
        writer.path(TABLE).open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, names)
        table.writeheader()
        for index, (cells, measures) in enumerate(slices):
            out.append(np.where(cells > 0, cells + total, 0))
            for cell in measures:
                row = dataclasses.asdict(cell)
                table.writerow({**row, "label": cell.label + total, "slice": index})
            total += len(measures)
    dtype = np.uint16 if total <= np.iinfo(np.uint16).max else np.uint32
    labels = open_npy(draft, dtype=np.uint32)
    look = {"colours": total, "voxel": voxel}
    writer.write_stack(LABELS, labels, shape=shape, dtype=dtype, **look)
    return total
