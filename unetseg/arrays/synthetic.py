"""Synthetic serial-section electron microscopy: stacks of neural tissue and their labels.

Cells are ellipsoids packed into a volume and grown until they meet; a smooth random displacement
bends them. Membranes, organelles and camera noise are drawn on cuts through that volume. Sizes and
grey levels follow the ISBI 2012 stack (Drosophila larva, 4 x 4 x 50 nm per voxel, doi
10.1371/journal.pbio.1000502). Lengths are in pixels of 4 nm, depths in slices of 50 nm, darkness in
grey levels of 256. A "spread" is the standard deviation of a logarithm.
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

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[Any]  # float32, or float64 on the way
Shape = tuple[int, int, int]  # slices, height, width
Field = Callable[[int], Floats]  # slice number -> (height, width)

INTERIOR, MEMBRANE = 255, 0  # values of the labels

# Cells, before they grow.
CELL_RADIUS = (12.0, 0.62)  # median in px, spread: few large cells, many small ones
CELL_RADIUS_RANGE = (6.0, 60.0)  # px
CELL_ASPECT = 1.7  # largest half-axis over the radius
CELL_HALF_DEPTH = 25.0  # slices to either end of a cell of median radius: neurites are long
CELL_SLIDE = 0.5  # standard deviation of the motion against the neighbours, px per slice
CELL_GAP = 0.85  # smallest distance of two seeds, in sums of their radii
CELL_TRIALS = 8.0  # seeds tried per median cell volume; most trials find the place taken
CELL_GROWTH = 25.0  # px that a cell may grow; what is left over is one cell more
SMALLEST_CELL = 50  # px of area; a smaller sliver between two membranes is membrane
MARGIN = (25, 70, 70)  # slices, px, px around the stack with seeds of cells that reach into it

# Displacement: amplitude in px, scale in (px, slices); from the misalignment of single slices and
# the drift of bundles down to the waviness of a membrane. Amplitudes far below lengths: no folds.
WARPS = ((1.2, (300.0, 0.5)), (14.0, (80.0, 3.5)), (6.0, (24.0, 2.5)), (1.3, (7.0, 1.0)))

# Membranes and cytoplasm. Tilt is the logit of how oblique the cut is.
HALF_WIDTH = (2.7, 0.25)  # median of half a membrane's thickness in the label in px, spread
HALF_WIDTH_RANGE = (1.5, 4.0)  # px; the lower bound keeps a line of 3 px
FABRIC = (25.0, 2.0)  # px and slices over which thickness and tilt change
TILT = (-1.7, 1.6)  # mean, standard deviation
TILT_BLUR, TILT_FADE = 0.8, 0.55  # relative gain in width and loss of contrast when all oblique
MEMBRANE_DARKNESS = 114.0
MEMBRANE_PROFILE = (0.85, 3.0)  # e-folding distance in half-widths, exponent: 2 is a Gaussian
SYNAPSE = (130.0, 1.25, 9.0)  # darkness per excess of thickness over so many medians; reach, px
LEVEL, LEVEL_DROP = 176.0, 22.0  # of the lightest cells, mean drop: exponential, so few are dark
TEXTURE = ((21.0, 1.0), (9.0, 2.5), (8.0, 12.0))  # (standard deviation, grain size in px)

# Mitochondria.
MITO_HOST = (15.0, 3)  # smallest radius of a cell that has room, px; how many along its depth
MITO_RADIUS = (11.0, 27.0)  # px
MITO_FILL, MITO_OFFSET = 0.65, 0.3  # largest radius, deviation of place; in radii of the cell
MITO_HALF_DEPTH = (6.0, 14.0)  # slices
MITO_DARKNESS = 72.0
MITO_WALL = (35.0, 1.6)  # darkness beyond that of the inside, standard deviation in px
MITO_CRISTAE = (20.0, 6.0)  # amplitude, period in px

# Vesicles, microtubules and bits of endoplasmic reticulum.
VESICLE_DENSITY = 1 / 80  # per px in the most crowded cell
VESICLE_RADIUS = (1.5, 6.0)  # px
VESICLE_DARKNESS = (20.0, 95.0)
VESICLE_WALL, VESICLE_SOLID = 1.2, 0.3  # width of a ring in px, share of dark dots

# Camera.
DOSE, READ_NOISE = 0.4, 5.0  # electrons per px and grey level: fewer is noisier; grey levels
POINT_SPREAD = 0.7  # px
LIGHT = (0.12, (120.0, 0.5))  # relative standard deviation, scale: new on each slice
DEVELOPMENT = (0.08, 7.0)  # standard deviations between slices: of gain, of offset in grey levels


def synthesize(
    *, slices: int, height: int, width: int, rng: np.random.Generator
) -> tuple[Bytes, Bytes]:
    """Make a stack that looks like ssTEM of neural tissue, and its labels.

    Parameters
    ----------
    slices, height, width : int
        Shape of the stack, in slices of 50 nm and pixels of 4 nm.
    rng : numpy.random.Generator
        The only source of randomness: the same state gives the same stack.

    Returns
    -------
    images : (slices, height, width) uint8
        Light cytoplasm, dark membranes and organelles.
    labels : (slices, height, width) uint8
        255 inside a cell, organelles included; 0 on membrane.
    """
    tissue = grow_tissue((slices, height, width), rng=rng)
    images, labels = np.empty((2, slices, height, width), np.uint8)
    for z in range(slices):
        cut = cut_tissue(tissue, z)
        labels[z] = np.where(cut.clearance > 0, INTERIOR, MEMBRANE)
        images[z] = photograph(draw(tissue, cut, z, rng=rng), tissue.light(z), rng=rng)
    return images, labels


def draw_field(scale: tuple[float, float], *, shape: Shape, rng: np.random.Generator) -> Field:
    """Draw a random field of mean 0 and variance 1; it changes over `scale` (px, slices)."""
    length, depth = scale
    blurs = []
    for size, step in zip(shape, (depth, length, length), strict=True):
        # Nodes reach 3 steps over either end: farther ones weigh exp(-9/2) and less.
        nodes = np.arange(-3, size / step + 3) * step
        blur = np.exp(-0.5 * ((np.arange(size)[:, None] - nodes) / step) ** 2)
        # Rows of unit norm make the variance 1 everywhere.
        blurs.append((blur / np.linalg.norm(blur, axis=1, keepdims=True)).astype(np.float32))
    along_z, along_y, along_x = blurs
    noise = rng.standard_normal([blur.shape[1] for blur in blurs], np.float32)
    return lambda z: along_y @ np.tensordot(along_z[z], noise, axes=1) @ along_x.T


@dataclass(frozen=True)
class Body:
    """An ellipsoid, cell or organelle, that slides through the slices; each cuts out an ellipse."""

    z: float  # slice of its centre
    y: float  # px, there
    x: float
    radius: float  # geometric mean of the half-axes on that slice, px
    half_depth: float  # slices to either end
    aspect: float  # one half-axis over `radius`, which is over the other
    angle: float  # of that axis, radians
    slide_y: float  # px per slice
    slide_x: float

    def cut(self, z: float) -> Body | None:
        """Move to slice `z` and shrink to the outline there; None where that misses the body."""
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

    cells: list[Body]
    mitochondria: list[tuple[int, Body]]  # each with the index of its cell
    level: Floats  # (N + 1,) grey levels, the last one of what no cell claims
    crowding: Floats  # (N + 1,) shares of VESICLE_DENSITY, likewise
    warps: list[tuple[Field, Field]]  # y and x of each of WARPS
    width: Field
    tilt: Field
    light: Field


@dataclass(frozen=True)
class Cut:
    """What one slice shows, each array (height, width)."""

    y: Floats  # place in the tissue, px: the pixel's own, displaced
    x: Floats
    moved: float  # largest displacement, px: what a body's window must allow for
    cells: Ints  # nearest cell, on membranes too; -1 where no cell is near
    clearance: Floats  # px to the membrane: positive inside a cell, else on membrane
    half_width: Floats  # of the membranes nearby, px


def grow_tissue(shape: Shape, *, rng: np.random.Generator) -> Tissue:
    """Draw everything about the volume that its slices share."""
    field = partial(draw_field, shape=shape, rng=rng)
    cells = scatter_cells(shape, rng=rng)
    count = len(cells) + 1
    return Tissue(
        cells=cells,
        mitochondria=place_mitochondria(cells, rng=rng),
        level=(LEVEL - rng.exponential(LEVEL_DROP, count)).astype(np.float32),
        crowding=rng.random(count, np.float32) ** 2,  # squared: most cells hold few vesicles
        warps=[(field(scale), field(scale)) for _, scale in WARPS],
        width=field(FABRIC),
        tilt=field(FABRIC),
        light=field(LIGHT[1]),
    )


def scatter_cells(shape: Shape, *, rng: np.random.Generator) -> list[Body]:
    """Pack cells into the volume and its margins, the large ones first."""
    low, high = -np.array(MARGIN), np.add(shape, MARGIN)
    median, spread = CELL_RADIUS
    trials = int(CELL_TRIALS * np.prod(high - low) / (np.pi * median**2 * 2 * CELL_HALF_DEPTH))
    radius = np.sort(rng.lognormal(np.log(median), spread, trials))[::-1].clip(*CELL_RADIUS_RANGE)
    half_depth = CELL_HALF_DEPTH * np.sqrt(radius / median)  # thin neurites are long, too
    seed = rng.uniform(low, high, (trials, 3))
    kept: list[int] = []
    for i in range(trials):
        away = (seed[kept] - seed[i]) ** 2
        deep = away[:, 0] / (half_depth[kept] + half_depth[i]) ** 2
        wide = (away[:, 1] + away[:, 2]) / (CELL_GAP * (radius[kept] + radius[i])) ** 2
        if np.all(deep + wide > 1):
            kept.append(i)
    angle = rng.uniform(0, np.pi, trials)
    aspect = CELL_ASPECT ** rng.uniform(-1, 1, trials)
    slide = rng.normal(0, CELL_SLIDE, (trials, 2))
    columns = np.column_stack([seed, radius, half_depth, aspect, angle, slide])
    return [Body(*row) for row in columns[kept].tolist()]


def place_mitochondria(cells: list[Body], *, rng: np.random.Generator) -> list[tuple[int, Body]]:
    """Put mitochondria into the cells with room for them; each moves with its cell."""
    placed = []
    roomy = [i for i, cell in enumerate(cells) if cell.radius > MITO_HOST[0]]
    for i in roomy * MITO_HOST[1]:
        z = cells[i].z + rng.uniform(-1, 1) * cells[i].half_depth
        outline = cells[i].cut(z)
        if outline is None:  # at the very tip of the cell
            continue
        y, x = rng.normal((outline.y, outline.x), MITO_OFFSET * outline.radius).tolist()
        radius = min(rng.uniform(*MITO_RADIUS), MITO_FILL * outline.radius)
        half_depth = rng.uniform(*MITO_HALF_DEPTH)
        # Aspect, angle and slide stay those of the cell: mitochondria lie along their neurite.
        placed.append((i, replace(outline, y=y, x=x, radius=radius, half_depth=half_depth)))
    return placed


def cut_tissue(tissue: Tissue, z: int) -> Cut:
    """Find the cells and membranes on slice `z`."""
    half_width = HALF_WIDTH[0] * np.exp(HALF_WIDTH[1] * tissue.width(z))
    half_width = half_width.clip(*HALF_WIDTH_RANGE)
    shift = np.zeros((2, *half_width.shape), np.float32)
    for (amplitude, _), fields in zip(WARPS, tissue.warps, strict=True):
        shift += amplitude * np.stack([field(z) for field in fields])
    y, x = np.indices(half_width.shape, np.float32) + shift
    moved = float(np.abs(shift).max())
    cells = nearest_cells([cell.cut(z) for cell in tissue.cells], y, x, moved=moved)
    border = np.zeros(cells.shape, bool)
    # Of two neighbours in different cells one is border: no gap is left for 4-connectivity.
    border[:-1] |= cells[:-1] != cells[1:]
    border[:, :-1] |= cells[:, :-1] != cells[:, 1:]
    border[0, 0] |= not border.any()  # distances need something to be measured from
    clearance = ndimage.distance_transform_edt(~border).astype(np.float32) - half_width
    pieces, count = ndimage.label(clearance > 0)
    small = np.bincount(pieces.ravel(), minlength=count + 1) < SMALLEST_CELL
    clearance = np.where(small[pieces], -half_width / 2, clearance)  # the image shows them dark
    return Cut(y, x, moved, cells, clearance, half_width)


def nearest_cells(outlines: list[Body | None], y: Floats, x: Floats, *, moved: float) -> Ints:
    """Index of the nearest outline, (height, width); -1 where none is near."""
    distance = np.full(y.shape, CELL_GROWTH, np.float32)
    nearest = np.full(y.shape, -1, np.int32)
    for i, outline in enumerate(outlines):
        if outline is None:
            continue
        window = outline.window(CELL_GROWTH + moved)
        outside = np.hypot(*outline.axes(y[window], x[window])) - outline.radius
        closer = outside < distance[window]
        distance[window][closer] = outside[closer]
        nearest[window][closer] = i
    return nearest


def draw(tissue: Tissue, cut: Cut, z: int, *, rng: np.random.Generator) -> Floats:
    """Grey levels of slice `z` before the camera, (height, width) float32."""
    membranes = membrane_darkness(cut, tilt=tissue.tilt(z))
    mitochondria = mitochondria_darkness(tissue.mitochondria, cut, z)
    vesicles = vesicle_darkness(tissue.crowding[cut.cells], cut.clearance, rng=rng)
    # The darkest of what lies in one place, not the sum, or overlaps would be black.
    darkest = np.maximum(np.maximum(membranes, mitochondria), vesicles)
    image: Floats = tissue.level[cut.cells] * (1 - darkest / LEVEL)
    for deviation, grain in TEXTURE:
        noise = rng.standard_normal(image.shape, np.float32)
        # Blurring leaves 1 / (2 sqrt(pi) grain) of the deviation of white noise.
        image += deviation * 2 * math.sqrt(math.pi) * grain * ndimage.gaussian_filter(noise, grain)
    return image


def membrane_darkness(cut: Cut, *, tilt: Floats) -> Floats:
    """Dark bands along the borders, wide and faint where cut obliquely, and synapses on them."""
    oblique = 1 / (1 + np.exp(-(TILT[0] + TILT[1] * tilt)))
    distance = cut.clearance + cut.half_width
    falloff, exponent = MEMBRANE_PROFILE
    width = falloff * cut.half_width * (1 + TILT_BLUR * oblique)
    rise, onset, reach = SYNAPSE
    synapse = rise * np.clip(cut.half_width / HALF_WIDTH[0] - onset, 0, None)
    band = MEMBRANE_DARKNESS * (1 - TILT_FADE * oblique) * np.exp(-((distance / width) ** exponent))
    return np.asarray(np.maximum(band, synapse * np.exp(-0.5 * (distance / reach) ** 2)))


def mitochondria_darkness(mitochondria: list[tuple[int, Body]], cut: Cut, z: int) -> Floats:
    """Dark inside, darker wall and cristae of the mitochondria, clipped to their cells."""
    darkness = np.zeros_like(cut.y)
    amplitude, period = MITO_CRISTAE
    for cell, outline in ((cell, body.cut(z)) for cell, body in mitochondria):
        if outline is None:
            continue
        window = outline.window(cut.moved)
        long, short = outline.axes(cut.y[window], cut.x[window])
        depth = np.minimum(outline.radius - np.hypot(long, short), cut.clearance[window])
        depth -= MITO_WALL[1]  # room for the wall itself, inside the outline and the cell
        depth[cut.cells[window] != cell] = -np.inf
        bend = np.sin(long / period + outline.angle)  # radians: cristae are never quite flat
        cristae = amplitude * np.cos(2 * np.pi * short / period + bend)
        wall = MITO_WALL[0] * np.exp(-0.5 * (depth / MITO_WALL[1]) ** 2)
        shade = wall + np.clip(depth, 0, 1) * (MITO_DARKNESS + cristae)
        darkness[window] = np.maximum(darkness[window], shade)
    return darkness


def vesicle_darkness(crowding: Floats, clearance: Floats, *, rng: np.random.Generator) -> Floats:
    """Small rings and dots inside the cells, new on every slice, as they are no deeper than one."""
    darkness = np.zeros_like(clearance)
    places: Floats = np.indices(clearance.shape, np.float32)
    rows, columns = places
    for _ in range(int(VESICLE_DENSITY * clearance.size)):
        y, x = rng.integers(clearance.shape).tolist()
        radius = rng.uniform(*VESICLE_RADIUS)
        if rng.random() > crowding[y, x] or clearance[y, x] < radius:
            continue
        window = Body(0, y, x, radius, radius, 1, 0, 0, 0).window(3 * VESICLE_WALL)
        distance = np.hypot(rows[window] - y, columns[window] - x)
        ring = rng.random() > VESICLE_SOLID
        offset, width = (distance - radius, VESICLE_WALL) if ring else (distance, radius / 2)
        shade = rng.uniform(*VESICLE_DARKNESS) * np.exp(-0.5 * (offset / width) ** 2)
        darkness[window] = np.maximum(darkness[window], shade)
    return darkness


def photograph(image: Floats, light: Floats, *, rng: np.random.Generator) -> Bytes:
    """Illuminate, count electrons, blur, and develop to 8 bits."""
    lit = np.clip(image * (1 + LIGHT[0] * light), 0, None)
    blurred = ndimage.gaussian_filter(rng.poisson(lit * DOSE) / DOSE, POINT_SPREAD)
    gain, offset = rng.normal((1, 0), DEVELOPMENT)
    developed = LEVEL + gain * (blurred - LEVEL) + rng.normal(offset, READ_NOISE, image.shape)
    return np.asarray(np.rint(developed).clip(0, 255), np.uint8)
