"""Held-out slices of the report: image, label, prediction, and the errors of the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.disagreement import Disagreement, find_merges, find_splits
from unetseg.arrays.labelling import INTERIOR, UNCOUNTED
from unetseg.arrays.segments import label_cells, thin_borders
from unetseg.arrays.tiles import square_around
from unetseg.figures.report.pictures import (
    MARKS,
    TINTS,
    Picture,
    as_grey,
    drawing,
    layer,
    marked,
    photo,
    stretch,
    thick,
    tinted,
)

# In pixels: thinner errors are borders slightly beside the true ones, which do not affect tracing.
DEPTH = 3.0
BORDER = (255, 255, 255)
# The crop around a place: room around what is marked, and its limits, in pixels.
ROOM, SMALLEST, LARGEST = 48, 128, 256
MEMBRANE = 60  # grey of membrane in drawings, so that tints show on interior only


@dataclass(frozen=True, eq=False)
class HeldOutSlice:
    """A slice that was not trained on.

    Attributes
    ----------
    number : int
        Source slice, counted from 0.
    image : (H, W) array or None
    label : (H, W) array
        0 on membrane, 255 inside cells, 127 on unlabelled pixels.
    probability : (H, W) float
        Of interior.
    """

    number: int
    image: npt.NDArray[Any] | None
    label: npt.NDArray[Any]
    probability: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Compared:
    """A held-out slice, with the segments of its label and prediction, and its errors.

    Attributes
    ----------
    image : (H, W) array or None
    cells, segments : (H, W) int32
        True cells, and the prediction at the threshold after border thinning, as they are scored.
    errors : dict
        Its splits and merges, by kind: split, merge.
    """

    image: npt.NDArray[Any] | None
    cells: npt.NDArray[np.int32]
    segments: npt.NDArray[np.int32]
    errors: dict[str, list[Disagreement]]


def compare(held_out: HeldOutSlice, *, threshold: float) -> Compared:
    """Segment a slice as for its scores, and find its splits and merges.

    Parameters
    ----------
    held_out : HeldOutSlice
    threshold : float
        Higher probabilities are interior.
    """
    interior = (
        held_out.probability.astype(np.float64) > threshold
    )  # in double precision, as the scores
    cells = label_cells(held_out.label == INTERIOR)
    segments = thin_borders(interior, counted=held_out.label != UNCOUNTED)
    return Compared(
        image=held_out.image,
        cells=cells,
        segments=segments,
        errors={
            "split": find_splits(cells, segments, depth=DEPTH),
            "merge": find_merges(cells, segments, interior=interior, depth=DEPTH),
        },
    )


@dataclass(frozen=True, eq=False)
class Place:
    """An error worth looking at.

    Attributes
    ----------
    name : str
        S1, S2, ... or M1, M2, ...
    kind : str
        split or merge.
    index : int
        Index among the held-out slices.
    error : Disagreement
    """

    name: str
    kind: str
    index: int
    error: Disagreement

    @property
    def reach(self) -> int:
        """Pixels from its middle to the farthest pixel that is marked."""
        rows, columns = self.error.rows - self.error.row, self.error.columns - self.error.column
        return int(max(np.abs(rows).max(), np.abs(columns).max()))


def worst_places(errors: Sequence[dict[str, list[Disagreement]]], *, most: int) -> list[Place]:
    """Return the splits and the merges that affect the most pixels, at most `most` of each.

    Parameters
    ----------
    errors : sequence of dict
        For each slice its errors by kind.
    most : int
    """
    places = []
    for kind in MARKS:
        found = [(error, index) for index, here in enumerate(errors) for error in here[kind]]
        found.sort(key=lambda pair: -pair[0].pixels)
        places += [
            Place(f"{kind[0].upper()}{rank}", kind, index, error)
            for rank, (error, index) in enumerate(found[:most], start=1)
        ]
    return places


@dataclass(frozen=True)
class Panels:
    """Pictures of a slice; those of errors are layers to lay over the image."""

    image: Picture | None
    label: Picture
    prediction: Picture
    layers: list[tuple[str, Picture]]
    shape: tuple[int, int]


def draw_slice(held_out: HeldOutSlice, compared: Compared | None) -> Panels:
    """Draw image, label and prediction of a slice, and its errors if they are known."""
    number, image = held_out.number, held_out.image
    membrane = "cells white, membrane black"
    height, width = held_out.label.shape
    return Panels(
        image=None if image is None else photo(stretch(image), f"Micrograph, slice {number}"),
        label=drawing(as_grey(held_out.label / INTERIOR), f"Label of slice {number}: {membrane}"),
        prediction=photo(
            as_grey(held_out.probability),
            f"Prediction of slice {number}: the lighter, the more probably inside a cell",
        ),
        layers=[] if compared is None else _layers(compared),
        shape=(height, width),
    )


def _layers(compared: Compared) -> list[tuple[str, Picture]]:
    edge = max(compared.cells.shape)
    borders = thick(compared.segments == 0, round(edge / 512))
    layers = [("border", layer(borders, BORDER, "Borders of the predicted cells, as white lines"))]
    for kind, colour in (("split", "orange"), ("merge", "blue")):
        errors = compared.errors[kind]
        mask = np.zeros(compared.cells.shape, np.bool_)
        for error in errors:
            mask[error.rows, error.columns] = True
        alt = f"{len(errors)} {kind}{'' if len(errors) == 1 else 's'}, as {colour} lines"
        layers.append((kind, layer(thick(mask, max(1, round(edge / 256))), MARKS[kind], alt)))
    return layers


def draw_place(place: Place, where: Compared) -> list[tuple[str, Picture]]:
    """Draw the surroundings of an error: image, label and predicted cells, each with a caption."""
    error = place.error
    box = _box(place, where.cells.shape)
    mask = np.zeros(where.cells.shape, np.bool_)
    mask[error.rows, error.columns] = True
    whole, one, other = TINTS[place.kind]
    cells, segments = where.cells[box], where.segments[box]
    undivided, divided = (cells, segments) if place.kind == "split" else (segments, cells)
    halves = [(divided == part, tint) for part, tint in zip(error.parts, (one, other), strict=True)]
    around = f"around the {place.kind} {place.name}"
    panels = []
    if where.image is not None:
        grey = stretch(where.image)[box]
        panels.append(
            ("image", photo(marked(grey, mask[box], MARKS[place.kind]), f"Image {around}"))
        )
    tints = {id(undivided): [(undivided == error.whole, whole)], id(divided): halves}
    for name, regions in (("label", cells), ("prediction", segments)):
        flat = np.where(regions > 0, 255, MEMBRANE).astype(np.uint8)
        alt = f"{name.capitalize()} {around}, the cells that it concerns in colour"
        panels.append((name, drawing(tinted(flat, tints[id(regions)]), alt)))
    return panels


def _box(place: Place, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """A square around a place, moved to lie inside the slice."""
    edge = min(max(2 * (place.reach + ROOM), SMALLEST), LARGEST)
    return square_around((place.error.row, place.error.column), edge=edge, size=shape)
