"""The size of a voxel in nanometres, and the units in which files declare it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# As ImageJ, OME-XML and OME-Zarr write them. An inch is missing on purpose: it comes from programs
# that mean the dots of a printer.
NANOMETRES = {
    "å": 0.1,
    "angstrom": 0.1,
    "nm": 1.0,
    "nanometer": 1.0,
    "um": 1e3,
    "µm": 1e3,  # the micro sign
    "μm": 1e3,  # the Greek letter
    "\\u00b5m": 1e3,  # how ImageJ writes the former in a TIFF
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "mm": 1e6,
    "millimeter": 1e6,
    "cm": 1e7,
    "m": 1e9,
    "meter": 1e9,
}


# Pixel sizes that differ by a smaller factor are alike to a network.
CLEARLY_LARGER = 1.1


@dataclass(frozen=True)
class Voxel:
    """Edges of a voxel in nanometres.

    Raises
    ------
    ValueError
        If one is not a positive number.
    """

    z: float
    y: float
    x: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(edge) and edge > 0 for edge in self.edges):
            raise ValueError(f"{self.edges} are no edges of a voxel")

    @property
    def edges(self) -> tuple[float, float, float]:
        """Edges in the order ZYX."""
        return self.z, self.y, self.x

    @property
    def pixel(self) -> str:
        """Height and width, in words."""
        return f"{self.y:g} x {self.x:g} nm"

    def in_pixels_of(self, other: Voxel) -> tuple[float, float] | None:
        """Return height and width in pixels of another voxel; None if both are nearly 1."""
        height, width = self.y / other.y, self.x / other.x
        alike = all(abs(math.log(side)) <= math.log(CLEARLY_LARGER) for side in (height, width))
        return None if alike else (height, width)

    @classmethod
    def parse(cls, text: str) -> Voxel:
        """Parse '50 4 4': nanometres in the order ZYX.

        Raises
        ------
        ValueError
            If the text is something else.
        """
        z, y, x = map(float, text.replace(",", " ").split())
        return cls(z, y, x)

    @classmethod
    def recorded(cls, details: Mapping[str, Any]) -> Voxel | None:
        """Return the size of a voxel in the details of a manifest, if there is one."""
        edges = details.get("voxel")
        return None if edges is None else cls(*edges)

    @classmethod
    def of(cls, edges: tuple[object, ...], units: tuple[object, ...]) -> Voxel | None:
        """Return what a file declares, in the order ZYX; None if it is incomplete or invalid."""
        try:
            z, y, x = (
                # Rounded, because files hold quotients: 1 / 0.27027 for 3.7.
                round(float(str(edge)) * NANOMETRES[str(unit).strip().lower()], 6)
                for edge, unit in zip(edges, units, strict=True)
            )
            return cls(z, y, x)
        except (KeyError, ValueError):
            return None
