"""What the values of labels mean according to the user, parsed for the readers of labels."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from unetseg.arrays.membranes import NARROWEST
from unetseg.errors import InputError, UsageError
from unetseg.options import MEMBRANE_NM, MEMBRANE_PX, WIDEST_MEMBRANE, LabelOptions
from unetseg.stacks.voxel import Voxel


@dataclass(frozen=True, kw_only=True)
class Understanding:
    """What the user says about labels.

    Attributes
    ----------
    labels_as : str
        'classes', 'cells', or 'auto' for whichever they look like.
    unlabelled : int or float, optional
        The value of unlabelled pixels.
    must_occur : bool
        Whether labels without that value are refused.
    unlabelled_slices : frozenset of int
        Slices that count as unlabelled.
    zero_counts : bool
        Whether 0, among cell numbers, is membrane rather than unlabelled.
    membrane : (float, str), optional
        Width of the membrane that is drawn between cell numbers, in 'px' or 'nm'.
    voxel : Voxel, optional
        Size of a voxel from elsewhere; it overrides that in the file of the labels.
    """

    labels_as: str
    unlabelled: int | float | None
    unlabelled_slices: frozenset[int]
    zero_counts: bool
    membrane: tuple[float, str] | None
    voxel: Voxel | None
    must_occur: bool = True

    @property
    def only_for_cells(self) -> str | None:
        """The given option that applies only to cell numbers, if any."""
        if self.membrane is not None:
            return "--membrane"
        return None if self.zero_counts else "--background unlabelled"

    def width(self, voxel: Voxel | None) -> float:
        """Return the width of drawn membranes, in pixels.

        Parameters
        ----------
        voxel : Voxel or None
            What the file of the labels says.

        Raises
        ------
        UsageError
            If it cannot be determined, or is too large.
        """
        known = self.voxel or voxel
        pixel = None if known is None else math.sqrt(known.y * known.x)
        if self.membrane is None:
            found = MEMBRANE_PX if pixel is None else MEMBRANE_NM / pixel
            return min(max(NARROWEST, found), WIDEST_MEMBRANE)
        width, unit = self.membrane
        if unit == "nm" and pixel is None:
            raise UsageError(
                f"--membrane: expected a width in pixels such as '{MEMBRANE_PX:g} px', because the "
                f"stacks do not say how large a pixel is, found {width:g} nm"
            )
        found = width / pixel if unit == "nm" and pixel is not None else width
        if found > WIDEST_MEMBRANE:
            raise UsageError(
                f"--membrane: expected at most {WIDEST_MEMBRANE:g} px, found {found:g} px"
            )
        return max(NARROWEST, found)

    def check_slices(self, path: Path, count: int) -> None:
        """Raise an InputError if `unlabelled_slices` names one that is not there."""
        beyond = [index for index in self.unlabelled_slices if index >= count]
        if beyond:
            raise InputError(
                path,
                expected=f"a slice {min(beyond)}, which --unlabelled-slices names",
                found=f"slices 0-{count - 1}",
                remedy="count slices from 0",
            )


def understand(options: LabelOptions, voxel: Voxel | None) -> Understanding:
    """Parse the options that describe labels.

    Parameters
    ----------
    options : LabelOptions
    voxel : Voxel or None
        Of the stack that the labels belong to.

    Raises
    ------
    UsageError
        If an option is invalid, or two of them contradict each other.
    """
    understanding = Understanding(
        labels_as=options.labels_as,
        unlabelled=options.unlabelled,
        unlabelled_slices=parse_numbers(
            options.unlabelled_slices,
            flag="--unlabelled-slices",
            expected="slices, counted from 0, such as '3,7-9'",
        ),
        zero_counts=options.background == "membrane",
        membrane=_parse_width(options.membrane),
        voxel=voxel,
    )
    if options.labels_as == "classes" and understanding.only_for_cells:
        raise UsageError(
            f"{understanding.only_for_cells}: expected with numbers of cells, found with "
            "--labels-as classes; leave one of them out"
        )
    return understanding


def parse_numbers(text: str | None, *, flag: str, expected: str) -> frozenset[int]:
    """Parse an option that lists numbers and ranges of numbers, such as '3,7-9'.

    Raises
    ------
    UsageError
        If it is invalid.
    """
    found: set[int] = set()
    for part in [] if text is None else text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        # Ranges longer than any stack would only fill the memory.
        if first > last or last - first > MOST_NUMBERS:
            raise UsageError(f"{flag}: expected {expected}, found {text!r}")
        found.update(range(first, last + 1))
    return frozenset(found)


MOST_NUMBERS = 10**6


def _parse_width(text: str | None) -> tuple[float, str] | None:
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(nm|px)\s*", text, re.ASCII)
    if match is None or float(match[1]) == 0:
        raise UsageError(f"--membrane: expected a width such as '20 nm' or '5 px', found {text!r}")
    return float(match[1]), match[2]


AS_THEY_LOOK = understand(LabelOptions(), None)
"""For labels about which the user says nothing."""
