"""Draw micrographs of synthetic tissue: what lies in a cut, then the effects of the camera."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unetseg.arrays.neuropil import Body, Cut, Floats, Tissue
from unetseg.arrays.tissuelook import Look

STREAKS, SPOTS = 5.0, 2.0  # of charging, mean number on a slice of 512 x 512
SPOT_RADIUS = (4.0, 40.0)  # px


def draw(tissue: Tissue, cut: Cut, z: int, *, rng: np.random.Generator) -> Floats:
    """Grey levels of slice `z` before the camera, (height, width) float32."""
    look = tissue.look
    darkest = membrane_darkness(cut, tilt=tissue.tilt(z), look=look)
    if tissue.sheath is not None:
        myelin = myelin_darkness(cut.offset, tissue.sheath[cut.cells], look=look)
        darkest = np.maximum(darkest, myelin)
    mitochondria = mitochondria_darkness(tissue.mitochondria, cut, z, look=look)
    # At each place the darkest structure, not the sum, or overlaps would be black.
    darkest = np.maximum(darkest, mitochondria)
    crowding = tissue.crowding[cut.cells]
    darkest = np.maximum(darkest, vesicle_darkness(crowding, cut.clearance, look=look, rng=rng))
    if look.tubules:
        darkest = np.maximum(darkest, tubule_darkness(cut.clearance, look=look, rng=rng))
    level = tissue.level[cut.cells]
    if tissue.gap is not None:
        level = np.where(cut.offset < 0, look.level - look.gap_shade, level)
    image: Floats = level * (1 - darkest / look.level)
    for deviation, grain in (
        (look.fine, look.fine_grain),
        (look.medium, look.medium_grain),
        (look.coarse, look.coarse_grain),
    ):
        noise = rng.standard_normal(image.shape, np.float32)
        # Blurring leaves 1 / (2 sqrt(pi) grain) of the deviation of white noise.
        blurred = ndimage.gaussian_filter(noise, max(grain, 0.5))
        image += deviation * 2 * math.sqrt(math.pi) * grain * blurred
    return image


def membrane_darkness(cut: Cut, *, tilt: Floats, look: Look) -> Floats:
    """Dark bands along the borders, wide and faint where cut obliquely, and synapses on them."""
    oblique = 1 / (1 + np.exp(-(look.tilt + look.tilt_deviation * tilt)))
    distance = np.abs(cut.offset)
    width = look.membrane_reach * cut.half_width * (1 + look.tilt_blur * oblique)
    excess = np.clip(cut.half_width / look.half_width - look.synapse_onset, 0, None)
    synapse = look.synapse * excess * np.exp(-0.5 * (distance / look.synapse_reach) ** 2)
    faded = look.membrane * (1 - look.tilt_fade * oblique)
    band = faded * np.exp(-((distance / width) ** look.membrane_power))
    return np.asarray(np.maximum(band, synapse))


def myelin_darkness(offset: Floats, sheath: Floats, *, look: Look) -> Floats:
    """Layers of membrane all around the cells that have a sheath."""
    layers = 0.85 + 0.15 * np.cos(2 * np.pi * offset / look.myelin_period)
    inside = np.clip(sheath + 1 - np.abs(offset), 0, 1) * (sheath > 0)
    return np.asarray(look.membrane * layers * inside)


def mitochondria_darkness(
    mitochondria: list[tuple[int, Body]], cut: Cut, z: int, *, look: Look
) -> Floats:
    """Dark inside, darker wall and cristae of the mitochondria, clipped to their cells."""
    darkness = np.zeros_like(cut.y)
    for cell, outline in ((cell, body.cut(z)) for cell, body in mitochondria):
        if outline is None:
            continue
        window = outline.window(cut.moved)
        long, short = outline.axes(cut.y[window], cut.x[window])
        depth = np.minimum(outline.radius - np.hypot(long, short), cut.clearance[window])
        depth -= look.mito_wall_width  # room for the wall itself, inside the outline and the cell
        depth[cut.cells[window] != cell] = -np.inf
        # Radians: cristae are never quite flat.
        bend = np.sin(long / look.cristae_period + outline.angle)
        cristae = look.cristae * np.cos(2 * np.pi * short / look.cristae_period + bend)
        wall = look.mito_wall * np.exp(-0.5 * (depth / look.mito_wall_width) ** 2)
        shade = wall + np.clip(depth, 0, 1) * (look.mito + cristae)
        darkness[window] = np.maximum(darkness[window], shade)
    return darkness


def vesicle_darkness(
    crowding: Floats, clearance: Floats, *, look: Look, rng: np.random.Generator
) -> Floats:
    """Small rings and dots inside the cells, new on every slice, as none is deeper than a slice."""
    darkness = np.zeros_like(clearance)
    places: Floats = np.indices(clearance.shape, np.float32)
    rows, columns = places
    for _ in range(int(look.vesicles * clearance.size)):
        y, x = rng.integers(clearance.shape).tolist()
        radius = rng.uniform(look.vesicle_smallest, look.vesicle_largest)
        if rng.random() > crowding[y, x] or clearance[y, x] < radius:
            continue
        window = Body(0, y, x, radius, radius, 1, 0, 0, 0).window(3 * look.vesicle_wall)
        distance = np.hypot(rows[window] - y, columns[window] - x)
        ring = rng.random() > look.vesicle_solid
        offset, width = (distance - radius, look.vesicle_wall) if ring else (distance, radius / 2)
        shade = rng.uniform(look.vesicle_faintest, look.vesicle_darkest)
        shade = shade * np.exp(-0.5 * (offset / width) ** 2)
        darkness[window] = np.maximum(darkness[window], shade)
    return darkness


def tubule_darkness(clearance: Floats, *, look: Look, rng: np.random.Generator) -> Floats:
    """Thin dark arcs inside the cells: endoplasmic reticulum and microtubules, cut lengthwise."""
    darkness = np.zeros_like(clearance)
    places: Floats = np.indices(clearance.shape, np.float32)
    for _ in range(int(look.tubules * clearance.size)):
        y, x = rng.integers(clearance.shape).tolist()
        half = look.tubule_longest * rng.uniform(0.2, 0.5)
        towards, bend = rng.uniform(0, 2 * np.pi), half * rng.uniform(0.7, 4)
        shade = rng.uniform(look.vesicle_faintest, look.vesicle_darkest)
        if clearance[y, x] < 2 * look.vesicle_wall:
            continue
        window = Body(0, y, x, half, half, 1, 0, 0, 0).window(3 * look.vesicle_wall)
        # Seen from the centre of the circle that the arc is a part of.
        dy = places[0][window] - y + bend * math.sin(towards)
        dx = places[1][window] - x + bend * math.cos(towards)
        turned = np.arctan2(dy, dx) - towards
        along = bend * np.abs(np.arctan2(np.sin(turned), np.cos(turned)))
        away = np.hypot(np.hypot(dy, dx) - bend, np.clip(along - half, 0, None))
        line = shade * np.exp(-0.5 * (away / look.vesicle_wall) ** 2)
        line *= np.clip(clearance[window] - look.vesicle_wall, 0, 1)
        darkness[window] = np.maximum(darkness[window], line)
    return darkness


def photograph(
    image: Floats, light: Floats, *, look: Look, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Illuminate, count electrons, blur, and develop to 8 bits."""
    lit = np.clip(image * (1 + look.light * light), 0, None)
    blurred = ndimage.gaussian_filter(rng.poisson(lit * look.dose) / look.dose, look.point_spread)
    deviations = (look.gain_deviation, look.offset_deviation)
    gain, offset = rng.normal((look.contrast, look.brightness), deviations)
    if look.charging:
        blurred += look.charging * charge(image.shape, rng=rng)
    developed = look.level + gain * (blurred - look.level)
    developed += rng.normal(offset, look.read_noise, image.shape)
    if look.gamma != 1:
        developed = 255 * (developed.clip(0, 255) / 255) ** look.gamma
    return np.asarray(np.rint(developed).clip(0, 255), np.uint8)


def charge(shape: tuple[int, int], *, rng: np.random.Generator) -> Floats:
    """Bright and dark streaks along the rows, each fading to the right, and round spots."""
    charged = np.zeros(shape, np.float32)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    frames = np.prod(shape) / 512**2
    for _ in range(rng.poisson(STREAKS * frames)):
        y, x = rng.integers(shape).tolist()
        along = np.where(columns < x, 0, np.exp((x - columns) / rng.uniform(20, 300)))
        charged += rng.normal() * np.exp(-0.5 * ((rows - y) / rng.uniform(0.5, 2)) ** 2) * along
    for _ in range(rng.poisson(SPOTS * frames)):
        y, x = rng.integers(shape).tolist()
        away = ((rows - y) ** 2 + (columns - x) ** 2) / rng.uniform(*SPOT_RADIUS) ** 2
        charged += 2 * rng.normal() * np.exp(-0.5 * away)
    return charged
