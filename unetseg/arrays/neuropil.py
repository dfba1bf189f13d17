"""Cells packed into a volume of synthetic neural tissue, and cuts through it.

Cells are ellipsoids that are grown until they meet; a smooth random displacement bends them.
Lengths are in pixels, depths in slices, as in the `Look` that the tissue is grown by.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.tissuelook import Look

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[Any]  # float32, or float64 on the way
Shape = tuple[int, int, int]  # slices, height, width
Field = Callable[[int], Floats]  # slice number -> (height, width)

CELL_TRIALS = 8.0  # seeds tried per median cell volume; most trials find the place taken
ALONE = 0.5  # slices over which a field changes that is independent on each slice
FEWEST_PIXELS = 20  # of a section of a cell, whatever the pixel size


def draw_field(scale: tuple[float, float], *, shape: Shape, rng: np.random.Generator) -> Field:
    """Draw a random field of mean 0 and variance 1; it changes over `scale` (px, slices)."""
    length, depth = scale
    blurs = []
    for size, step in zip(shape, (depth, length, length), strict=True):
        # Nodes reach 3 steps beyond either end: farther ones weigh exp(-9/2) and less.
        nodes = np.arange(-3, size / step + 3) * step
        blur = np.exp(-0.5 * ((np.arange(size)[:, None] - nodes) / step) ** 2)
        # Rows of unit norm make the variance 1 everywhere.
        blurs.append((blur / np.linalg.norm(blur, axis=1, keepdims=True)).astype(np.float32))
    along_z, along_y, along_x = blurs
    noise = rng.standard_normal([blur.shape[1] for blur in blurs], np.float32)
    return lambda z: along_y @ np.tensordot(along_z[z], noise, axes=1) @ along_x.T


@dataclass(frozen=True)
class Body:
    """An ellipsoid, cell or organelle, whose centre shifts by slice; each slice cuts an ellipse."""

    z: float  # slice of its centre
    y: float  # px, on that slice
    x: float
    radius: float  # geometric mean of the half-axes on that slice, px
    half_depth: float  # slices to either end
    aspect: float  # one half-axis divided by `radius`; the other is `radius` divided by this
    angle: float  # of that axis, radians
    slide_y: float  # px per slice
    slide_x: float

    def cut(self, z: float) -> Body | None:
        """Return the outline on slice `z`; None if that slice misses the body."""
        along = z - self.z
        if abs(along) >= self.half_depth:
            return None
        y, x = self.y + self.slide_y * along, self.x + self.slide_x * along
        radius = self.radius * math.sqrt(1 - (along / self.half_depth) ** 2)
        return replace(self, z=z, y=y, x=x, radius=radius)

    def axes(self, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """Coordinates along the two axes, scaled so that their hypot is `radius` on the outline."""
        dy, dx = y - self.y, x - self.x
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return (cos * dx + sin * dy) / self.aspect, (cos * dy - sin * dx) * self.aspect

    def window(self, beyond: float) -> tuple[slice, slice]:
        """Part of the frame (no index below 0) that the outline, grown by `beyond` px, touches."""
        reach = (self.radius + beyond) * max(self.aspect, 1 / self.aspect)
        top, left = max(0, int(self.y - reach)), max(0, int(self.x - reach))
        bottom, right = max(0, int(self.y + reach) + 2), max(0, int(self.x + reach) + 2)
        return slice(top, bottom), slice(left, right)


@dataclass(frozen=True)
class Tissue:
    """A volume before it is cut: N cells, their mitochondria, and fields of the whole volume."""

    look: Look
    cells: list[Body]
    mitochondria: list[tuple[int, Body]]  # each with the index of its cell
    level: Floats  # (N + 1,) grey levels, the last one for places outside all cells
    crowding: Floats  # (N + 1,) density of vesicles, as a share of the highest, likewise
    warps: list[tuple[float, Field, Field]]  # amplitude, y and x
    width: Field
    tilt: Field
    light: Field
    gap: Field | None  # None if there are no gaps between cells
    sheath: Floats | None  # (N + 1,) px of myelin, None if there is none


@dataclass(frozen=True)
class Cut:
    """What one slice shows, each array (height, width)."""

    y: Floats  # place of each pixel in the tissue, px: its own coordinates plus the displacement
    x: Floats
    moved: float  # largest displacement, px: what a body's window must allow for
    cells: Ints  # nearest cell, on membranes too; -1 where no cell is near
    clearance: Floats  # px to the membrane: positive inside a cell, else on membrane
    half_width: Floats  # of the membranes nearby, px
    offset: Floats  # px from the middle of the membrane into the cell, negative between two cells


def grow_tissue(shape: Shape, *, look: Look, rng: np.random.Generator) -> Tissue:
    """Draw everything about the volume that its slices share."""
    field = partial(draw_field, shape=shape, rng=rng)
    fabric = (look.fabric, look.fabric_depth)
    cells = scatter_cells(shape, look=look, rng=rng)
    count = len(cells) + 1
    return Tissue(
        look=look,
        cells=cells,
        mitochondria=place_mitochondria(cells, look=look, rng=rng),
        level=(look.level - rng.exponential(look.level_drop, count)).astype(np.float32),
        crowding=rng.random(count, np.float32) ** look.crowding,
        warps=[(by, field(scale), field(scale)) for by, scale in displacements(look)],
        width=field(fabric),
        tilt=field(fabric),
        light=field((look.light_over, ALONE)),
        gap=field(fabric) if look.gap else None,
        sheath=wrap_cells(cells, look=look, rng=rng) if look.myelin else None,
    )


def displacements(look: Look) -> list[tuple[float, tuple[float, float]]]:
    """Amplitude in px, and scale in (px, slices), of each displacement that bends the tissue."""
    return [
        (look.misaligned, (look.misaligned_over, ALONE)),
        (look.drift, (look.drift_over, look.drift_depth)),
        (look.bend, (look.bend_over, look.bend_depth)),
        (look.ripple, (look.ripple_over, look.ripple_depth)),
    ]


def scatter_cells(shape: Shape, *, look: Look, rng: np.random.Generator) -> list[Body]:
    """Pack cells into the volume and its margins, the large ones first."""
    margin = (look.margin_depth, look.margin, look.margin)
    low, high = -np.array(margin), np.add(shape, margin)
    median, depth = look.cell_radius, look.cell_half_depth
    trials = int(CELL_TRIALS * np.prod(high - low) / (np.pi * median**2 * 2 * depth))
    radius = np.sort(rng.lognormal(np.log(median), look.cell_spread, trials))[::-1]
    radius = radius.clip(look.cell_smallest, look.cell_largest)
    half_depth = depth * np.sqrt(radius / median)  # thin neurites are long, too
    seed = rng.uniform(low, high, (trials, 3))
    kept: list[int] = []
    taken = np.empty((5, trials))  # place, radius and half-depth of what is kept
    for i in range(trials):
        z, y, x, r, d = taken[:, : len(kept)]
        deep = (z - seed[i, 0]) ** 2 / (d + half_depth[i]) ** 2
        away = (y - seed[i, 1]) ** 2 + (x - seed[i, 2]) ** 2
        wide = away / (look.cell_apart * (r + radius[i])) ** 2
        if np.all(deep + wide > 1):
            taken[:, len(kept)] = *seed[i], radius[i], half_depth[i]
            kept.append(i)
    angle = (1 - look.cell_bundle) * rng.uniform(0, np.pi, trials)
    longer = rng.uniform(-1, 1, trials)
    aspect = look.cell_aspect ** (longer + look.cell_bundle * (np.abs(longer) - longer))
    slide = rng.normal(0, look.cell_slide, (trials, 2))
    columns = np.column_stack([seed, radius, half_depth, aspect, angle, slide])
    return [Body(*row) for row in columns[kept].tolist()]


def place_mitochondria(
    cells: list[Body], *, look: Look, rng: np.random.Generator
) -> list[tuple[int, Body]]:
    """Put mitochondria into the cells with room for them; each moves with its cell."""
    placed = []
    roomy = [i for i, cell in enumerate(cells) if cell.radius > look.mito_host]
    for i in roomy * round(look.mito_count):
        z = cells[i].z + rng.uniform(-1, 1) * cells[i].half_depth
        outline = cells[i].cut(z)
        if outline is None:  # at the very tip of the cell
            continue
        y, x = rng.normal((outline.y, outline.x), look.mito_offset * outline.radius).tolist()
        radius = min(
            rng.uniform(look.mito_smallest, look.mito_largest), look.mito_fill * outline.radius
        )
        half_depth = rng.uniform(look.mito_shallow, look.mito_deep)
        # Aspect, angle and slide stay those of the cell: mitochondria lie along their neurite.
        placed.append((i, replace(outline, y=y, x=x, radius=radius, half_depth=half_depth)))
    return placed


def wrap_cells(cells: list[Body], *, look: Look, rng: np.random.Generator) -> Floats:
    """Thickness of the myelin of every cell, mostly 0, and 0 for places outside all cells."""
    thick = [cell.radius > look.cell_radius for cell in cells]
    wrapped = np.append(thick, False) & (rng.random(len(cells) + 1) < look.myelin)
    return np.where(wrapped, look.myelin_width, 0).astype(np.float32)


def cut_tissue(tissue: Tissue, z: int) -> Cut:
    """Find the cells and membranes on slice `z`."""
    look = tissue.look
    half_width = look.half_width * np.exp(look.half_width_spread * tissue.width(z))
    half_width = half_width.clip(look.thinnest, look.thickest)
    shift = np.zeros((2, *half_width.shape), np.float32)
    for amplitude, *fields in tissue.warps:
        shift += amplitude * np.stack([field(z) for field in fields])
    y, x = np.indices(half_width.shape, np.float32) + shift
    moved = float(np.abs(shift).max())
    outlines = [cell.cut(z) for cell in tissue.cells]
    cells = nearest_cells(outlines, y, x, growth=look.cell_growth, moved=moved)
    offset = distance_to_border(cells)
    if tissue.gap is not None:
        gap = look.gap * tissue.gap(z).clip(0, None)
        half_width /= 1 + gap / (gap + half_width)  # a single membrane is half of a double one
        offset -= gap
    clearance = offset - half_width
    if tissue.sheath is not None:
        clearance -= tissue.sheath[cells]
    pieces, count = ndimage.label(clearance > 0)
    small = np.bincount(pieces.ravel(), minlength=count + 1) < max(look.cell_area, FEWEST_PIXELS)
    small = small[pieces]  # the image shows them dark
    clearance = np.where(small, -half_width / 2, clearance)
    return Cut(y, x, moved, cells, clearance, half_width, np.where(small, half_width / 2, offset))


def distance_to_border(cells: Ints) -> Floats:
    """Distance of every pixel to where one cell meets another, (height, width)."""
    border = np.zeros(cells.shape, bool)
    # One of two neighbours in different cells is border, so that 4-connectivity finds no gap.
    border[:-1] |= cells[:-1] != cells[1:]
    border[:, :-1] |= cells[:, :-1] != cells[:, 1:]
    border[0, 0] |= not border.any()  # distances need something to be measured from
    return np.asarray(ndimage.distance_transform_edt(~border), np.float32)


def nearest_cells(
    outlines: list[Body | None], y: Floats, x: Floats, *, growth: float, moved: float
) -> Ints:
    """Index of the nearest outline within `growth`, (height, width); -1 where none is near."""
    distance = np.full(y.shape, growth, np.float32)
    nearest = np.full(y.shape, -1, np.int32)
    for i, outline in enumerate(outlines):
        if outline is None:
            continue
        window = outline.window(growth + moved)
        outside = np.hypot(*outline.axes(y[window], x[window])) - outline.radius
        closer = outside < distance[window]
        distance[window][closer] = outside[closer]
        nearest[window][closer] = i
    return nearest
