"""How large a voxel is: what files say of it, in one unit."""

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


# Two sizes of a pixel that differ by less are alike to a network.
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
        """Of axes ZYX."""
        return self.z, self.y, self.x

    @property
    def pixel(self) -> str:
        """Height and width, in words."""
        return f"{self.y:g} x {self.x:g} nm"

    def in_pixels_of(self, other: Voxel) -> tuple[float, float] | None:
        """How many pixels of another voxel this one is high and wide; None if nearly 1 and 1."""
        height, width = self.y / other.y, self.x / other.x
        alike = all(abs(math.log(side)) <= math.log(CLEARLY_LARGER) for side in (height, width))
        return None if alike else (height, width)

    @classmethod
    def parse(cls, text: str) -> Voxel:
        """Understand '50 4 4': nanometres, of axes ZYX.

        Raises
        ------
        ValueError
            If the text is something else.
        """
        z, y, x = map(float, text.replace(",", " ").split())
        return cls(z, y, x)

    @classmethod
    def recorded(cls, details: Mapping[str, Any]) -> Voxel | None:
        """What the details of a manifest say, if anything."""
        edges = details.get("voxel")
        return None if edges is None else cls(*edges)

    @classmethod
    def of(cls, edges: tuple[object, ...], units: tuple[object, ...]) -> Voxel | None:
        """What a file declares, of axes ZYX; None where it is incomplete or makes no sense."""
        try:
            z, y, x = (
                # Rounded, because files hold quotients: 1 / 0.27027 for 3.7.
                round(float(str(edge)) * NANOMETRES[str(unit).strip().lower()], 6)
                for edge, unit in zip(edges, units, strict=True)
            )
            return cls(z, y, x)
        except (KeyError, ValueError):
            return None
