"""How synthetic tissue and its micrographs look, and how far that may vary.

The defaults follow the ISBI 2012 stack (Drosophila larva, doi 10.1371/journal.pbio.1000502); the
ranges beside them reach from insect neuropil to vertebrate cortex, from a clean camera to a noisy
one. All numbers are those of pixels of 4 nm and sections of 50 nm: lengths in px, depths in slices,
darkness in grey levels of 256. For other voxels they are scaled. A "spread" is the standard
deviation of a logarithm.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

PIXEL, SECTION = 4.0, 50.0  # nm, for which the numbers below hold
# Least and largest median radius of a cell in px: smaller ones would be all membrane, and of larger
# ones few would be seen.
RESOLVED, SEEN = 8.0, 24.0
DARKEST, LIGHTEST = 30.0, 200.0  # grey levels of membranes, and of the lightest cells
MOST_VESICLES = 1 / 50  # per px: they are drawn one by one, which takes time


def _number(
    default: float,
    low: float | None = None,
    high: float | None = None,
    *,
    chance: float = 1.0,
    px: int = 0,
    slices: int = 0,
    size: int = 0,
) -> Any:
    """A number of the look that is drawn from `low` to `high`, in a share `chance` of the stacks.

    `px` and `slices` are the exponents of pixel and slice in its unit, and `size` is that of the
    size of cells.
    """
    bounds = (default, default) if low is None or high is None else (low, high)
    metadata = {"bounds": bounds, "chance": chance, "powers": (px, slices, size)}
    return dataclasses.field(default=default, metadata=metadata)


def _length(*numbers: float, chance: float = 1.0) -> Any:
    return _number(*numbers, chance=chance, px=1)


def _grown(*numbers: float) -> Any:
    """A length that grows with the size of cells."""
    return _number(*numbers, px=1, size=1)


def _depth(*numbers: float) -> Any:
    return _number(*numbers, slices=1)


@dataclass(frozen=True)
class Look:
    """Parameters that a stack is drawn with; by default those of ISBI 2012. See `draw_look`."""

    pixel: float = _number(PIXEL, 2.0, 10.0)  # nm
    section: float = _number(SECTION, 25.0, 60.0)  # nm
    size: float = _number(1.0, 0.85, 3.0)  # of cells and what is in them

    # Cells, before they grow.
    cell_radius: float = _grown(12.0)  # median
    cell_spread: float = _number(0.62, 0.45, 0.8)  # few large cells, many small ones
    cell_smallest: float = _grown(6.0)  # radius
    cell_largest: float = _grown(60.0, 40.0, 75.0)
    cell_aspect: float = _number(1.7, 1.3, 2.6)  # most of the longer half-axis over the radius
    cell_bundle: float = _number(0.0, 0.4, 1.0, chance=0.4)  # 1: all long axes are parallel
    cell_half_depth: float = _depth(25.0, 15.0, 35.0)  # to either end of a cell of median radius
    cell_slide: float = _number(0.5, 0.3, 2.5, px=1, slices=-1)  # deviation, against its neighbours
    cell_apart: float = _number(0.85, 0.75, 0.95)  # distance of seeds over the sum of their radii
    cell_growth: float = _grown(25.0)  # places farther from all cells are unclaimed
    cell_area: float = _number(50.0, px=2)  # a smaller sliver between two membranes is membrane
    margin: float = _grown(70.0)  # around the stack, where cells that reach into it have seeds
    margin_depth: float = _depth(25.0)

    # Displacement: amplitudes and scales, from the misalignment of single slices and the drift of
    # bundles down to the waviness of a membrane. Amplitudes far below lengths: no folds.
    misaligned: float = _length(1.2, 0.3, 2.5)
    misaligned_over: float = _length(300.0)
    drift: float = _grown(14.0, 8.0, 18.0)
    drift_over: float = _grown(80.0)
    drift_depth: float = _depth(3.5)
    bend: float = _grown(6.0, 3.0, 7.0)
    bend_over: float = _grown(24.0)
    bend_depth: float = _depth(2.5)
    ripple: float = _length(1.3, 0.6, 1.6)
    ripple_over: float = _length(7.0)
    ripple_depth: float = _depth(1.0)

    # Membranes. Tilt is the logit of how oblique the cut is.
    half_width: float = _length(2.7, 1.8, 3.4)  # median of half the thickness in the label
    half_width_spread: float = _number(0.25, 0.1, 0.35)
    thinnest: float = _number(1.5)  # px, whatever their size: keeps a line of 3 px
    thickest: float = _length(4.0, 4.0, 5.0)
    fabric: float = _length(25.0)  # over which thickness, tilt and gap change
    fabric_depth: float = _depth(2.0)
    tilt: float = _number(-1.7, -2.8, -0.6)
    tilt_deviation: float = _number(1.6, 1.0, 2.0)
    tilt_blur: float = _number(0.8, 0.5, 1.3)  # relative gain in width when all oblique
    tilt_fade: float = _number(0.55, 0.35, 0.75)  # relative loss of contrast, likewise
    membrane: float = _number(114.0, 90.0, 150.0)  # darkness
    membrane_reach: float = _number(0.85, 0.6, 1.0)  # e-folding distance in half-widths
    membrane_power: float = _number(3.0, 1.6, 3.5)  # 2 is a Gaussian
    synapse: float = _number(130.0, 90.0, 260.0)  # darkness per relative thickness above the onset
    synapse_onset: float = _number(1.25, 1.1, 1.35)  # thickness in medians
    synapse_reach: float = _length(9.0, 6.0, 13.0)
    gap: float = _length(0.0, 0.5, 2.2, chance=0.4)  # deviation of half the gap between two cells
    gap_shade: float = _number(0.0, -40.0, 40.0)  # darkness in the gap, relative to light cells
    myelin: float = _number(0.0, 0.01, 0.06, chance=0.25)  # share of cells with a sheath
    myelin_width: float = _grown(7.0, 5.0, 10.0)
    myelin_period: float = _length(3.0, 2.2, 4.0)

    # Cytoplasm: three grains of texture, from fine to coarse.
    level: float = _number(176.0, 150.0, 195.0)  # of the lightest cells
    level_drop: float = _number(22.0, 6.0, 27.0)  # mean: exponential, so few are dark
    fine: float = _number(21.0, 9.0, 30.0)  # standard deviation
    fine_grain: float = _length(1.0)
    medium: float = _number(9.0, 4.0, 14.0)
    medium_grain: float = _length(2.5)
    coarse: float = _number(8.0, 3.0, 13.0)
    coarse_grain: float = _length(12.0)

    # Mitochondria.
    mito_host: float = _grown(15.0)  # smallest radius of a cell that has room
    mito_count: float = _number(3.0, 1.0, 4.0)  # how many along its depth
    mito_smallest: float = _grown(11.0)  # radius
    mito_largest: float = _grown(27.0, 18.0, 28.0)
    mito_fill: float = _number(0.65, 0.45, 0.75)  # largest radius, in radii of the cell
    mito_offset: float = _number(0.3)  # deviation of place, likewise
    mito_shallow: float = _depth(6.0)  # half-depths
    mito_deep: float = _depth(14.0)
    mito: float = _number(72.0, 40.0, 110.0)  # darkness
    mito_wall: float = _number(35.0, 25.0, 70.0)  # beyond that of the inside
    mito_wall_width: float = _length(1.6)  # standard deviation
    cristae: float = _number(20.0, 8.0, 45.0)
    cristae_period: float = _length(6.0, 5.0, 11.0)

    # Vesicles, microtubules and endoplasmic reticulum.
    vesicles: float = _number(1 / 80, 1 / 240, 1 / 60, px=-2)  # per px in the most crowded cell
    crowding: float = _number(2.0, 1.2, 4.0)  # power: the higher, the fewer cells hold many
    vesicle_smallest: float = _length(1.5)  # radius
    vesicle_largest: float = _length(6.0, 4.5, 7.5)
    vesicle_faintest: float = _number(20.0)
    vesicle_darkest: float = _number(95.0, 45.0, 110.0)
    vesicle_wall: float = _length(1.2)  # width of a ring
    vesicle_solid: float = _number(0.3, 0.1, 0.6)  # share of dark dots
    tubules: float = _number(0.0, 1 / 12000, 1 / 2500, chance=0.6, px=-2)  # per px
    tubule_longest: float = _length(50.0, 30.0, 80.0)

    # Camera. Lengths are in px, whatever their size.
    dose: float = _number(0.4, 0.1, 2.0)  # electrons per px and grey level: fewer is noisier
    read_noise: float = _number(5.0, 1.0, 9.0)  # grey levels
    point_spread: float = _number(0.7, 0.4, 1.5)
    light: float = _number(0.12, 0.03, 0.2)  # relative standard deviation, new on each slice
    light_over: float = _number(120.0, 70.0, 240.0)
    charging: float = _number(0.0, 5.0, 25.0, chance=0.3)  # grey levels of streaks and spots
    gamma: float = _number(1.0, 0.7, 1.4)
    contrast: float = _number(1.0, 0.8, 1.25)
    brightness: float = _number(0.0, -30.0, 20.0)
    gain_deviation: float = _number(0.08, 0.02, 0.12)  # between slices
    offset_deviation: float = _number(7.0, 2.0, 12.0)

    @property
    def voxel(self) -> tuple[float, float, float]:
        """Edges in nanometres, of axes ZYX."""
        return self.section, self.pixel, self.pixel


def draw_look(rng: np.random.Generator, *, variety: float, pixel: float | None) -> Look:
    """Draw a look for a whole stack.

    Parameters
    ----------
    rng : numpy.random.Generator
    variety : float
        1 draws numbers from their whole ranges, positive ones uniformly in the logarithm. Smaller
        values draw each of them proportionally nearer to its default; 0 is `Look()`.
    pixel : float or None
        Pixel size in nm, None to draw that too. Apart from what pixels can resolve, nothing else
        depends on it.

    Returns
    -------
    Look
        With all lengths in pixels, and depths in slices, of the voxel that was drawn. Cells are
        never so small that their membranes fill them: large pixels make cells larger.
    """
    default, drawn = Look(), dict[str, float]()
    for field in dataclasses.fields(Look):
        value = getattr(default, field.name)
        low, high = field.metadata["bounds"]
        share = rng.random()
        if rng.random() >= field.metadata["chance"]:
            drawn[field.name] = value
        elif value > 0:
            drawn[field.name] = value * (low / value * (high / low) ** share) ** variety
        else:
            drawn[field.name] = value + variety * (low + (high - low) * share - value)
    # Rounded, so that the size can be written down.
    pixel = drawn["pixel"] = pixel or float(f"{drawn['pixel']:.3g}")
    section = drawn["section"] = float(f"{drawn['section']:.3g}")
    radius = default.cell_radius * PIXEL / pixel
    size = drawn["size"] = min(max(drawn["size"], RESOLVED / radius), SEEN / radius)
    for field in dataclasses.fields(Look):
        px, slices, grown = field.metadata["powers"]
        drawn[field.name] *= (PIXEL / pixel) ** px * (SECTION / section) ** slices * size**grown
    # Brightness such that neither membranes are all black nor light cells all white.
    black = drawn["level"] - drawn["contrast"] * (drawn["membrane"] + drawn["level_drop"])
    drawn["brightness"] = max(drawn["brightness"], DARKEST - black)
    drawn["brightness"] = min(drawn["brightness"], LIGHTEST - drawn["level"])
    drawn["vesicles"] = min(drawn["vesicles"], MOST_VESICLES)
    drawn["half_width"] = max(drawn["half_width"], drawn["thinnest"])
    drawn["thickest"] = max(drawn["thickest"], drawn["thinnest"])
    return Look(**drawn)
