"""Save what is drawn over a stack in napari as labels for training, and load it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from unetseg.arrays.labelling import INTERIOR, MEMBRANE, UNCOUNTED
from unetseg.errors import InputError
from unetseg.stacks.files import replacing
from unetseg.stacks.opening import open_numbers
from unetseg.stacks.tiffwriter import create_stack, label_dtype
from unetseg.stacks.volume import describe
from unetseg.stacks.voxel import Voxel

# In the layer; other pixels are 0, which napari shows as transparent and its eraser paints.
PAINTED_MEMBRANE, PAINTED_INTERIOR = 1, 2

_TO_LABELS = np.full(256, UNCOUNTED, np.uint8)
_TO_LABELS[[PAINTED_MEMBRANE, PAINTED_INTERIOR]] = MEMBRANE, INTERIOR


class Drawn(Protocol):
    """Pixels drawn in a layer, which are saved as labels.

    Attributes
    ----------
    path : Path
        Of the labels.
    """

    path: Path

    def load(self) -> npt.NDArray[Any]:
        """Return the pixels for a layer, including what was saved before."""

    def save(self, pixels: npt.NDArray[Any]) -> bool:
        """Save the pixels of the layer; return whether there was anything to write."""

    def settings(self) -> dict[str, Any]:
        """Return the options of `unetseg augment` that describe the labels.

        Raises
        ------
        InputError
            If nothing is labelled.
        """


class Painted:
    """Membrane and interior, painted on some of the pixels: the others are unlabelled.

    Parameters
    ----------
    path : Path
    shape : (Z, Y, X)
        Of the stack.
    voxel : Voxel, optional
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], voxel: Voxel | None) -> None:
        self.path = path
        self._shape = shape
        self._voxel = voxel
        self._kept = np.zeros(shape, np.uint8)

    def load(self) -> npt.NDArray[np.uint8]:
        """Return the pixels for a layer, uint8: 1 on membrane, 2 on interior, else 0."""
        if self.path.exists():
            labels = _read(self.path, self._shape)
            self._kept[labels == MEMBRANE] = PAINTED_MEMBRANE
            self._kept[labels == INTERIOR] = PAINTED_INTERIOR
        return self._kept.copy()

    def save(self, pixels: npt.NDArray[Any]) -> bool:
        """Save the pixels as labels: 0 membrane, 255 interior, 127 unlabelled."""
        if np.array_equal(pixels, self._kept):
            return False
        _write(self.path, _TO_LABELS[np.minimum(pixels, 255)], self._voxel)
        self._kept = pixels.copy()
        return True

    def settings(self) -> dict[str, Any]:
        """Return that the labels are classes; they need no other option."""
        if not self._kept.any():
            raise InputError(
                self.path,
                expected="membrane and interior",
                found="nothing painted",
                remedy="paint a little of both in the layer painted",
            )
        return {"labels-as": "classes"}


class Corrected:
    """Cells that were corrected in some slices: the others are unlabelled.

    A slice counts as labelled as soon as it is changed, or marked as right.

    Parameters
    ----------
    path : Path
    cells : (Z, Y, X) integers
        As they were segmented.
    voxel : Voxel, optional

    Attributes
    ----------
    looked_at : set of int
        Slices that count as labelled.
    """

    def __init__(self, path: Path, cells: npt.NDArray[Any], voxel: Voxel | None) -> None:
        self.path = path
        self.looked_at: set[int] = set()
        self._voxel = voxel
        self._kept = cells.astype(np.uint32)
        self._unlabelled = 0
        self._marked = False

    def load(self) -> npt.NDArray[np.uint32]:
        """Return the pixels for a layer, uint32: corrected slices, and `cells` in the others."""
        if self.path.exists():
            before = _read(self.path, self._kept.shape)
            self._unlabelled = np.iinfo(before.dtype).max
            for index, numbers in enumerate(before):
                if not (numbers == self._unlabelled).all():
                    self._kept[index] = numbers
                    self.looked_at.add(index)
        return self._kept.copy()

    def mark(self, index: int) -> None:
        """Mark a slice as right as it is."""
        self._marked |= index not in self.looked_at
        self.looked_at.add(index)

    def save(self, pixels: npt.NDArray[Any]) -> bool:
        """Save the pixels; slices that nobody has looked at get the highest value of the type."""
        changed = [
            i for i, pair in enumerate(zip(pixels, self._kept, strict=True)) if _differ(pair)
        ]
        if not changed and not self._marked:
            return False
        self.looked_at.update(changed)
        dtype = np.dtype(label_dtype(int(pixels.max()) + 1))
        self._unlabelled = int(np.iinfo(dtype).max)
        labels = np.full(pixels.shape, self._unlabelled, dtype)
        seen = sorted(self.looked_at)
        labels[seen] = pixels[seen]
        _write(self.path, labels, self._voxel)
        self._kept, self._marked = pixels.copy(), False
        return True

    def settings(self) -> dict[str, Any]:
        """Return that the labels are cell numbers, and the value of unlabelled pixels."""
        if not self.looked_at:
            raise InputError(
                self.path,
                expected="a slice of cells that somebody has looked at",
                found="none",
                remedy="correct one in the layer corrected cells, or mark it as right",
            )
        return {"labels-as": "cells", "unlabelled": self._unlabelled}


def _differ(pair: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> bool:
    return not np.array_equal(*pair)


def _read(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    with open_numbers(path) as labels:
        if labels.shape != shape:
            raise InputError(
                path,
                expected=f"{describe(shape)}, as in the stack",
                found=describe(labels.shape),
                remedy="choose another work folder for this stack",
            )
        return np.stack(list(labels))


def _write(path: Path, labels: npt.NDArray[Any], voxel: Voxel | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    slices, height, width = labels.shape
    with replacing(path) as file:
        draft, shape = Path(file.name), (slices, height, width)
        with create_stack(draft, shape=shape, dtype=labels.dtype, voxel=voxel) as out:
            for label in labels:
                out.append(label)
