"""Overlapping tiles that give exactly what the whole slice would give.

Ronneberger et al. 2015, section 2: the overlap-tile strategy, with the missing context at the
borders of a slice made by mirroring.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from unetseg.arrays.geometry import symmetries, undo_symmetry

Pixel = TypeVar("Pixel", bound=np.generic)
Box = tuple[slice, slice]


@dataclass(frozen=True)
class Tile:
    """A piece of a canvas.

    Attributes
    ----------
    seen : Box
        What the network looks at: the tile and its halo, as far as the canvas goes.
    kept : Box
        What of the result is right, in canvas coordinates.
    """

    seen: Box
    kept: Box

    @property
    def kept_in_seen(self) -> Box:
        """`kept`, counted from the corner of `seen`."""
        rows, columns = (
            slice(k.start - s.start, k.stop - s.start)
            for k, s in zip(self.kept, self.seen, strict=True)
        )
        return rows, columns


def mirror_border(
    image: npt.NDArray[Pixel], *, border: int, multiple: int
) -> tuple[npt.NDArray[Pixel], Box]:
    """Surround a slice by its mirror image, up to a size that the network can halve.

    Parameters
    ----------
    image : (H, W) array
    border : int
        Least width of the border in pixels.
    multiple : int
        What height and width of the canvas must be divisible by.

    Returns
    -------
    canvas : array
    inside : Box
        Where the slice lies in it.
    """
    pads = []
    for size in image.shape:
        total = math.ceil((size + 2 * border) / multiple) * multiple
        pads.append((border, total - size - border))
    rows, columns = (slice(p[0], p[0] + n) for p, n in zip(pads, image.shape, strict=True))
    return np.pad(image, pads, mode="symmetric"), (rows, columns)


def plan_tiles(height: int, width: int, *, edge: int, halo: int, multiple: int) -> Iterator[Tile]:
    """Cut a canvas into tiles.

    Corners fall on multiples of the network's total pooling, so that a tile is pooled along the
    same grid as the whole canvas; where the canvas ends, so does the tile, so that the network
    sees the same edge.

    Parameters
    ----------
    height, width : int
        Of the canvas; divisible by `multiple`.
    edge : int
        Longest side of `Tile.seen` in pixels. At least one `multiple` is kept all the same.
    halo : int
        Context around what is kept, in pixels: the network's receptive field to one side.
    multiple : int
        2 to the power of the network's depth.
    """
    halo = math.ceil(halo / multiple) * multiple
    for rows in _cut(height, edge=edge, halo=halo, multiple=multiple):
        for columns in _cut(width, edge=edge, halo=halo, multiple=multiple):
            yield Tile(seen=(rows[0], columns[0]), kept=(rows[1], columns[1]))


def _cut(size: int, *, edge: int, halo: int, multiple: int) -> Iterator[tuple[slice, slice]]:
    """Seen and kept ranges along one axis."""
    if size <= edge:
        yield slice(0, size), slice(0, size)
        return
    step = max(multiple, (edge - 2 * halo) // multiple * multiple)
    for start in range(0, size, step):
        stop = min(start + step, size)
        yield slice(max(0, start - halo), min(size, stop + halo)), slice(start, stop)


def predict_slice(
    image: npt.NDArray[np.float32],
    network: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    *,
    border: int,
    multiple: int,
    halo: int,
    edge: int,
    tta: bool,
) -> npt.NDArray[np.float32]:
    """Predict one slice of any size.

    Parameters
    ----------
    image : (H, W) float32
        Standardised.
    network : callable
        Takes an image with sides divisible by `multiple`, returns probabilities of its shape.
    border : int
        Mirrored context around the slice, in pixels.
    multiple, halo, edge : int
        As for `plan_tiles`.
    tta : bool
        Test-time augmentation: the mean over the 8 flips and rotations.

    Returns
    -------
    (H, W) float32
    """
    canvas, inside = mirror_border(image, border=border, multiple=multiple)
    total = np.zeros(image.shape, np.float32)
    views = list(symmetries(canvas)) if tta else [(canvas, (False, 0))]
    for view, symmetry in views:
        result = np.empty(view.shape, np.float32)
        for tile in plan_tiles(*view.shape, edge=edge, halo=halo, multiple=multiple):
            result[tile.kept] = network(view[tile.seen])[tile.kept_in_seen]
        total += undo_symmetry(result, symmetry)[inside]
    return total / np.float32(len(views))
