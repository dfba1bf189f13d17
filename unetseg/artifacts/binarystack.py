"""Cells as a binary stack, for programs that only know interior and membrane."""

from __future__ import annotations

from contextlib import closing
from itertools import product
from pathlib import Path

import numpy as np

from unetseg.artifacts.finding import BINARY, BINARY_FOLDER
from unetseg.artifacts.writer import StageWriter
from unetseg.stacks.opening import open_numbers
from unetseg.stacks.tiffwriter import create_stack

INSIDE = 255
# Rows read at once: slices may be larger than memory, and chunks of OME-Zarr have as many.
ROWS = 512


def binary_name(*, separate: bool) -> str:
    """Name of what `write_binary` writes: a file, or a folder for separate micrographs."""
    return BINARY_FOLDER if separate else BINARY


def write_binary(writer: StageWriter, names: list[str], *, separate: bool) -> None:
    """Write a binary stack of labels that are already written: 255 inside cells, 0 elsewhere.

    Parameters
    ----------
    writer : StageWriter
        Writer of the stage that wrote the labels.
    names : list of str
        Names of the label files.
    separate : bool
        Whether these are separate micrographs: then each gets a file of the same name in a folder
        of their own, because a file beside the labels would be taken for one of them.
    """
    target = writer.path(binary_name(separate=separate))
    if separate:
        target.mkdir(exist_ok=True)
    for name in names:
        shape = _write(writer.path(name), target / name if separate else target)
    if not separate:
        writer.describe(BINARY, shape=shape, dtype=np.uint8, axes="ZYX")


def _write(labels: Path, target: Path) -> tuple[int, int, int]:
    """Write the binary stack of one stack of labels; return its shape."""
    with open_numbers(labels) as cells:
        depth, height, width = cells.shape
        stack = create_stack(
            target,
            shape=cells.shape,
            dtype=np.uint8,
            display_range=(0, INSIDE),
            voxel=cells.voxel,
        )
        with closing(stack) as out:
            for z, top in product(range(depth), range(0, height, ROWS)):
                box = slice(top, min(top + ROWS, height)), slice(0, width)
                out.write(z, box, np.where(cells.part(z, box) > 0, INSIDE, 0).astype(np.uint8))
        return cells.shape
