"""Read labels of all supported forms as one: 0 membrane, 255 interior, 127 unlabelled."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.labelling import INTERIOR, MEMBRANE, UNCOUNTED
from unetseg.arrays.membranes import draw_membranes, reach_of
from unetseg.arrays.tiles import Box
from unetseg.errors import InputError
from unetseg.stacks.labelforms import find_interior
from unetseg.stacks.opening import open_numbers
from unetseg.stacks.understanding import AS_THEY_LOOK, Understanding
from unetseg.stacks.volume import Volume, name_in

AT_ONCE = 2**24  # pixels in which membrane is drawn at a time


class Labels(Volume):
    """Labels that are converted to the form that stages need as they are read.

    Attributes
    ----------
    dtype : numpy.dtype
        uint8: 0 on membrane, 255 inside cells, 127 on unlabelled pixels.
    source : Volume
        What they are read from.
    partial : bool
        Whether the value given as unlabelled occurs.
    note : str or None
        How they were interpreted, where that may surprise.

    Parameters
    ----------
    source : Volume
        Its pixels are of any integer type, or float32. NaN is unlabelled. Either

        - two values: the lower one is membrane, the higher one interior,
        - 0, 127 and 255, as above,
        - or cell numbers, 0 or more: membrane is where 0 is, and where two numbers meet.
    understanding : Understanding, optional
        What the user says about it; by default its form is recognised.

    Raises
    ------
    InputError
        If it is none of these, or damaged.
    UsageError
        If the width of membrane cannot be determined.
    """

    def __init__(self, source: Volume, understanding: Understanding = AS_THEY_LOOK) -> None:
        self.source = source
        self.path, self.shape, self.voxel = source.path, source.shape, source.voxel
        self.names, self.separate = source.names, source.separate
        self.dtype = np.dtype(np.uint8)
        self.note: str | None = None
        self._unlabelled = understanding.unlabelled
        self._unlabelled_slices = understanding.unlabelled_slices
        self._zero_counts = understanding.zero_counts
        self._interior, seen = find_interior(source, understanding)
        self.partial = seen.unlabelled
        if self._interior is None:
            self._width = understanding.width(source.voxel)
            zero = "0 and " if self._zero_counts else ""
            self.note = (
                f"labels number {len(seen.values - {0})} cells: membrane is {zero}where numbers "
                f"meet, {self._width:.3g} px wide"
            )

    def __str__(self) -> str:
        # As they are in the file, not as they are understood.
        return str(self.source)

    @property
    def numbered(self) -> bool:
        """Whether the source holds cell numbers."""
        return self._interior is None

    def numbers(self, index: int) -> npt.NDArray[Any]:
        """Read the cell numbers of one slice, (H, W): integers, and 0 on membrane.

        Unlabelled pixels are 0 too, as is membrane that is drawn where two numbers touch. Lines of
        0 keep their width, because these numbers serve to compare cells, not to train.

        Raises
        ------
        ValueError
            If the source holds classes.
        InputError
            As for `[index]`.
        """
        if not self.numbered:
            raise ValueError("these labels are classes")
        _, height, width = self.shape
        box = (slice(0, height), slice(0, width))
        label = self._read_own(index, box, close=False)
        numbers = np.where(label == INTERIOR, self.source.read(index, box), 0)
        return numbers.astype(np.int64) if numbers.dtype.kind == "f" else numbers

    def own_size(self, index: int) -> tuple[int, int]:
        """Return the size of the slice in the source."""
        return self.source.own_size(index)

    def read(self, index: int, box: Box) -> npt.NDArray[np.uint8]:
        """Read a part of a slice; padding counts as unlabelled."""
        return self._read_own(index, box, close=True)

    def _read_own(self, index: int, box: Box, *, close: bool) -> npt.NDArray[np.uint8]:
        label = self._read(index, box, close=close)
        for axis, (side, own) in enumerate(zip(box, self.own_size(index), strict=True)):
            np.moveaxis(label, axis, 0)[max(0, own - side.start) :] = UNCOUNTED
        return label

    def _read(self, index: int, box: Box, *, close: bool) -> npt.NDArray[np.uint8]:
        if index in self._unlabelled_slices:
            return np.full([side.stop - side.start for side in box], UNCOUNTED, np.uint8)
        if self._interior is None:
            return self._draw(index, box, close=close)
        pixels = self.source.read(index, box)
        label = np.where(pixels == self._interior, INTERIOR, MEMBRANE)
        if self._interior == INTERIOR:
            label[pixels == UNCOUNTED] = UNCOUNTED
        label[self._uncounted(pixels)] = UNCOUNTED
        return label

    def _draw(self, index: int, box: Box, *, close: bool) -> npt.NDArray[np.uint8]:
        """Draw membrane where numbers meet, in strips: it takes several times their memory."""
        rows, columns = box
        step = max(1, AT_ONCE // (columns.stop - columns.start))
        tops = range(rows.start, rows.stop, step)
        strips = [(slice(top, min(top + step, rows.stop)), columns) for top in tops]
        return np.concatenate([self._draw_part(index, strip, close=close) for strip in strips])

    def _draw_part(self, index: int, box: Box, *, close: bool) -> npt.NDArray[np.uint8]:
        """Draw one strip, with pixels read beyond its edges, where another number may be."""
        wide, inner = _widen(box, self.shape[1:], reach_of(self._width))
        pixels = self.source.read(index, wide)
        uncounted = self._uncounted(pixels)
        if not self._zero_counts:
            uncounted |= pixels == 0
        # Not as another integer type: only this one holds all numbers of 64 bits.
        numbers = np.where(uncounted, 0, pixels)
        if numbers.dtype.kind == "f":
            numbers = numbers.astype(np.int64)
        label = draw_membranes(numbers, width=self._width, close=close)
        label[uncounted] = UNCOUNTED
        return label[inner]

    def _uncounted(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return the mask of unlabelled pixels."""
        found = np.isnan(pixels) if pixels.dtype.kind == "f" else np.zeros(pixels.shape, bool)
        if self._unlabelled is not None:
            found |= pixels == self._unlabelled
        return found

    def close(self) -> None:
        """Close the stack that they are read from."""
        self.source.close()


