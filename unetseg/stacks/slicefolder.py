"""A folder of slices, one in each file, as microscopes and ImageJ write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError
from unetseg.stacks.png import PngSlice
from unetseg.stacks.tiff import Stack
from unetseg.stacks.volume import Volume, count_of, describe
from unetseg.stacks.voxel import Voxel

TIFF = (".tif", ".tiff")
PNG = (".png",)
# Images that are not read.
OTHERS = (".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".jp2", ".dm3", ".dm4", ".mrc", ".nrrd", ".npy")

# What programs append or prepend to the name of an image to name its mask.
_WORDS = "masks?|labels?|seg|segmentation|gt"
MASK = re.compile(rf"[-_. ]({_WORDS})$|^({_WORDS})[-_. ]", re.IGNORECASE)

SHOWN = 3  # names that a remark lists


@dataclass(frozen=True)
class Slice:
    """A file of a folder of slices, as its header describes it.

    `dtypes` are the allowed pixel types.
    """

    file: Path
    size: tuple[int, int]
    dtype: np.dtype[Any]
    dtypes: tuple[str, ...]
    voxel: Voxel | None
    overhead: int

    @property
    def name(self) -> str:
        """The name of the file without its ending, such as .tif or .ome.tif."""
        return _stem(self.file)


class SliceFolder(Volume):
    """A folder of TIFF or PNG files as a stack, in natural order: slice 2 before slice 10.

    Parameters
    ----------
    path : Path
        Of the folder. Hidden files, and files that are not images, are ignored; images of other
        types are left out, and named in `remarks`.
    slices : list of Slice
        What `look_into` has found there.

    Raises
    ------
    InputError
        If slices differ in size.
    """

    def __init__(self, path: Path, slices: list[Slice]) -> None:
        self.path = path
        self._files = [found.file for found in slices]
        self._dtypes = slices[0].dtypes
        self.names = tuple(found.name for found in slices)
        self.dtype = slices[0].dtype
        self.shape = (len(slices), *self._size(slices))
        others = images_not_read(path)
        if others:
            self.remarks = (f"{path}: not read, because they are no TIFF or PNG: {_few(others)}",)
        # Stays open, because many parts of one slice are read in a row.
        self._opened: tuple[int, Volume] | None = None

    def _size(self, slices: list[Slice]) -> tuple[int, int]:
        first = slices[0]
        for other in slices[1:]:
            if other.size != first.size:
                raise _unlike(other, first)
        return first.size

    @staticmethod
    def slices_in(path: Path) -> list[Path]:
        """Files of a folder that may be slices, in natural order."""
        return sorted(sorted(_files_in(path, TIFF + PNG)), key=_natural)

    def number(self, index: int) -> int | None:
        """The last number in the name of a slice, if there is one."""
        found = re.findall(r"\d+", self._files[index].stem)
        return int(found[-1]) if found else None

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice."""
        if self._opened is None or self._opened[0] != index:
            self.close()
            self._opened = index, self._open(self._files[index])
        return self._opened[1].read(0, box)

    @property
    def overhead(self) -> int:
        """Overhead of the first PNG, which is read whole, or else of the first slice."""
        first = next((f for f in self._files if f.suffix.lower() in PNG), self._files[0])
        with self._open(first) as opened:
            return opened.overhead

    def _open(self, file: Path) -> Volume:
        return open_slice(file, dtypes=self._dtypes)

    def close(self) -> None:
        """Close the slice that was read last."""
        if self._opened is not None:
            self._opened[1].close()
        self._opened = None


def images_not_read(path: Path) -> list[Path]:
    """Return the images in a folder whose type is not supported in a folder of slices."""
    return sorted(_files_in(path, OTHERS), key=_natural)


def _files_in(path: Path, endings: tuple[str, ...]) -> list[Path]:
    return [
        file
        for file in path.iterdir()
        if file.suffix.lower() in endings and not file.name.startswith(".") and file.is_file()
    ]


def _few(files: list[Path]) -> str:
    return count_of([file.name for file in files], most=SHOWN)


def _stem(file: Path) -> str:
    """The name of the file without its ending, such as .tif or .ome.tif."""
    return re.sub(r"\.ome$", "", file.stem, flags=re.IGNORECASE)


def _check_names(path: Path, files: list[Path]) -> None:
    """Raise an InputError if two files belong to one slice: duplicates, or image and mask."""
    first: dict[str, Path] = {}
    for file in files:
        twin = first.setdefault(_stem(file).lower(), file)
        if twin != file:
            raise InputError(
                path,
                expected="every slice once",
                found=f"{twin.name} and {file.name}",
                remedy="keep one of them, or two folders",
            )
    masks = [file for file in files if MASK.search(_stem(file))]
    if masks and len(masks) < len(files):
        raise InputError(
            path,
            expected="images, or labels of them",
            found=f"both: {_few(masks)} among {len(files)} files",
            remedy="keep labels in a folder of their own",
        )


def _natural(file: Path) -> tuple[list[tuple[int, str]], str]:
    """Return the sort key: numbers by value, letters regardless of case, shorter names first."""
    parts = re.findall(r"(\d+)|(\D+)", _stem(file))
    # The name settles ties, such as s1 and s01, so that the order is the same on every disk.
    return [(int(digits or 0), text.lower()) for digits, text in parts], file.name


def open_slice(file: Path, *, dtypes: tuple[str, ...]) -> Volume:
    """Open one slice."""
    if file.suffix.lower() in PNG:
        return PngSlice(file)
    # Only its own pixels: each file of a set of OME-TIFFs describes the whole set.
    return Stack(file, dtypes=dtypes, alone=True)


def look_into(path: Path, *, dtypes: tuple[str, ...]) -> list[Slice]:
    """Read the headers of a folder's slices, in natural order, without their pixels.

    Raises
    ------
    InputError
        If there is no slice, a file holds several, one is there twice or beside its mask, or pixel
        types differ.
    """
    files = SliceFolder.slices_in(path)
    if not files:
        raise InputError(
            path,
            expected="a folder of slices (TIFF or PNG)",
            found="none",
            remedy="check the path",
        )
    _check_names(path, files)
    first = _look(files[0], dtypes)
    slices = [first]
    for file in files[1:]:
        found = _look(file, dtypes)
        if found.dtype != first.dtype:
            raise _unlike(found, first)
        slices.append(found)
    return slices


def _unlike(found: Slice, first: Slice) -> InputError:
    return InputError(
        found.file,
        expected=f"{describe((1, *first.size), first.dtype)}, as {first.file.name}",
        found=describe((1, *found.size), found.dtype),
        remedy="keep one stack in a folder",
    )


def _look(file: Path, dtypes: tuple[str, ...]) -> Slice:
    """Read the header of a slice, without its pixels."""
    with open_slice(file, dtypes=dtypes) as stack:
        if len(stack) > 1:
            raise InputError(
                file,
                expected="one slice in each file of a folder",
                found=describe(stack.shape),
                remedy="give the stack itself, or keep other files elsewhere",
            )
        return Slice(file, stack.shape[1:], stack.dtype, dtypes, stack.voxel, stack.overhead)
