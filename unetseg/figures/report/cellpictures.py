"""Pictures of linked cells in the report: the longest cells, and the least certain links."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.segments import label_cells
from unetseg.figures.report.pictures import (
    MARKS,
    TINTS,
    Mask,
    Picture,
    Pixels,
    photo,
    stretch,
    tinted,
)

CELL, CELL_TINT = (47, 190, 120), (150, 230, 185)
# Colours of the smaller and larger section of a link, distinct for all kinds of colour vision.
ONE, OTHER = MARKS["split"], MARKS["merge"]
ONE_TINT, OTHER_TINT = TINTS["split"][2], TINTS["merge"][2]
STEP = 176  # edge in pixels above which a picture of a strip is made smaller


@dataclass(frozen=True, eq=False)
class Seen:
    """A part of a slice: its number, the image there, and a section in it."""

    number: int
    image: Pixels
    section: Mask


def draw_strip(cell: int, slices: list[Seen]) -> list[tuple[str, Picture]]:
    """Draw a cell in some of its slices, each with a caption."""
    return [
        (
            f"slice {here.number}",
            photo(
                _outlined(
                    tinted(stretch(here.image), [(here.section, CELL_TINT)]),
                    [(here.section, CELL)],
                    width=max(1, round(max(here.section.shape) / STEP)),
                ),
                f"Cell {cell} in slice {here.number}, in green",
                most=STEP,
            ),
        )
        for here in slices
    ]


def draw_link(name: str, small: Seen, large: Seen) -> list[tuple[str, Picture]]:
    """Draw both sections of a link in each of their slices, each with a caption."""
    lines = [(large.section, OTHER), (small.section, ONE)]
    sides = [(small, "orange", ONE_TINT), (large, "blue", OTHER_TINT)]
    if small.number == large.number:
        areas = [(here.section, tint) for here, _, tint in sides]
        both = _outlined(tinted(stretch(small.image), areas), lines, width=1)
        alt = f"Slice {small.number} around {name}: one section in orange, its neighbour in blue"
        return [(f"slice {small.number}", photo(both, alt))]
    return [
        (
            f"slice {here.number}",
            photo(
                _outlined(tinted(stretch(here.image), [(here.section, tint)]), lines, width=1),
                f"Slice {here.number} around {name}: its section in {colour}, and the outline of "
                "the other",
            ),
        )
        for here, colour, tint in sorted(sides, key=lambda side: side[0].number)
    ]


def pick_section(cell: Mask, middle: tuple[float, float]) -> Mask:
    """Return the section of a cell whose mean row and column are nearest to `middle`."""
    sections = label_cells(cell)
    count = int(sections.max(initial=0))
    if count < 2:
        return cell
    middles = np.array(ndimage.center_of_mass(cell, sections, range(1, count + 1)))
    nearest = int(np.argmin(((middles - middle) ** 2).sum(axis=1)))
    picked: Mask = sections == nearest + 1
    return picked


def find_contact(one: Mask, other: Mask) -> tuple[int, int]:
    """Return mean row and column of where two sections overlap or, within a slice, touch."""
    wide = one
    for _ in range(3):  # across the line between neighbours, which is a pixel wide
        if (wide & other).any():
            return _middle(wide & other)
        wide = ndimage.binary_dilation(wide, np.ones((3, 3)))
    return _middle(one | other)


def _middle(mask: Mask) -> tuple[int, int]:
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return mask.shape[0] // 2, mask.shape[1] // 2
    return round(float(rows.mean())), round(float(columns.mean()))


def _outlined(
    colours: Pixels, lines: list[tuple[Mask, tuple[int, int, int]]], *, width: int
) -> npt.NDArray[np.uint8]:
    """Paint the outlines of areas, along their inside."""
    painted = colours.copy()
    for mask, colour in lines:
        inner = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=1)
        painted[mask & ~inner] = colour
    return painted