class LabelsOfTissue(Volume):
    """Labels that are unlabelled where a prediction is 0, because there is no tissue.

    Parameters
    ----------
    labels, prediction : Volume
        The caller closes them.
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
        """Do nothing: the caller closes them."""


def open_labels(path: Path, understanding: Understanding = AS_THEY_LOOK) -> Labels:
    """Open labels in any of the forms that `Labels` lists.

    Raises
    ------
    InputError
        As for `Labels`, or if there is no stack.
    UsageError
        As for `Labels`.
    """
    source = open_numbers(path)
    try:
        return Labels(source, understanding)
    except BaseException:
        source.close()
        raise


def find_counted(labels: Volume, slices: Iterable[int], *, remedy: str) -> list[int]:
    """Return the slices that can be scored: those that are not entirely unlabelled.

    Parameters
    ----------
    labels : Volume
        Of 0, 127 and 255.
    slices : iterable of int
    remedy : str
        What to do about a slice that cannot be scored.

    Raises
    ------
    InputError
        If one has membrane but no cells, or all are entirely unlabelled.
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


def _widen(box: Box, shape: tuple[int, int], reach: int) -> tuple[Box, Box]:
    """Widen a box by `reach` pixels within the slice; return it, and where the box is in it."""
    starts = [max(0, side.start - reach) for side in box]
    rows, columns = (
        slice(start, min(size, side.stop + reach))
        for start, side, size in zip(starts, box, shape, strict=True)
    )
    down, right = (
        slice(side.start - start, side.stop - start)
        for start, side in zip(starts, box, strict=True)
    )
    return (rows, columns), (down, right)
