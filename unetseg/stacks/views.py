"""Views of a stack: with inverted contrast, or resampled to another pixel size."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.histogram import Histogram
from unetseg.arrays.resampling import Taps, resample
from unetseg.arrays.tiles import Box
from unetseg.arrays.tissue import HIGH, LOW, Edges, Tissue
from unetseg.stacks.volume import Volume


class _View(Volume):
    """Base class of views. Closing a view does not close the stack."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self.path = volume.path

    @property
    def overhead(self) -> int:
        """Overhead of the stack itself."""
        return self._volume.overhead

    def close(self) -> None:
        """Do nothing: the caller closes the stack."""


class Inverted(_View):
    """A stack with inverted contrast: dark becomes bright, and bright becomes dark.

    Parameters
    ----------
    volume : Volume
    """

    def __init__(self, volume: Volume) -> None:
        super().__init__(volume)
        self.shape, self.dtype = volume.shape, volume.dtype
        self.voxel, self.remarks = volume.voxel, volume.remarks
        self.names, self.separate = volume.names, volume.separate
        self._sum = np.iinfo(self.dtype).max if self.dtype.kind == "u" else 0
        self.no_data = None if volume.no_data is None else self._sum - volume.no_data

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice."""
        pixels = self._volume.read(index, box)
        return self._sum - pixels if self._sum else -pixels

    def own_size(self, index: int) -> tuple[int, int]:
        """Return the size of the slice in the stack."""
        return self._volume.own_size(index)

    def own_share_missing(self, index: int) -> float:
        """Return the share of the slice in the stack."""
        return self._volume.own_share_missing(index)

    def _find_tissue(self, index: int) -> Tissue:
        """Return the tissue of the stack, with its grey levels inverted."""
        tissue = self._volume.tissue(index)
        if tissue.lost:
            return tissue
        low, high = self._sum - tissue.high, self._sum - tissue.low
        return dataclasses.replace(tissue, low=low, high=high, no_data=self.no_data)


class Resampled(_View):
    """A stack resampled to another pixel size within slices; the number of slices stays.

    Parameters
    ----------
    volume : Volume
    scale : (float, float)
        Height and width of an old pixel in new pixels.
    """

    def __init__(self, volume: Volume, scale: tuple[float, float]) -> None:
        super().__init__(volume)
        slices, *size = volume.shape
        height, width = (max(1, round(n * s)) for n, s in zip(size, scale, strict=True))
        self.shape = (slices, height, width)
        self.dtype = np.dtype(np.float32)

    def read(self, index: int, box: Box) -> npt.NDArray[np.float32]:
        """Resample a part of a slice; missing pixels get the middle of the tissue's grey levels."""
        taps = _taps(box, old=self._volume.shape, new=self.shape)
        seen = taps[0].seen, taps[1].seen
        pixels, missing = self._volume.part_and_missing(index, seen)
        tissue = self._volume.tissue(index)
        middling = np.float32((tissue.low + tissue.high) / 2)
        return resample(np.where(missing, middling, pixels).astype(np.float32), *taps)

    def own_size(self, index: int) -> tuple[int, int]:
        """Return the size of the slice in the stack, in new pixels."""
        height, width = (
            max(1, own * new // old)
            for own, new, old in zip(
                self._volume.own_size(index), self.shape[1:], self._volume.shape[1:], strict=True
            )
        )
        return height, width

    def back(self, box: Box) -> Box:
        """Return the part of this view that is needed to resample back to a part of the stack."""
        taps = self._taps_back(box)
        return taps[0].seen, taps[1].seen

    def resample_back(self, pixels: npt.NDArray[np.float32], box: Box) -> npt.NDArray[np.float32]:
        """Resample pixels of `back(box)` to the grid of the stack."""
        return resample(pixels, *self._taps_back(box))

    def _taps_back(self, box: Box) -> tuple[Taps, Taps]:
        return _taps(box, old=self.shape, new=self._volume.shape)

    def _find_tissue(self, index: int) -> Tissue:
        """Return the tissue of the stack, scaled, with grey levels measured in this view."""
        tissue = self._volume.tissue(index)
        if tissue.lost:
            return tissue
        edges = None if tissue.edges is None else self._scale(tissue.edges)
        grey = Histogram(math.prod(self.shape[1:]), self.dtype)
        for top, pixels in self.strips(index):
            box = slice(top, top + len(pixels)), slice(0, self.shape[2])
            grey.add(pixels if edges is None else pixels[~edges.outside(box)])
        low, high = grey.percentiles(LOW, HIGH) if grey.count else (0.0, 0.0)
        return dataclasses.replace(tissue, low=low, high=high, edges=edges, no_data=None)

    def _scale(self, edges: Edges) -> Edges:
        _, height, width = self.shape
        (old_height, old_width) = self._volume.shape[1:]
        rows = np.arange(height) * old_height // height
        columns = np.arange(width) * old_width // width

        def scaled(places: npt.NDArray[np.int32], new: int, old: int) -> npt.NDArray[np.int32]:
            return (places * new // old).astype(np.int32)

        return Edges(
            scaled(edges.left[rows], width, old_width),
            scaled(edges.right[rows] + 1, width, old_width) - 1,
            scaled(edges.top[columns], height, old_height),
            scaled(edges.bottom[columns] + 1, height, old_height) - 1,
        )


def _taps(box: Box, *, old: tuple[int, int, int], new: tuple[int, int, int]) -> tuple[Taps, Taps]:
    """Return the pixels of the old shape, and their weights, that make a box of the new shape."""
    rows, columns = (
        Taps.of(side, old=before, new=after)
        for side, before, after in zip(box, old[1:], new[1:], strict=True)
    )
    return rows, columns
