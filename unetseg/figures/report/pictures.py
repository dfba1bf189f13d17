"""Pictures of the report: arrays as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from PIL import Image
from scipy import ndimage

LARGEST = 1024
"""Edge in pixels above which a picture is made smaller."""

# Orange and blue: apart in hue and in lightness, for all kinds of colour vision, on any grey.
MARKS = {"split": (255, 140, 26), "merge": (47, 164, 255)}
# The undivided region, and the two regions that it is divided into.
TINTS = {
    "split": ((251, 189, 123), (246, 160, 77), (255, 226, 186)),
    "merge": ((130, 192, 236), (77, 163, 224), (192, 226, 250)),
}
CONTRAST = (0.1, 99.9)  # percentiles shown as black and white

Pixels = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Picture:
    """A picture for an <img>: data URI, size in pixels, and what it shows in words."""

    src: str
    width: int
    height: int
    alt: str


def stretch(image: Pixels) -> npt.NDArray[np.uint8]:
    """Spread the grey levels of an image over 0..255, without its few extremes."""
    low, high = np.percentile(image, CONTRAST)
    spread = (image.astype(np.float64) - low) / max(high - low, 1e-12)
    return as_grey(spread)


def as_grey(share: Pixels) -> npt.NDArray[np.uint8]:
    """Show 0..1 as black to white."""
    grey: npt.NDArray[np.uint8] = np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return grey


def photo(pixels: npt.NDArray[np.uint8], alt: str, *, most: int = LARGEST) -> Picture:
    """Encode greys or colours that vary smoothly, as JPEG.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8
    alt : str
        What it shows.
    most : int
        Edge in pixels above which it is made smaller.
    """
    image = _fitted(Image.fromarray(pixels), Image.Resampling.LANCZOS, most=most)
    return _encoded(image, alt, "JPEG", quality=88, subsampling=0, optimize=True)


def drawing(pixels: npt.NDArray[np.uint8], alt: str) -> Picture:
    """Encode flat areas, as PNG. Parameters as for `photo`."""
    image = _fitted(Image.fromarray(pixels), Image.Resampling.LANCZOS)
    if pixels.ndim == 3:
        image = image.quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return _encoded(image, alt, "PNG", optimize=True)


def layer(mask: Mask, colour: tuple[int, int, int], alt: str) -> Picture:
    """Encode a layer to lay over a picture: one colour where the mask is true, else clear."""
    image = _fitted(Image.fromarray(mask.astype(np.uint8)), Image.Resampling.NEAREST)
    image.putpalette([0, 0, 0, *colour])
    return _encoded(image, alt, "PNG", transparency=0, bits=1, optimize=True)


def reencoded(data: bytes, alt: str) -> Picture:
    """Re-encode a picture file, small enough for a page."""
    with Image.open(io.BytesIO(data)) as image:
        return photo(np.asarray(image.convert("RGB")), alt)


def thick(mask: Mask, by: int) -> Mask:
    """Make lines wider by `by` pixels."""
    widened: Mask = ndimage.binary_dilation(mask, np.ones((by + 1, by + 1)))
    return widened


def tinted(grey: npt.NDArray[np.uint8], areas: list[tuple[Mask, tuple[int, int, int]]]) -> Pixels:
    """Colour areas of a grey picture; dark pixels stay dark."""
    colours = np.repeat(grey[..., np.newaxis], 3, axis=2).astype(np.float64)
    for area, colour in areas:
        colours[area] *= np.array(colour) / 255
    return np.round(colours).astype(np.uint8)


def marked(grey: npt.NDArray[np.uint8], mask: Mask, colour: tuple[int, int, int]) -> Pixels:
    """Paint the masked pixels of a grey picture."""
    colours = np.repeat(grey[..., np.newaxis], 3, axis=2)
    colours[mask] = colour
    return colours


def heat(values: Pixels, alt: str) -> Picture:
    """Show values by colour, from dark (least) to light (most)."""
    low, high = float(values.min()), float(values.max())
    shares = (values - low) / max(high - low, 1e-12)
    return photo(np.round(colormaps["magma"](shares)[..., :3] * 255).astype(np.uint8), alt)


def coloured_cells(cells: Pixels) -> Pixels:
    """Give every cell a soft colour of its own, and leave what is between them black."""
    # Steps of the golden ratio around the circle of hues give consecutive numbers distant hues.
    hue = np.mod(cells.astype(np.float64) * 0.618033988749895, 1.0)
    light = 0.72 + 0.2 * np.mod(cells.astype(np.float64) * 0.7548776662466927, 1.0)
    phase = hue[..., np.newaxis] * 2 * np.pi + np.array([0, 2, 4]) * np.pi / 3
    colours = (light[..., np.newaxis] + 0.2 * np.cos(phase)).clip(0, 1)
    colours[cells == 0] = 0
    return np.round(colours * 255).astype(np.uint8)


def _fitted(
    image: Image.Image, resampling: Image.Resampling, *, most: int = LARGEST
) -> Image.Image:
    factor = most / max(image.size)
    if factor >= 1:
        return image
    width, height = (max(1, round(edge * factor)) for edge in image.size)
    return image.resize((width, height), resampling)


def _encoded(image: Image.Image, alt: str, kind: str, **how: Any) -> Picture:
    data = io.BytesIO()
    image.save(data, kind, **how)
    text = base64.b64encode(data.getvalue()).decode("ascii")
    return Picture(f"data:image/{kind.lower()};base64,{text}", *image.size, alt)
