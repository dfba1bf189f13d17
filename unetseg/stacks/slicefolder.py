"""A folder of slices, one in each file, as microscopes and ImageJ write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError
from unetseg.stacks.tiff import Stack
from unetseg.stacks.volume import LARGEST_SLICE, Volume, describe

TIFF = (".tif", ".tiff")
PNG = (".png",)

# Modes of Pillow that hold one channel, as pixels.
MODES = {"1": np.uint8, "L": np.uint8, "I;16": np.uint16, "I;16B": np.uint16}


class SliceFolder(Volume):
    """A folder of TIFF or PNG files as a stack, in natural order: slice 2 before slice 10.

    Parameters
    ----------
    path : Path
        Of the folder. Hidden files, and files that are not TIFF or PNG, are left alone.

    Raises
    ------
    InputError
        If there is no slice in it, or slices differ in size or type of pixel.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = self.slices_in(path)
        if not self._files:
            raise InputError(
                path,
                expected="a folder of slices (TIFF or PNG)",
                found="none",
                remedy="check the path",
            )
        (height, width), self.dtype = _look(self._files[0])
        for file in self._files[1:]:
            size, dtype = _look(file)
            if (size, dtype) != ((height, width), self.dtype):
                first = describe((1, height, width), self.dtype)
                raise InputError(
                    file,
                    expected=f"{first}, as {self._files[0].name}",
                    found=describe((1, *size), dtype),
                    remedy="keep one stack in a folder",
                )
        self.shape = (len(self._files), height, width)
        # Many parts of one slice are wanted in a row.
        self._opened: tuple[int, Stack | npt.NDArray[Any]] | None = None

    @staticmethod
    def slices_in(path: Path) -> list[Path]:
        """Files of a folder that may be slices, in natural order."""
        files = [
            file
            for file in path.iterdir()
            if file.suffix.lower() in TIFF + PNG
            and not file.name.startswith(".")
            and file.is_file()
        ]
        return sorted(files, key=lambda file: _natural(file.name))

    def number(self, index: int) -> int | None:
        """The last number in the name of a slice, if there is one."""
        found = re.findall(r"\d+", self._files[index].stem)
        return int(found[-1]) if found else None

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice."""
        if self._opened is None or self._opened[0] != index:
            self.close()
            file = self._files[index]
            self._opened = index, _read_png(file) if _is_png(file) else Stack(file, alone=True)
        opened = self._opened[1]
        return opened.read(0, box) if isinstance(opened, Stack) else opened[box]

    def close(self) -> None:
        """Let go of the slice that was read last."""
        if self._opened is not None and isinstance(self._opened[1], Stack):
            self._opened[1].close()
        self._opened = None


def _is_png(file: Path) -> bool:
    return file.suffix.lower() in PNG


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers count as numbers, letters without regard to case."""
    return [(int(d or 0), text.lower()) for d, text in re.findall(r"(\d+)|(\D+)", name)]


def _look(file: Path) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Size and type of a slice, without its pixels."""
    if _is_png(file):
        with _open_png(file) as image:
            return (image.height, image.width), np.dtype(MODES[image.mode])
    # Its own pixels, if it is one of a set of OME-TIFFs: each of them describes them all.
    with Stack(file, alone=True) as stack:
        if len(stack) > 1:
            raise InputError(
                file,
                expected="one slice in each file of a folder",
                found=describe(stack.shape),
                remedy="give the stack itself, or keep other files elsewhere",
            )
        return stack.shape[1:], stack.dtype


def _open_png(file: Path) -> Image.Image:
    try:
        with _without_limit():
            image = Image.open(file, formats=["PNG"])
    except (OSError, SyntaxError, ValueError) as error:
        raise _damaged(file, error) from error
    if image.mode not in MODES:
        mode = image.mode
        image.close()
        raise InputError(
            file,
            expected="one channel of 8 or 16 bits",
            found=f"a PNG of mode {mode}",
            remedy="convert it in Fiji (Image > Type)",
        )
    dtype = np.dtype(MODES[image.mode])
    if image.height * image.width * dtype.itemsize > LARGEST_SLICE:
        shape = (1, image.height, image.width)
        image.close()
        raise InputError(
            file,
            expected=f"a PNG of at most {LARGEST_SLICE // 10**6} MB of pixels, to be read whole",
            found=describe(shape, dtype),
            remedy="save it as TIFF or OME-Zarr, which are read in parts",
        )
    return image


@contextmanager
def _without_limit() -> Iterator[None]:
    """Keep Pillow from its own opinion of what is too large; nothing is decoded yet."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _read_png(file: Path) -> npt.NDArray[Any]:
    with _open_png(file) as image:
        dtype = MODES[image.mode]
        try:
            pixels = np.asarray(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise _damaged(file, error) from error
    return pixels.astype(dtype)


def _damaged(file: Path, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(
        file, expected="a PNG", found=f"damage ({reason})", remedy="copy or export it again"
    )
