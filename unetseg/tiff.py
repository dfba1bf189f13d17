"""Read and write stacks of slices as TIFF; the only room that knows the format."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import tifffile

from unetseg.errors import InputError
from unetseg.slicewriter import SliceWriter

DTYPES = ("uint8", "uint16", "float32")

# ImageJ counts bytes with 32 bits: larger stacks are OME-TIFF in the BigTIFF layout.
IMAGEJ_LIMIT = 2**32 - 2**20

REMEDY = "save it from Fiji as a single-channel TIFF stack"


class Stack:
    """A TIFF stack of single-channel slices, opened for reading one slice at a time.

    Parameters
    ----------
    path : Path
        A TIFF file. One slice ("YX") counts as a stack of one.

    Attributes
    ----------
    shape : (Z, Y, X)
    dtype : numpy.dtype
        uint8, uint16 or float32, in the machine's byte order.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged or cut off, has several channels or slices of
        different sizes, or holds another type of pixel.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            found = "a folder" if path.is_dir() else "no such file"
            raise InputError(path, expected="a TIFF stack", found=found, remedy="check the path")
        if path.stat().st_size == 0:
            raise InputError(path, expected="a TIFF stack", found="an empty file", remedy=REMEDY)
        with ExitStack() as opened:
            with _damage_is_an_error(path):
                # Opened here, because tifffile leaves files open that it finds damaged.
                self._handle = opened.enter_context(path.open("rb"))
                self._file = tifffile.TiffFile(self._handle)
                self._series = self._file.series[0]
                self._check()
            self._opened = opened.pop_all()
        self.dtype = self._series.dtype.newbyteorder("=")
        slices, height, width = (1, *self._series.shape)[-3:]
        self.shape = (int(slices), int(height), int(width))

    def _check(self) -> None:
        series, path = self._series, self.path
        if len(self._file.series) > 1:
            sizes = " and ".join(str(s.shape) for s in self._file.series[:2])
            raise InputError(
                path, expected="slices of one size", found=f"images of {sizes}", remedy=REMEDY
            )
        if "S" in series.axes or "C" in series.axes:
            found = f"{series.axes} of shape {series.shape}, which has several channels"
            raise InputError(path, expected="one channel", found=found, remedy=REMEDY)
        if not 2 <= series.ndim <= 3 or series.size == 0:
            found = f"{series.axes} of shape {series.shape}"
            raise InputError(path, expected="a stack of slices (ZYX)", found=found, remedy=REMEDY)
        if series.dtype is None or series.dtype.name not in DTYPES:
            raise InputError(
                path,
                expected="pixels of uint8, uint16 or float32",
                found=str(series.dtype),
                remedy="convert it in Fiji (Image > Type)",
            )
        present = path.stat().st_size
        if series.dataoffset is not None and series.dataoffset + series.nbytes > present:
            raise _cut_off(path, f"{present} of {series.dataoffset + series.nbytes} bytes")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        """Read one slice, (H, W), checked to be finite."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        with _damage_is_an_error(self.path):
            start = self._series.dataoffset
            pixels = self._page(index) if start is None else self._contiguous(index, start)
            image = pixels.reshape(self.shape[1:]).astype(self.dtype, copy=False)
        if self.dtype.kind == "f" and not np.isfinite(image).all():
            raise InputError(
                self.path,
                expected="finite pixels",
                found=f"NaN or infinity in slice {index}",
                remedy="replace them (Fiji: Process > Math > NaN Background)",
            )
        return image

    def _contiguous(self, index: int, start: int) -> npt.NDArray[Any]:
        """A slice of one run of uncompressed pixels, whatever its page structure.

        Read, not mapped: mapped pages would count as this process's memory.
        """
        dtype = self._series.dtype.newbyteorder(self._file.byteorder)
        size = self.shape[1] * self.shape[2] * dtype.itemsize
        self._handle.seek(start + index * size)
        return np.frombuffer(self._handle.read(size), dtype)

    def _page(self, index: int) -> npt.NDArray[Any]:
        if len(self) == 1:
            return self._series.asarray()
        page = self._series.pages[index]
        if page is None:
            raise ValueError(f"slice {index} has no page")
        return page.asarray()

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[index] for index in range(len(self)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._opened.close()

    def __str__(self) -> str:
        return f"{self.path}: {describe(self.shape, self.dtype)}"


def describe(shape: tuple[int, ...], dtype: npt.DTypeLike | None = None) -> str:
    """Say in words what a stack holds."""
    slices = "1 slice" if shape[0] == 1 else f"{shape[0]} slices"
    pixels = "" if dtype is None else f", {np.dtype(dtype)}"
    return f"{slices} of {shape[1]} x {shape[2]}{pixels}"


def _cut_off(path: Path, found: str) -> InputError:
    return InputError(
        path, expected="a whole TIFF stack", found=found, remedy="copy or export the file again"
    )


class _Complaints(logging.Handler):
    """Collects what tifffile only logs: it reads a truncated stack as one page, without error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage().splitlines()[0])


