"""Labels in the forms that people bring, read as one: 0 membrane, 255 interior, 127 neither."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.labelling import (
    INTERIOR,
    MEMBRANE,
    NO_NUMBER,
    UNCOUNTED,
    draw_label,
    looks_numbered,
)
from unetseg.arrays.tiles import Box, middle_of
from unetseg.errors import InputError
from unetseg.stacks.opening import open_numbers
from unetseg.stacks.volume import Volume, name_in

OURS = {float(MEMBRANE), float(UNCOUNTED), float(INTERIOR)}
EXPECTED = "labels, of two values (0 on membrane, 255 inside cells)"
SHOWN = 4  # values that an error names

# Numbers of cells are told from classes and grey levels by the middle of some slices.
LOOKS = 5
MIDDLE = 1024

PART = 2**24  # pixels that are looked at at once


class Labels(Volume):
    """Labels as stages want them, turned into that form as they are read.

    Attributes
    ----------
    dtype : numpy.dtype
        uint8: 0 on membrane, 255 inside cells, 127 where nothing counts.
    source : Volume
        What they are read from.
    note : str or None
        How they were understood, where that may surprise.

    Parameters
    ----------
    source : Volume
        Its pixels are of any integer type, or float32. NaN does not count. Either

        - two values: the lower one is membrane, the higher one interior,
        - 0, 127 and 255, as above,
        - or numbers of cells, 0 or more: membrane is 0, and wherever two numbers meet.

    Raises
    ------
    InputError
        If it is none of these, or damaged.
    """

    def __init__(self, source: Volume) -> None:
        self.source = source
        self.path, self.shape, self.voxel = source.path, source.shape, source.voxel
        self.names, self.separate = source.names, source.separate
        self.dtype = np.dtype(np.uint8)
        self.note: str | None = None
        seen = _look(source)
        self._interior = _interior(source.path, seen)
        if self._interior is None:
            count = len(seen.values - {0.0})
            self.note = f"labels number {count} cells: membrane is 0 and where numbers meet"

    def own_size(self, index: int) -> tuple[int, int]:
        """That of what they are read from."""
        return self.source.own_size(index)

    def read(self, index: int, box: Box) -> npt.NDArray[np.uint8]:
        """Read a part of a slice; what only pads it does not count."""
        label = self._read(index, box)
        for axis, (side, own) in enumerate(zip(box, self.own_size(index), strict=True)):
            np.moveaxis(label, axis, 0)[max(0, own - side.start) :] = UNCOUNTED
        return label

    def _read(self, index: int, box: Box) -> npt.NDArray[np.uint8]:
        if self._interior is not None:
            pixels = self.source.read(index, box)
            label = np.where(pixels == self._interior, INTERIOR, MEMBRANE)
            if self._interior == INTERIOR:
                label[pixels == UNCOUNTED] = UNCOUNTED
            if pixels.dtype.kind == "f":
                label[np.isnan(pixels)] = UNCOUNTED
            return label
        # A neighbour beyond the edge of the part may have another number.
        wide, inner = _widen(box, self.shape[1:])
        pixels = self.source.read(index, wide)
        if pixels.dtype.kind == "f":
            pixels = np.where(np.isnan(pixels), NO_NUMBER, pixels)
        numbers = pixels.astype(np.int64)
        return np.ascontiguousarray(draw_label(numbers, line=2)[inner])

    def close(self) -> None:
        """Close the stack that they are read from."""
        self.source.close()


class LabelsOfTissue(Volume):
    """Labels of which nothing counts where a prediction is 0: there is no tissue.

    Parameters
    ----------
    labels, prediction : Volume
        Stay the caller's to close.
    """

    def __init__(self, labels: Volume, prediction: Volume) -> None:
        self._labels, self._prediction = labels, prediction
        self.path, self.shape, self.dtype = labels.path, labels.shape, labels.dtype
        self.names, self.separate = labels.names, labels.separate

    def read(self, index: int, box: Box) -> npt.NDArray[np.uint8]:
        """Read a part of a slice."""
        missing = self._prediction.part(index, box) == 0
        return np.where(missing, UNCOUNTED, self._labels.read(index, box))

    def close(self) -> None:
        """They are not ours."""


def open_labels(path: Path) -> Labels:
    """Open labels in any form that they may have, as `Labels` says.

    Raises
    ------
    InputError
        As for `Labels`, or if there is no stack.
    """
    source = open_numbers(path)
    try:
        return Labels(source)
    except BaseException:
        source.close()
        raise


def find_counted(labels: Volume, slices: Iterable[int], *, remedy: str) -> list[int]:
    """Which of these slices can be scored: those in which anything counts.

    Parameters
    ----------
    labels : Volume
        Of 0, 127 and 255.
    slices : iterable of int
    remedy : str
        What to do about a slice that cannot.

    Raises
    ------
    InputError
        If one has membrane but no cells, or nothing counts in any of them.
    """
    counted = []
    for index in slices:
        label = labels[index]
        if (label == INTERIOR).any():
            counted.append(index)
        elif (label == MEMBRANE).any():
            raise InputError(
                labels.path,
                expected="cells in every slice that is scored",
                found=f"only membrane in {name_in(labels, [index])}",
                remedy=remedy,
            )
    if not counted:
        raise InputError(
            labels.path,
            expected="cells in the slices that are scored",
            found=f"nothing that counts: {UNCOUNTED} or NaN everywhere",
            remedy=remedy,
        )
    return counted


@dataclass
class _Seen:
    """What one look at all pixels has shown."""

    values: set[float] = field(default_factory=set)
    numbered: bool = True
    whole: bool = True  # whether all of it has been looked at


def _look(source: Volume) -> _Seen:
    """See every pixel once, unless it is soon clear that they are grey levels or classes."""
    seen, looks = _Seen(), 0
    for index in range(len(source)):
        height, width = source.own_size(index)
        rows = max(1, PART // width)
        for top in range(0, height, rows):
            part = source.read(index, (slice(top, min(top + rows, height)), slice(0, width)))
            seen.values.update(_values(part))
        if len(seen.values) > 2 and looks < LOOKS:
            looks += 1
            seen.numbered = (
                seen.numbered
                and all(value >= 0 and float(value).is_integer() for value in seen.values)
                and looks_numbered(source.read(index, middle_of((height, width), most=MIDDLE)))
            )
        if len(seen.values) > SHOWN and not seen.numbered:
            seen.whole = False
            break
    return seen


def _values(pixels: npt.NDArray[Any]) -> list[float]:
    """Those that occur, but for NaN."""
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:  # a fifth of the time
        found = np.flatnonzero(np.bincount(pixels.ravel()))
    else:
        found = np.unique(pixels)
    values: list[float] = found[found == found].tolist()
    return values


def _widen(box: Box, shape: tuple[int, int]) -> tuple[Box, Box]:
    """A box with a pixel more on each side, if there is one, and where the box lies in it."""
    starts = [max(0, side.start - 1) for side in box]
    rows, columns = (
        slice(start, min(size, side.stop + 1))
        for start, side, size in zip(starts, box, shape, strict=True)
    )
    down, right = (
        slice(side.start - start, side.stop - start)
        for start, side in zip(starts, box, strict=True)
    )
    return (rows, columns), (down, right)


def _interior(path: Path, seen: _Seen) -> float | None:
    """The value inside cells; None if values number the cells."""
    values = sorted(seen.values)
    shown = ", ".join(f"{value:g}" for value in values[:SHOWN])
    if seen.values == OURS:
        return float(INTERIOR)
    if len(values) < 2:
        raise InputError(
            path,
            expected=EXPECTED,
            found=f"{shown or 'NaN'} everywhere",
            remedy="check that these are the labels",
        )
    if seen.values in ({0.0, float(UNCOUNTED)}, {float(UNCOUNTED), float(INTERIOR)}):
        raise InputError(
            path,
            expected=EXPECTED,
            found=f"{shown} alone, where {UNCOUNTED} means that a pixel does not count",
            remedy="give membrane the value 0 and the inside of cells 255",
        )
    if len(values) == 2:
        return values[1]
    if _may_number(seen):
        return None
    many = len(values) > SHOWN
    raise InputError(
        path,
        expected=EXPECTED,
        found=f"{len(values)}{'' if seen.whole else ' or more'} ({shown}{', ...' * many})",
        remedy="threshold the labels, or give every cell a number of its own"
        if many
        else f"give 0 on membrane, 255 inside cells, {UNCOUNTED} where nobody has labelled",
    )


def _may_number(seen: _Seen) -> bool:
    """Whether more than two values are numbers of cells."""
    whole = all(value >= 0 and float(value).is_integer() for value in seen.values)
    # Two values and a third one that says, as 127 and 255 do elsewhere, that nobody has looked.
    masked = len(seen.values) == 3 and bool(seen.values & {float(UNCOUNTED), float(INTERIOR)})
    return whole and seen.numbered and not masked
