"""Recognise the form of labels: which values they have, and what those can mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.labelling import INTERIOR, MEMBRANE, UNCOUNTED, looks_numbered
from unetseg.arrays.tiles import middle_of
from unetseg.errors import InputError, first_of
from unetseg.stacks.understanding import AS_THEY_LOOK, Understanding
from unetseg.stacks.volume import Volume

OURS = {float(MEMBRANE), float(UNCOUNTED), float(INTERIOR)}
EXPECTED = "labels, of two values (0 on membrane, 255 inside cells)"
SHOWN = 4  # values that an error names

# Cell numbers are distinguished from classes and grey levels by the middle of some slices.
LOOKS = 5
MIDDLE = 1024
SMALLEST_AREA = 4  # px: at least half of the cells must have it

PART = 2**24  # pixels that are read at a time


@dataclass
class Seen:
    """What reading all pixels once has shown.

    Attributes
    ----------
    values : set of int or float
        Those that occur, except NaN and the value given as unlabelled; 127 is included even
        where it means unlabelled, beside 0 and 255.
    unlabelled : bool
        Whether the value of unlabelled pixels occurs.
    numbered : bool
        Whether the values look like cell numbers.
    whole : bool
        Whether all pixels were read.
    """

    values: set[float] = field(default_factory=set)
    unlabelled: bool = False
    numbered: bool = True
    whole: bool = True


def find_interior(source: Volume, understanding: Understanding) -> tuple[float | None, Seen]:
    """Find what the values of labels mean.

    Returns
    -------
    interior : int, float or None
        The value inside cells; None if values are cell numbers.
    seen : Seen

    Raises
    ------
    InputError
        If they contradict what the user says, or have no known form.
    """
    understanding.check_slices(source.path, len(source))
    seen = _look(source, understanding)
    wanted = understanding.must_occur and understanding.unlabelled is not None
    if wanted and seen.whole and not seen.unlabelled:
        raise InputError(
            source.path,
            expected=f"the value {understanding.unlabelled}, which --unlabelled names",
            found=_list(seen.values) or "NaN everywhere",
            remedy="name the value that nobody has labelled, or leave the option out",
        )
    if understanding.labels_as == "cells":
        _check_cells(source.path, seen, understanding)
        return None, seen
    interior = _interior(source.path, seen, understanding)
    if interior is not None and understanding.only_for_cells:
        raise InputError(
            source.path,
            expected=f"numbers of cells, for {understanding.only_for_cells}",
            found=f"two classes ({_list(seen.values)})",
            remedy="leave it out, or give --labels-as cells",
        )
    return interior, seen


def look_numbered(source: Volume) -> bool:
    """Whether the pixels of a stack look like cell numbers, not like two classes or grey levels."""
    seen = _look(source, AS_THEY_LOOK)
    if len(seen.values) < 3 or not _may_number(seen):
        return False
    # In a small 16-bit slice most grey levels occur once, and so look like connected cells.
    areas = []
    for index in range(min(LOOKS, len(source))):
        box = middle_of(source.own_size(index), most=MIDDLE)
        numbers, pixels = np.unique(source.read(index, box), return_counts=True)
        areas.append(pixels[numbers != 0])
    found = np.concatenate(areas)
    return len(found) == 0 or float(np.median(found)) >= SMALLEST_AREA


def _look(source: Volume, understanding: Understanding) -> Seen:
    """Read every pixel once, but stop as soon as they are clearly grey levels or classes."""
    seen, looks = Seen(), 0
    unlabelled = _as_pixel(source, understanding.unlabelled)
    for index in range(len(source)):
        height, width = source.own_size(index)
        rows = max(1, PART // width)
        here: set[float] = set()
        for top in range(0, height, rows):
            part = source.read(index, (slice(top, min(top + rows, height)), slice(0, width)))
            here.update(_values(part))
        seen.unlabelled |= unlabelled in here
        if index in understanding.unlabelled_slices:
            continue
        seen.values |= here - {unlabelled}
        if understanding.labels_as == "cells":
            continue
        if len(seen.values) > 2 and looks < LOOKS:
            looks += 1
            middle = source.read(index, middle_of((height, width), most=MIDDLE))
            if unlabelled is not None:
                middle = np.where(middle == unlabelled, 0, middle)
            seen.numbered = (
                seen.numbered
                and all(_is_number(value) for value in seen.values)
                and looks_numbered(middle)
            )
        if len(seen.values) > SHOWN and not seen.numbered:
            seen.whole = False
            break
    return seen


def _as_pixel(source: Volume, value: float | None) -> float | None:
    """Round a value to the precision of the pixels, where these are floating-point."""
    if value is None or source.dtype.kind != "f":
        return value
    return float(source.dtype.type(value))


def _values(pixels: npt.NDArray[Any]) -> list[float]:
    """Return the values that occur, without NaN."""
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:  # a fifth of the time
        found = np.flatnonzero(np.bincount(pixels.ravel()))
    else:
        found = np.unique(pixels)
    values: list[float] = found[found == found].tolist()
    return values


def _is_number(value: float) -> bool:
    """Whether a value may be the number of a cell, or 0."""
    return value >= 0 and value == value // 1


def _list(values: set[float]) -> str:
    """The lowest values, for a message."""
    return first_of([_show(value) for value in sorted(values)[: SHOWN + 1]], most=SHOWN)


def _show(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _check_cells(path: Path, seen: Seen, understanding: Understanding) -> None:
    """Raise an InputError unless values are cell numbers that leave membrane between cells."""
    others = {value for value in seen.values if not _is_number(value)}
    if others:
        negative = {value for value in others if value < 0}
        raise InputError(
            path,
            expected="numbers of cells, whole ones from 0 on",
            found=_list(others),
            remedy="name what nobody has labelled with --unlabelled"
            if others == negative and len(others) == 1
            else "give every cell a number, and membrane 0",
        )
    cells, zero = seen.values - {0}, 0 in seen.values and understanding.zero_counts
    if len(cells) + zero < 2 or not cells:
        raise InputError(
            path,
            expected="numbers of cells, and membrane or a second cell beside them",
            found=_only(seen, understanding),
            remedy="check that these are the labels, and what is said of them",
        )


def _only(seen: Seen, understanding: Understanding) -> str:
    """Describe the values of labels that have too few of them."""
    partly = seen.unlabelled or understanding.unlabelled_slices
    if not seen.values:
        return "nothing that is labelled" if partly else "NaN everywhere"
    return f"{_list(seen.values)} {'wherever it is labelled' if partly else 'everywhere'}"


def _interior(path: Path, seen: Seen, understanding: Understanding) -> float | None:
    """Return the value inside cells; None if values are cell numbers."""
    values, shown = sorted(seen.values), _list(seen.values)
    if seen.values == OURS:
        return float(INTERIOR)
    if len(values) < 2:
        raise InputError(
            path,
            expected=EXPECTED,
            found=_only(seen, understanding),
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
    if understanding.labels_as == "auto" and _may_number(seen):
        return None
    many = len(values) > SHOWN
    names = f"{', '.join(map(_show, values[:-1]))} and {_show(values[-1])}"
    raise InputError(
        path,
        expected=EXPECTED,
        found=f"{len(values)}{'' if seen.whole else ' or more'} ({shown})",
        remedy="threshold the labels, or give every cell a number of its own (--labels-as cells)"
        if many
        else f"give 0 on membrane, 255 inside cells, {UNCOUNTED} where nobody has labelled, or say "
        f"with --unlabelled which of {names} that is",
    )


def _may_number(seen: Seen) -> bool:
    """Whether more than two values may be cell numbers."""
    whole = all(_is_number(value) for value in seen.values)
    # Two classes, and a third value for unlabelled pixels, as 127 and 255 are elsewhere.
    masked = len(seen.values) == 3 and bool(seen.values & {float(UNCOUNTED), float(INTERIOR)})
    return whole and seen.numbered and not masked
