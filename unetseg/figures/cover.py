"""The cover picture of a model's package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

FLAT = 1e-6  # grey levels: the smallest range that is stretched


def draw_cover(path: Path, *, image: npt.NDArray[Any], prediction: npt.NDArray[np.float32]) -> None:
    """Draw an image, stretched to full contrast, and its prediction beside it.

    Parameters
    ----------
    path : Path
        A PNG file.
    image : (H, W)
        In grey levels.
    prediction : (H, W) float32
        Probabilities.
    """
    low, high = float(image.min()), float(image.max())
    unit = (image - low) / max(high - low, FLAT)
    both = np.hstack([unit, prediction])
    Image.fromarray(np.rint(255 * both).astype(np.uint8)).save(path)