@contextmanager
def _damage_is_an_error(path: Path) -> Iterator[None]:
    """Turn every exception and every logged warning of tifffile into an InputError."""
    complaints = _Complaints()
    logger = tifffile.logger()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(complaints)
    try:
        yield
    except (InputError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:  # tifffile and its codecs raise every kind on damaged files
        reason = (complaints.messages + str(error).splitlines() + [type(error).__name__])[0]
        raise _cut_off(path, f"damage ({reason})") from error
    finally:
        logger.removeHandler(complaints)
        logger.propagate = propagate
    if complaints.messages:
        raise _cut_off(path, f"damage ({complaints.messages[0]})")


def create_stack(
    path: Path,
    *,
    shape: tuple[int, int, int],
    dtype: npt.DTypeLike,
    display_range: tuple[float, float] | None = None,
) -> SliceWriter:
    """Start a ZYX stack that Fiji opens, to append its slices.

    An uncompressed ImageJ TIFF, or OME-BigTIFF where ImageJ's 4 GB do not suffice.

    Parameters
    ----------
    path : Path
        An existing file is overwritten.
    shape : (Z, Y, X)
    dtype : dtype-like
        uint8, uint16 or float32.
    display_range : (low, high), optional
        Grey levels that ImageJ shows as black and white.
    """
    dtype = np.dtype(dtype)
    metadata: dict[str, Any] = {"axes": "ZYX"}
    large = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize > IMAGEJ_LIMIT
    if display_range is not None and not large:
        metadata["min"], metadata["max"] = display_range
    # Without data tifffile writes all headers and leaves a gap for the pixels.
    place = tifffile.imwrite(
        path,
        shape=shape,
        dtype=dtype,
        imagej=not large,
        ome=large,
        bigtiff=large,
        photometric="minisblack",
        metadata=metadata,
        returnoffset=True,
    )
    if place is None:
        raise ValueError(f"tifffile gave no place for {shape} pixels")
    return SliceWriter(path, offset=place[0], shape=shape, dtype=dtype)


def label_values(labels: Stack) -> tuple[float, float]:
    """Find the two values of a stack of labels.

    Returns
    -------
    (membrane, interior)
        The lower and the higher value.

    Raises
    ------
    InputError
        If there are more than two values, or only one.
    """
    values: set[float] = set()
    for index, image in enumerate(labels):
        values.update(np.unique(image).tolist())
        if len(values) > 2:
            shown = ", ".join(f"{v:g}" for v in sorted(values)[:4])
            raise InputError(
                labels.path,
                expected="two values (0 on membrane, 255 inside cells)",
                found=f"{len(values)} or more by slice {index} ({shown}, ...)",
                remedy="threshold the labels",
            )
    if len(values) < 2:
        raise InputError(
            labels.path,
            expected="two values (0 on membrane, 255 inside cells)",
            found=f"{values.pop():g} everywhere",
            remedy="check that these are the labels",
        )
    membrane, interior = sorted(values)
    return membrane, interior


def check_same_shape(volume: Stack, labels: Stack) -> None:
    """Raise an InputError unless both stacks have the same slices."""
    if volume.shape != labels.shape:
        raise InputError(
            labels.path,
            expected=f"{describe(volume.shape)}, as in {volume.path}",
            found=describe(labels.shape),
            remedy="give the labels of this volume",
        )


def find_stack(path: Path, name: str) -> Path:
    """The stack itself: `path`, or the file of that name in the folder `path`."""
    return path / name if path.is_dir() else path
