"""The size of panels in all figures of slices."""

from __future__ import annotations

# Limits of a panel's height over its width; a wider or taller slice has empty space around it.
FLATTEST, TALLEST = 0.3, 3.0


def panel_height(shape: tuple[int, ...], *, width: float) -> float:
    """Return the height of a panel for a slice (H, W), in the unit of its width."""
    return width * min(max(shape[0] / shape[1], FLATTEST), TALLEST)
