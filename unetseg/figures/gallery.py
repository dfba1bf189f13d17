"""One figure that explains every augmentation at three strengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from unetseg.arrays import elastic
from unetseg.arrays.augmentation import IDENTITY, Recipe, apply_recipe
from unetseg.figures.panels import panel_height
from unetseg.figures.style import plain

NOISE_DEVIATIONS = NOISE_AMPLITUDES = (10, 50, 100)  # grey levels
BRIGHTNESS_SHIFTS = (10, 20, 30)  # grey levels
ELASTIC_SIGMAS = (5, 10, 20)  # px
ELASTIC_POINTS = 3
ROTATIONS = (5, 10, 20)  # degrees
SCALES = (0.8, 0.9, 1.1)
CONTRASTS = (0.6, 0.8, 1.2)
GAMMAS = (0.6, 0.8, 1.2)
CROP_SHARE = 388 / 512  # of the slice, as in the U-Net paper
GRID_LINES = 17
YELLOW = "#ffe119"

Panel = tuple[str, Callable[[Axes], None]]


@dataclass(frozen=True)
class Specimen:
    """The slice on which everything is shown.

    Attributes
    ----------
    image : (H, W) uint8, uint16 or float32
    low, high : float
        Grey levels shown as black and white.
    seed : int
    """

    image: npt.NDArray[Any]
    low: float
    high: float
    seed: int

    def altered(self, recipe: Recipe) -> npt.NDArray[Any]:
        """Return the slice after a recipe; the label is only a dummy."""
        label = np.zeros(self.image.shape, np.uint8)
        engine = elastic.find_engine()
        return apply_recipe(recipe, self.image, label, low=self.low, high=self.high, engine=engine)[
            0
        ]


@plain
def draw_gallery(path: Path, image: npt.NDArray[Any], *, seed: int) -> None:
    """Draw the gallery of one slice as a PNG.

    Parameters
    ----------
    path : Path
        An existing file is overwritten.
    image : (H, W) uint8, uint16 or float32
    seed : int
        Of noise and deformation.
    """
    specimen = Specimen(image, float(image.min()), float(image.max()), seed)
    rows = _rows(specimen)
    height = panel_height(image.shape, width=2.6)
    columns = max(len(panels) for _, panels in rows)
    figure = Figure(
        figsize=(2.6 * columns + 0.4, (height + 0.3) * len(rows)),
        layout="constrained",
        dpi=80,
    )
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, panels) in zip(grid, rows, strict=True):
        for axes in line:
            axes.axis("off")
        for axes, (title, draw) in zip(line, panels, strict=False):
            draw(axes)
            axes.set_title(title, fontsize=10)
        line[0].text(
            -0.06, 0.5, name, rotation=90, ha="right", va="center", fontsize=11,
            weight="bold", transform=line[0].transAxes,
        )  # fmt: skip
    figure.savefig(path, format="png", metadata={"Software": None})


def _rows(specimen: Specimen) -> list[tuple[str, list[Panel]]]:
    """Return a row for every operation: its name, the original and the altered slices."""
    identity = replace(IDENTITY, noise_seed=specimen.seed)

    def row(field: str, values: tuple[float, ...], unit: str) -> list[Panel]:
        altered = []
        for value in values:
            change: dict[str, Any] = {field: value}
            altered.append((f"{value:g}{unit}", _shown(specimen, replace(identity, **change))))
        return [("original", _shown(specimen, identity)), *altered]

    flips = [
        ("original", _shown(specimen, identity)),
        ("vertical", _shown(specimen, replace(identity, vertical=True))),
        ("horizontal", _shown(specimen, replace(identity, horizontal=True))),
        ("both", _shown(specimen, replace(identity, vertical=True, horizontal=True))),
    ]
    turns = [
        (f"{90 * n} degrees", _shown(specimen, replace(identity, quarter_turns=n)))
        for n in range(4)
    ]
    return [
        ("flips", flips),
        ("quarter turns", turns),
        ("Gaussian noise", row("gaussian_noise", NOISE_DEVIATIONS, " grey levels (sd)")),
        ("uniform noise", row("uniform_noise", NOISE_AMPLITUDES, " grey levels")),
        ("brightness", row("brightness", BRIGHTNESS_SHIFTS, " grey levels")),
        ("contrast", row("contrast", CONTRASTS, " times")),
        ("gamma", row("gamma", GAMMAS, " (exponent)")),
        ("rotation", row("rotation", ROTATIONS, " degrees")),
        ("scaling", row("scale", SCALES, " times")),
        ("elastic", _elastic_panels(specimen, identity)),
        ("crop", _crop_panels(specimen, identity, padded=False)),
        ("symmetric padding", _crop_panels(specimen, identity, padded=True)),
    ]


def _shown(specimen: Specimen, recipe: Recipe) -> Callable[[Axes], None]:
    return lambda axes: _show(axes, specimen, specimen.altered(recipe))


def _show(axes: Axes, specimen: Specimen, image: npt.NDArray[Any]) -> None:
    axes.imshow(image, cmap="gray", vmin=specimen.low, vmax=specimen.high, interpolation="nearest")


def _elastic_panels(specimen: Specimen, identity: Recipe) -> list[Panel]:
    """Show the same random field at increasing strength, with a grid that it deforms too."""
    rng = np.random.default_rng(specimen.seed)
    unit = elastic.draw_displacement(rng, sigma=1, points=ELASTIC_POINTS)

    def panel(sigma: float) -> Callable[[Axes], None]:
        displacement = unit * sigma

        def draw(axes: Axes) -> None:
            _show(axes, specimen, specimen.altered(
                replace(identity, displacement=displacement.tolist())))  # fmt: skip
            _draw_grid(axes, specimen.image.shape, displacement)

        return draw

    return [("grid", panel(0)), *((f"sigma {s:g} px", panel(s)) for s in ELASTIC_SIGMAS)]


def _draw_grid(axes: Axes, shape: tuple[int, ...], displacement: npt.NDArray[np.float64]) -> None:
    """Draw grid lines as contours of the coordinates, which are deformed like an image."""
    rows, columns = np.indices(shape).astype(np.float32)
    label = np.zeros(shape, np.uint8)
    settings: dict[str, Any] = {"rotation": 0, "scale": 1, "order": 1, "engine": "splines"}
    for coordinates in (rows, columns):
        moved, _ = elastic.deform(coordinates, label, displacement=displacement, **settings)
        # Just inside the border: on it, lines would coincide with the frame.
        lines = np.linspace(1, coordinates.max() - 1, GRID_LINES)
        axes.contour(moved, levels=lines, colors=YELLOW, linewidths=0.6)


def _crop_panels(specimen: Specimen, identity: Recipe, *, padded: bool) -> list[Panel]:
    """Show crops at four corners: alone, or mirrored back to full size with an outline."""
    height, width = specimen.image.shape
    h, w = round(CROP_SHARE * height), round(CROP_SHARE * width)

    def panel(top: int, left: int) -> Callable[[Axes], None]:
        def draw(axes: Axes) -> None:
            altered = specimen.altered(replace(identity, crop=(top, left, h, w)))
            inside = slice(top, top + h), slice(left, left + w)
            region = np.full(altered.shape, np.nan)  # NaN is not drawn
            region[inside] = altered[inside]
            _show(axes, specimen, altered if padded else region)
            if padded:
                corner = (left - 0.5, top - 0.5)
                axes.add_patch(Rectangle(corner, w, h, fill=False, edgecolor=YELLOW, linewidth=1.5))

        return draw

    return [
        (f"{row} {column}", panel(top, left))
        for row, top in (("top", 0), ("bottom", height - h))
        for column, left in (("left", 0), ("right", width - w))
    ]
