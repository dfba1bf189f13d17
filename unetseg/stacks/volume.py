"""The interface by which stages read slices of equal size, whatever their format."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from unetseg.arrays.tiles import Box
from unetseg.arrays.tissue import Strip, Tissue, find_tissue
from unetseg.errors import InputError
from unetseg.stacks.files import Closing
from unetseg.stacks.voxel import Voxel

DTYPES = ("uint8", "uint16", "float32")
LABEL_DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "uint64", "float32")

# Bytes. A megabyte can decode to a gigabyte: larger slices are only read in parts.
LARGEST_SLICE = 10**9
LARGEST_SEGMENT = 500 * 10**6
"""Most bytes of a strip, tile or chunk, which is decoded as a whole."""

# Pixels read at a time to measure a slice. It does not depend on the memory, because another number
# could round differently.
READ_AT_ONCE = 2**22

# Bytes of the cache of tissue, and of one slice in it without its borders: a few numbers. The
# borders take 8 bytes for each row and column.
TISSUES_KEPT = 2**26
TISSUE = 500

SHOWN = 4  # names that a message lists


def check_segment(path: Path, size: int, *, kind: str, remedy: str) -> None:
    """Raise an InputError if a strip, tile or chunk has more than `LARGEST_SEGMENT` bytes."""
    if size > LARGEST_SEGMENT:
        raise InputError(
            path,
            expected=f"{kind} of at most {LARGEST_SEGMENT // 10**6} MB",
            found=f"some of {size // 10**6} MB",
            remedy=remedy,
        )


class Volume(Closing):
    """Single-channel slices, read one at a time or in parts.

    Attributes
    ----------
    path : Path
        Where they are.
    shape : (Z, Y, X)
    dtype : numpy.dtype
        uint8, uint16 or float32, or one of `LABEL_DTYPES` for labels; in the machine's byte order.
    voxel : Voxel or None
        Size of a voxel, where the file declares one.
    no_data : float or None
        Value of pixels that hold no data, where the file declares one.
    overhead : int
        Most bytes that reading a part takes in addition to its pixels.
    remarks : tuple of str
        What to tell the user about how it was read, or about what was left out.
    names : tuple of str
        Of the slices, where each has a file of its own.
    separate : bool
        Whether slices are unrelated images, each with a size of its own: `own_size`.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    voxel: Voxel | None = None
    no_data: float | None = None
    remarks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    separate: bool = False

    def own_size(self, index: int) -> tuple[int, int]:
        """Return the height and width of a slice without its padding."""
        _, height, width = self.shape
        return height, width

    def own_share_missing(self, index: int) -> float:
        """Return the share of a slice, without its padding, that shows no tissue."""
        return self.tissue(index).share_missing

    @property
    def overhead(self) -> int:
        """Most bytes that reading a part takes in addition to its pixels."""
        return 0

    @abstractmethod
    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice, as large as the box."""

    def part(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice, checked to be finite; NaN where tissue is missing becomes 0.

        Raises
        ------
        InputError
            If it is damaged, or holds NaN or infinity in the middle of tissue.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        pixels = self.read(index, box)
        if self.dtype.kind == "f" and not np.isfinite(pixels).all():
            missing = self.tissue(index).missing(box, pixels)
            if not np.isfinite(pixels[~missing]).all():
                raise InputError(
                    self.path,
                    expected="finite pixels, but at the edges of slices",
                    found=f"NaN or infinity in {name_in(self, [index])}",
                    remedy="replace them (Fiji: Process > Noise > Remove NaNs...)",
                )
            pixels = np.where(missing, np.float32(0), pixels)
        return pixels

    def strips(self, index: int) -> Iterator[Strip]:
        """Read a slice strip by strip from top to bottom, with the values of the file."""
        _, height, width = self.shape
        rows = max(8, READ_AT_ONCE // width // 8 * 8)
        for top in range(0, height, rows):
            box = slice(top, min(top + rows, height)), slice(0, width)
            yield top, self.read(index, box)

    def tissue(self, index: int) -> Tissue:
        """Find the tissue in a slice; the result is cached."""
        found = self._tissues.get(index)
        if found is None:
            found = self._tissues[index] = self._find_tissue(index)
        return found

    def part_and_missing(
        self, index: int, box: Box
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Read a part of a slice as `part` does, and the mask of its pixels without tissue."""
        pixels = self.part(index, box)
        return pixels, self.tissue(index).missing(box, pixels)

    def missing(self, index: int, box: Box) -> npt.NDArray[np.bool_]:
        """Return the mask of the pixels without tissue in a part of a slice."""
        tissue = self.tissue(index)
        if tissue.share_missing == 0:
            return np.zeros([side.stop - side.start for side in box], bool)
        return tissue.missing(box, self.read(index, box))

    def _find_tissue(self, index: int) -> Tissue:
        return find_tissue(
            partial(self.strips, index),
            shape=self.shape[1:],
            dtype=self.dtype,
            no_data=self.no_data,
        )

    @cached_property
    def _tissues(self) -> LRUCache[int, Tissue]:
        # A slice of a gigabyte has borders of a few megabytes at most.
        return LRUCache(TISSUES_KEPT, getsizeof=lambda tissue: TISSUE + tissue.nbytes)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        """Read one slice, (H, W).

        Raises
        ------
        InputError
            As for `part`, or if it is too large to be read whole.
        """
        return self._whole(index, self.shape[1:])

    def own(self, index: int) -> npt.NDArray[Any]:
        """Read one slice as `[index]` does, but without its padding."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._whole(index, self.own_size(index))

    def _whole(self, index: int, size: tuple[int, int]) -> npt.NDArray[Any]:
        height, width = size
        if height * width * self.dtype.itemsize > LARGEST_SLICE:
            raise InputError(
                self.path,
                expected=f"slices of at most {LARGEST_SLICE // 10**6} MB, to be read whole",
                found=describe(self.shape, self.dtype),
                remedy="cut them; only unetseg predict and unetseg segment take larger ones",
            )
        return self.part(index, (slice(0, height), slice(0, width)))

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[index] for index in range(len(self)))

    def __str__(self) -> str:
        return f"{self.path}: {describe(self.shape, self.dtype)}"


class ArrayVolume(Volume):
    """Slices that another program holds, such as a layer of napari.

    Parameters
    ----------
    name : str
        What the user calls it, for errors.
    array : (Y, X) or (Z, Y, X) array-like
        Indexed like a NumPy array; of a Dask array only the parts that are read are computed.
        Pixels of types not in `DTYPES`, such as float64, are read as float32.

    Raises
    ------
    InputError
        If it has other axes, or pixels that are not grey levels.
    """

    def __init__(self, name: str, array: Any) -> None:
        self.path = Path(name)
        dtype = np.dtype(array.dtype)
        if array.ndim not in (2, 3) or 0 in array.shape or dtype.kind not in "uif":
            raise InputError(
                name,
                expected="grey levels with axes YX or ZYX",
                found=f"{dtype} of shape {tuple(array.shape)}",
                remedy="choose another image, or split its channels and times",
            )
        self._array = array[None] if array.ndim == 2 else array
        slices, height, width = (int(size) for size in self._array.shape)
        self.shape = slices, height, width
        known = dtype.name in DTYPES
        self.dtype = dtype.newbyteorder("=") if known else np.dtype(np.float32)

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice."""
        return np.asarray(self._array[(index, *box)]).astype(self.dtype)

    def close(self) -> None:
        """Do nothing: the array belongs to the other program."""


