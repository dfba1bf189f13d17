"""Read a slice from a PNG file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError
from unetseg.stacks.kinds import PNG, kind_of, not_read
from unetseg.stacks.volume import LARGEST_SLICE, Volume, describe

COPIES = 3  # of the pixels in memory while Pillow decodes them: measured, 3.00

# Modes of Pillow that hold one channel, and their pixel types.
MODES = {"1": np.uint8, "L": np.uint8, "I;16": np.uint16, "I;16B": np.uint16}


class PngSlice(Volume):
    """A PNG file as a stack of one slice, which is read whole.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If it is damaged, too large to be read whole, or no image of one channel.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _open(path) as image:
            self.shape = (1, image.height, image.width)
            self.dtype = np.dtype(MODES[image.mode])
        self._pixels: npt.NDArray[Any] | None = None

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of it, and keep the whole, because many parts are read in a row."""
        if self._pixels is None:
            self._pixels = _read(self.path)
        return self._pixels[box]

    @property
    def overhead(self) -> int:
        """Bytes of the whole slice, in as many copies as Pillow makes."""
        return COPIES * math.prod(self.shape) * self.dtype.itemsize

    def close(self) -> None:
        """Release the pixels."""
        self._pixels = None


def _open(file: Path) -> Image.Image:
    try:
        with _without_limit():
            image = Image.open(file, formats=["PNG"])
    except (OSError, SyntaxError, ValueError) as error:
        if file.stat().st_size and kind_of(file) not in (None, PNG):
            raise not_read(file, expected="a PNG") from error
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
    """Switch off Pillow's own limit on the size of images; nothing is decoded yet."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _read(file: Path) -> npt.NDArray[Any]:
    with _open(file) as image:
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
