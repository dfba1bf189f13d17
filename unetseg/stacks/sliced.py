"""Base class of readers of arrays (.npy, HDF5, MRC and Zarr), whose axes are often unnamed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError, UnetsegError
from unetseg.stacks.axes import find_axes, pixels_as, place, shape_of
from unetseg.stacks.volume import Volume, check_segment


class SlicedVolume(Volume):
    """Slices of an array in a file; a subclass opens it and calls `_describe`."""

    kind: str
    """What errors call the file, such as "an HDF5 file"."""

    def _describe(
        self,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        dtypes: tuple[str, ...],
        *,
        names: Sequence[str] | None = None,
        chunks: Sequence[int] | None = None,
    ) -> None:
        """Find slices, rows and columns, and check sizes before anything is decoded.

        Parameters
        ----------
        shape, dtype
            Of the array in the file.
        dtypes : tuple of str
            Allowed pixel types.
        names : sequence of str, optional
            Of its axes.
        chunks : sequence of int, optional
            Shape of the parts that are decoded as a whole.
        """
        self.dtype = pixels_as(self.path, dtype, dtypes)
        self._axes = find_axes(self.path, shape, names)
        self.shape = shape_of(self._axes, shape)
        size = dtype.itemsize
        for edge in chunks or ():
            size *= int(edge)
        self._chunk = 0 if chunks is None else size
        if chunks is not None:
            check_segment(self.path, size, kind="chunks", remedy="save it with smaller ones")

    @property
    def overhead(self) -> int:
        """Bytes of the chunks that are read at the same time, both as stored and decoded."""
        return 2 * self._chunk * self._chunks_at_once()

    def _chunks_at_once(self) -> int:
        return 1

    @abstractmethod
    def _part(self, index: int, box: Box) -> Any:
        """Read a part of a slice as it is in the file, (H, W)."""

    def _place(self, index: int, box: Box) -> tuple[int | slice, ...]:
        """Return the index of a part of a slice in the array."""
        return place(self._axes, index, box)

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice; outside it, only the rest of its chunks is read."""
        with self._damage_is_an_error():
            # A copy, because mapped pixels are gone when the file is closed.
            return np.array(self._part(index, box), self.dtype)

    @contextmanager
    def _damage_is_an_error(self) -> Iterator[None]:
        """Turn every exception of the library into an InputError."""
        try:
            yield
        except (UnetsegError, MemoryError):
            raise
        except Exception as error:  # of every kind, on damaged files
            reason = (str(error).splitlines() or [""])[0] or type(error).__name__
            raise InputError(
                self.path,
                expected=f"{self.kind} that can be read",
                found=f"damage ({reason})",
                remedy="copy or write it again",
            ) from error