ZARR_MARKS = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
"""Files at the top of a Zarr; at least one of them is there."""


def is_zarr(path: Path) -> bool:
    """Whether a path is that of a Zarr folder, by its name or by what is in it."""
    return path.suffix == ".zarr" or any((path / name).is_file() for name in ZARR_MARKS)


def name_slices(slices: Sequence[int]) -> str:
    """Name slices, given in ascending order: slice 7, slices 24-29, slices 0-2, 5."""
    runs: list[list[int]] = []
    for index in slices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    names = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    return f"slice{'s' if len(slices) > 1 else ''} {', '.join(names)}"


def name_in(volume: Volume, slices: Sequence[int]) -> str:
    """Name slices of a stack by their numbers, and separate micrographs by their names."""
    if not volume.separate:
        return name_slices(slices)
    return count_of([volume.names[index] for index in slices], most=SHOWN)


def count_of(names: Sequence[str], *, most: int) -> str:
    """List the first names, `most` of them, and say how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def describe(shape: tuple[int, ...], dtype: npt.DTypeLike | None = None) -> str:
    """Describe a stack in words."""
    slices = "1 slice" if shape[0] == 1 else f"{shape[0]} slices"
    pixels = "" if dtype is None else f", {np.dtype(dtype)}"
    return f"{slices} of {shape[1]} x {shape[2]}{pixels}"


def check_same_shape(volume: Volume, labels: Volume) -> None:
    """Raise an InputError unless both stacks have the same slices."""
    if volume.separate or labels.separate:
        _check_pairs(volume, labels)
    if volume.shape != labels.shape:
        raise InputError(
            labels.path,
            expected=f"{describe(volume.shape)}, as in {volume.path}",
            found=describe(labels.shape),
            remedy="give the labels of this volume, with all its slices (--unlabelled-slices says "
            "which are not labelled)",
        )


def _check_pairs(volume: Volume, labels: Volume) -> None:
    """Raise an InputError unless separate images have labels of the same names and sizes."""
    if not (volume.names and labels.names):
        one = labels if volume.names else volume
        raise InputError(
            one.path,
            expected="a folder with a file for each image, as where sizes differ",
            found=describe(one.shape),
            remedy="give a folder of images and one of labels, whose names are the same",
        )
    for here, there in ((volume, labels), (labels, volume)):
        alone = [name for name in here.names if name not in there.names]
        if alone:
            raise InputError(
                there.path,
                expected=f"{alone[0]}, as in {here.path}",
                found=f"no file of that name{_and_more(alone)}",
                remedy="give every image and its labels the same name",
            )
    for index, name in enumerate(volume.names):
        size = volume.own_size(index)
        found = labels.own_size(labels.names.index(name))
        if found != size:
            raise InputError(
                labels.path,
                expected=f"labels of {size[0]} x {size[1]} for {name}, as its image",
                found=f"{found[0]} x {found[1]}",
                remedy="give the labels of this image",
            )


def _and_more(names: Sequence[str]) -> str:
    return "" if len(names) == 1 else f", nor of {len(names) - 1} other{'s' * (len(names) > 2)}"


# Images must be predicted first; probabilities may be stored as whole numbers.
NO_PROBABILITY = (
    "of images, run unetseg predict first; else divide the pixels by their largest value"
)


def check_probabilities(prediction: Volume, *, remedy: str = NO_PROBABILITY) -> None:
    """Raise an ImprobableError unless all pixels of a stack are from 0 to 1, as thresholds are."""
    for index in range(len(prediction)):
        check_probable(prediction.own(index), index, prediction, remedy=remedy)


class ImprobableError(InputError):
    """A stack does not hold probabilities, so that nothing made from it is worth keeping."""


def check_probable(
    pixels: npt.NDArray[Any],
    index: int,
    prediction: Volume,
    *,
    remedy: str = NO_PROBABILITY,
) -> None:
    """Raise an ImprobableError unless all pixels of a slice are from 0 to 1."""
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0 or high > 1:
        raise ImprobableError(
            prediction.path,
            expected="probabilities from 0 to 1",
            found=f"{low:g} to {high:g} in {name_in(prediction, [index])}",
            remedy=remedy,
        )
