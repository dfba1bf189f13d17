"""What all figures of slices have in common."""

from __future__ import annotations

# Height over width of a panel: a slice that is wider or taller leaves room around it.
FLATTEST, TALLEST = 0.3, 3.0


def panel_height(shape: tuple[int, ...], *, width: float) -> float:
    """Height of a panel for a slice (H, W), in the unit of its width."""
    return width * min(max(shape[0] / shape[1], FLATTEST), TALLEST)
