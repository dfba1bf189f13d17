"""Draw the random values of one augmented copy of a slice, and apply them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays import elastic, geometry, intensity

# Strengths of noise and brightness are grey levels of 8 bits, whatever the stack's own range is.
GREY_LEVELS = 255


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """How strong each random operation on a copy may be; 0 or False switches it off.

    The fields are the options of `unetseg augment` of the same names.
    """

    elastic_sigma: float
    elastic_points: int
    elastic_order: int
    rotation: float
    scaling: float
    flips: bool
    quarter_turns: bool
    crop: int
    contrast: float
    gamma: float
    brightness: float
    gaussian_noise: float
    uniform_noise: float


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every value drawn for one copy: enough to reproduce it.

    Attributes
    ----------
    displacement : nested lists, (2, points, points), or None
        In pixels, along y and x.
    order : int
        Order of the splines that the image is resampled with.
    rotation, scale : float
        Degrees; factor.
    vertical, horizontal : bool
        Flips.
    quarter_turns : int
        0 to 3, counter-clockwise.
    crop : (top, left, height, width) or None
        In pixels.
    contrast, gamma : float
        Factor; exponent.
    brightness, gaussian_noise, uniform_noise : float
        In 1/255 of the stack's range.
    noise_seed : int
        Seed of the generator that the noise comes from.
    """

    displacement: list[Any] | None
    order: int
    rotation: float
    scale: float
    vertical: bool
    horizontal: bool
    quarter_turns: int
    crop: tuple[int, int, int, int] | None
    contrast: float
    gamma: float
    brightness: float
    gaussian_noise: float
    uniform_noise: float
    noise_seed: int


IDENTITY = Recipe(
    displacement=None,
    order=3,
    rotation=0.0,
    scale=1.0,
    vertical=False,
    horizontal=False,
    quarter_turns=0,
    crop=None,
    contrast=1.0,
    gamma=1.0,
    brightness=0.0,
    gaussian_noise=0.0,
    uniform_noise=0.0,
    noise_seed=0,
)


def draw_recipe(strengths: Strengths, *, shape: tuple[int, int], seed: int, copy: int) -> Recipe:
    """Draw the values of one copy, from its own random generator.

    Parameters
    ----------
    strengths : Strengths
    shape : (H, W)
        Of the slice.
    seed, copy : int
        Together they determine the values: no other copy has to be drawn first.
    """
    rng = np.random.default_rng([seed, copy])
    s = strengths
    displacement = None
    if s.elastic_sigma > 0:
        field = elastic.draw_displacement(rng, sigma=s.elastic_sigma, points=s.elastic_points)
        displacement = field.tolist()
    turns = int(rng.integers(4))
    if shape[0] != shape[1]:
        turns -= turns % 2
    return Recipe(
        displacement=displacement,
        order=s.elastic_order,
        rotation=rng.uniform(-s.rotation, s.rotation),
        scale=rng.uniform(1 - s.scaling, 1 + s.scaling),
        vertical=bool(s.flips and rng.integers(2)),
        horizontal=bool(s.flips and rng.integers(2)),
        quarter_turns=turns if s.quarter_turns else 0,
        crop=_draw_crop(rng, shape, s.crop),
        contrast=rng.uniform(1 - s.contrast, 1 + s.contrast),
        gamma=rng.uniform(1 - s.gamma, 1 + s.gamma),
        brightness=rng.uniform(-s.brightness, s.brightness),
        gaussian_noise=rng.uniform(0, s.gaussian_noise),
        uniform_noise=rng.uniform(0, s.uniform_noise),
        noise_seed=int(rng.integers(2**63)),
    )


def _draw_crop(
    rng: np.random.Generator, shape: tuple[int, int], edge: int
) -> tuple[int, int, int, int] | None:
    if edge == 0 or edge >= max(shape):
        return None
    height, width = min(edge, shape[0]), min(edge, shape[1])
    top = int(rng.integers(shape[0] - height + 1))
    left = int(rng.integers(shape[1] - width + 1))
    return top, left, height, width


def apply_recipe(
    recipe: Recipe,
    image: npt.NDArray[Any],
    label: npt.NDArray[np.uint8],
    *,
    low: float,
    high: float,
    engine: str,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Make an augmented copy of a slice and its label.

    Geometric operations change both; grey levels change in the image only.

    Parameters
    ----------
    recipe : Recipe
    image : (H, W) uint8, uint16 or float32
    label : (H, W) uint8
        0 on membrane, 255 inside cells, 127 where unlabelled, 126 where tissue is missing.
    low, high : float
        Smallest and largest grey level of the whole stack.
    engine : str
        What to deform with, as returned by `unetseg.arrays.elastic.find_engine`.

    Returns
    -------
    image : (H, W), dtype of the input
    label : (H, W) uint8
    """
    flips: dict[str, Any] = {
        "vertical": recipe.vertical,
        "horizontal": recipe.horizontal,
        "quarter_turns": recipe.quarter_turns,
    }
    shape = geometry.flip(image, **flips).shape
    top, left, height, width = recipe.crop or (0, 0, *shape)
    region = slice(top, top + height), slice(left, left + width)
    # What is cropped away need not be deformed.
    origin = geometry.find_origin(region, image.shape, **flips)
    pixels = image.astype(np.float32)
    if recipe.displacement is not None or recipe.rotation != 0 or recipe.scale != 1:
        displacement = np.zeros((2, 2, 2)) if recipe.displacement is None else recipe.displacement
        pixels, label = elastic.deform(
            pixels,
            label,
            displacement=np.asarray(displacement),
            rotation=recipe.rotation,
            scale=recipe.scale,
            order=recipe.order,
            engine=engine,
            region=origin,
        )
    else:
        pixels, label = pixels[origin], label[origin]
    pixels = geometry.mirror_outwards(geometry.flip(pixels, **flips), region, shape)
    label = geometry.mirror_outwards(geometry.flip(label, **flips), region, shape)
    pixels = _change_grey_levels(recipe, pixels, low=low, high=high)
    return intensity.to_dtype(pixels, image.dtype), label


def _change_grey_levels(
    recipe: Recipe, image: npt.NDArray[np.float32], *, low: float, high: float
) -> npt.NDArray[np.float32]:
    unit = (high - low) / GREY_LEVELS
    rng = np.random.default_rng(recipe.noise_seed)
    if recipe.contrast != 1:
        image = intensity.adjust_contrast(image, factor=recipe.contrast, low=low, high=high)
    if recipe.gamma != 1:
        image = intensity.adjust_gamma(image, exponent=recipe.gamma, low=low, high=high)
    if recipe.brightness != 0:
        image = intensity.brighten(image, shift=recipe.brightness * unit)
    if recipe.gaussian_noise != 0:
        image = intensity.gaussian_noise(image, rng, deviation=recipe.gaussian_noise * unit)
    if recipe.uniform_noise != 0:
        image = intensity.uniform_noise(image, rng, amplitude=recipe.uniform_noise * unit)
    return image
