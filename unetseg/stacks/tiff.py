"""Read and write stacks of slices as TIFF; the only room that knows the format."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import tifffile
from cachetools import LRUCache

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError
from unetseg.stacks.slicewriter import SliceWriter
from unetseg.stacks.volume import DTYPES, Volume
from unetseg.stacks.voxel import Voxel

# ImageJ counts bytes with 32 bits: larger stacks are OME-TIFF in the BigTIFF layout.
IMAGEJ_LIMIT = 2**32 - 2**20

BIGTIFF = 43  # version of that layout, as headers say it

JPEG = (6, 7, 33007, 34892)  # compressions with tables outside of the strips

# A megabyte can decode to a gigabyte: more than this is never decoded at once.
LARGEST_SEGMENT = 500 * 10**6

# Decoded strips and tiles that are kept, because neighbouring parts of a slice share them.
RECENT_BYTES = 128 * 2**20

ENDS_EARLY = "the file ends within its pixels"
REMEDY = "save it from Fiji as a single-channel TIFF stack"


class Stack(Volume):
    """A TIFF stack of single-channel slices.

    Parameters
    ----------
    path : Path
        A TIFF, BigTIFF or OME-TIFF file. One slice ("YX") counts as a stack of one.
    dtypes : tuple of str
        Pixels that may be in it.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged or cut off, has several channels or slices of
        different sizes, or holds another type of pixel.
    """

    def __init__(self, path: Path, *, dtypes: tuple[str, ...] = DTYPES) -> None:
        self.path = path
        self._dtypes = dtypes
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
                _check_chain(self._handle)
                self._series = self._file.series[0]
                self._check()
                self.voxel = _voxel(self._file)
            self._opened = opened.pop_all()
        self.dtype = self._series.dtype.newbyteorder("=")
        slices, height, width = (1, *self._series.shape)[-3:]
        self.shape = (int(slices), int(height), int(width))
        self._recent: LRUCache[tuple[int, int], npt.NDArray[Any]] = LRUCache(
            RECENT_BYTES, getsizeof=lambda segment: segment.nbytes
        )

    def _check(self) -> None:
        series, path = self._series, self.path
        if len(self._file.series) > 1:
            sizes = " and ".join(f"{s.shape}, {s.dtype}" for s in self._file.series[:2])
            raise InputError(
                path,
                expected="slices of one size, stored in one way",
                found=f"images of {sizes}",
                remedy=REMEDY,
            )
        if "S" in series.axes or "C" in series.axes:
            found = f"{series.axes} of shape {series.shape}, which has several channels"
            raise InputError(path, expected="one channel", found=found, remedy=REMEDY)
        if not 2 <= series.ndim <= 3 or series.size == 0:
            found = f"{series.axes} of shape {series.shape}"
            raise InputError(path, expected="a stack of slices (ZYX)", found=found, remedy=REMEDY)
        if series.dtype is None or series.dtype.name not in self._dtypes:
            raise InputError(
                path,
                expected=f"pixels of {', '.join(self._dtypes[:-1])} or {self._dtypes[-1]}",
                found=str(series.dtype),
                remedy="convert it in Fiji (Image > Type)",
            )
        photometric = series.keyframe.photometric
        if photometric != tifffile.PHOTOMETRIC.MINISBLACK:
            raise InputError(
                path,
                expected="grey levels, black the lowest",
                found=f"pixels of kind {getattr(photometric, 'name', photometric)}",
                remedy="convert it in Fiji (Image > Type > 8-bit)",
            )
        if series.dataoffset is None:
            self._check_segments(series)
        present = path.stat().st_size
        if series.dataoffset is not None and series.dataoffset + series.nbytes > present:
            raise _cut_off(path, f"{present} of {series.dataoffset + series.nbytes} bytes")

    def _check_segments(self, series: tifffile.TiffPageSeries) -> None:
        """Look at the sizes of compressed strips and tiles before the first is decoded."""
        layout = series.keyframe
        size = int(np.prod(layout.chunks, dtype=np.int64)) * series.dtype.itemsize
        if size > LARGEST_SEGMENT:
            raise InputError(
                self.path,
                expected=f"strips or tiles of at most {LARGEST_SEGMENT // 10**6} MB",
                found=f"some of {size // 10**6} MB",
                remedy="save it with smaller ones, or uncompressed",
            )
        declared = int(np.prod(layout.chunked, dtype=np.int64))
        if len(layout.dataoffsets) < declared:
            raise _cut_off(self.path, f"{len(layout.dataoffsets)} of {declared} strips or tiles")

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice; strips and tiles outside of it are left alone."""
        with _damage_is_an_error(self.path):
            start = self._series.dataoffset
            part = self._decode(index, box) if start is None else self._copy(index, box, start)
            return part.astype(self.dtype, copy=False)

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def _copy(self, index: int, box: Box, start: int) -> npt.NDArray[Any]:
        """A part of a slice of one run of uncompressed pixels, whatever its page structure.

        Read, not mapped: mapped pages would count as this process's memory.
        """
        rows, columns = box
        _, height, width = self.shape
        dtype = self._series.dtype.newbyteorder(self._file.byteorder)
        part = np.empty((rows.stop - rows.start, columns.stop - columns.start), dtype)
        # Whole rows lie in one piece.
        pieces = [part] if part.shape[1] == width else part
        for row, piece in enumerate(pieces, start=rows.start):
            pixels_before = (index * height + row) * width + columns.start
            self._handle.seek(start + pixels_before * dtype.itemsize)
            if self._handle.readinto(piece.data) != piece.nbytes:
                raise ValueError(ENDS_EARLY)
        return part

    def _decode(self, index: int, box: Box) -> npt.NDArray[Any]:
        """A part of a slice that is compressed, tiled or in scattered strips."""
        page = self._series.pages[index]
        if page is None:
            raise ValueError(f"slice {index} has no page")
        height, width = page.chunks[:2]  # of a strip or tile
        across = page.chunked[1]
        rows, columns = box
        part = np.empty((rows.stop - rows.start, columns.stop - columns.start), self.dtype)
        for down in range(rows.start // height, -(-rows.stop // height)):
            for right in range(columns.start // width, -(-columns.stop // width)):
                segment = self._segment(page, index, down * across + right)
                top, left = down * height - rows.start, right * width - columns.start
                inside = segment[
                    max(0, -top) : part.shape[0] - top, max(0, -left) : part.shape[1] - left
                ]
                top, left = max(0, top), max(0, left)
                part[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        return part

    def _segment(self, page: Any, index: int, number: int) -> npt.NDArray[Any]:
        """A decoded strip or tile, (H, W). Neighbouring boxes share some: the last are kept."""
        key = index, number
        if key in self._recent:
            return self._recent[key]
        layout = page.keyframe
        start, size = page.dataoffsets[number], page.databytecounts[number]
        if start + size > self.path.stat().st_size:
            raise ValueError(ENDS_EARLY)
        self._handle.seek(start)
        stored = self._handle.read(size)
        jpeg = {"jpegtables": page.jpegtables, "jpegheader": layout.jpegheader}
        decoded, _, shape = layout.decode(
            stored or None,
            number,
            **(jpeg if layout.compression in JPEG else {}),
        )
        if decoded is None:  # a strip that was never written
            decoded = np.full(shape, layout.nodata, self.dtype)
        segment: npt.NDArray[Any] = decoded.reshape(shape)[0, :, :, 0]
        with suppress(ValueError):  # larger than all that is kept
            self._recent[key] = segment
        return segment


def _check_chain(file: IO[bytes]) -> None:
    """Raise a ValueError if the pages, each of which names the next, go round in a circle.

    tifffile notices some circles, and follows the others for ever.
    """
    file.seek(0)
    order = {b"II": "<", b"MM": ">"}[file.read(2)]

    def number(kind: str) -> int:
        # Beyond the end there is no next page; that something is missing others will notice.
        content = file.read(struct.calcsize(kind)).ljust(struct.calcsize(kind), b"\0")
        return int(struct.unpack(order + kind, content)[0])

    big = number("H") == BIGTIFF
    count, tag, offset = ("Q", 20, "Q") if big else ("H", 12, "I")
    file.seek(8 if big else 4)
    page = number(offset)
    seen: set[int] = set()
    while page:
        if page in seen:
            raise ValueError(f"the page after number {len(seen)} is an earlier one")
        seen.add(page)
        file.seek(page)
        file.seek(number(count) * tag, os.SEEK_CUR)
        page = number(offset)


def _voxel(file: tifffile.TiffFile) -> Voxel | None:
    """What ImageJ's or OME's metadata say.

    Resolution without them is left alone: mostly it is meant for a printer, and never for slices.
    """
    if file.is_imagej:
        metadata = file.imagej_metadata or {}
        # Pixels in a unit. Like ImageJ we take a missing distance of slices for 1.
        across, down = file.pages.first.get_resolution()
        width, height = (1 / pixels if pixels else 0 for pixels in (across, down))
        edges = metadata.get("spacing", 1.0), height, width
        return Voxel.of(edges, (metadata.get("unit"),) * 3)
    if file.is_ome:
        try:
            root = ElementTree.fromstring(file.ome_metadata or "")
        except ElementTree.ParseError:
            return None
        pixels = root.find(".//{*}Pixels")
        sizes = {} if pixels is None else pixels.attrib
        declared = tuple(sizes.get(f"PhysicalSize{axis}") for axis in "ZYX")
        units = tuple(sizes.get(f"PhysicalSize{axis}Unit", "um") for axis in "ZYX")
        return Voxel.of(declared, units)
    return None


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


def _label_colours() -> npt.NDArray[np.uint8]:
    """A table of 256 colours, (3, 256): black for what is no cell, then bright ones in no order."""
    table = np.random.default_rng(0).integers(64, 256, (3, 256)).astype(np.uint8)
    table[:, 0] = 0
    return table


def create_stack(
    path: Path,
    *,
    shape: tuple[int, int, int],
    dtype: npt.DTypeLike,
    display_range: tuple[float, float] | None = None,
    colours: int = 0,
    voxel: Voxel | None = None,
) -> SliceWriter:
    """Start a ZYX stack that Fiji opens, to append its slices.

    An uncompressed ImageJ TIFF, or OME-TIFF where the name ends in .ome.tif or ImageJ's 4 GB do
    not suffice (then in the BigTIFF layout).

    Parameters
    ----------
    path : Path
        An existing file is overwritten.
    shape : (Z, Y, X)
    dtype : dtype-like
        uint8, uint16 or float32; uint32 is OME-TIFF, because ImageJ's own has no such pixels.
    display_range : (low, high), optional
        Grey levels that ImageJ shows as black and white.
    colours : int
        Highest label of a stack of labels, for ImageJ to colour them; 0 for grey levels.
    voxel : Voxel, optional
        Size of a voxel, for programs that measure.
    """
    dtype = np.dtype(dtype)
    metadata: dict[str, Any] = {"axes": "ZYX"}
    large = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize > IMAGEJ_LIMIT
    ome = large or dtype == np.uint32 or path.name.lower().endswith((".ome.tif", ".ome.tiff"))
    if display_range is not None and not ome:
        metadata["min"], metadata["max"] = display_range
    if colours and not ome:
        metadata |= {"min": 0.0, "max": float(colours), "LUTs": [_label_colours()]}
    if voxel is not None:
        metadata |= _physical_sizes(voxel) if ome else {"spacing": voxel.z, "unit": "nm"}
    # Without data tifffile writes all headers and leaves a gap for the pixels.
    place = tifffile.imwrite(
        path,
        shape=shape,
        dtype=dtype,
        imagej=not ome,
        ome=ome,
        bigtiff=large,
        photometric="minisblack",
        metadata=metadata,
        resolution=None if voxel is None or ome else (1 / voxel.x, 1 / voxel.y),
        returnoffset=True,
    )
    if place is None:
        raise ValueError(f"tifffile gave no place for {shape} pixels")
    return SliceWriter(path, offset=place[0], shape=shape, dtype=dtype)


def _physical_sizes(voxel: Voxel) -> dict[str, Any]:
    """The size of a voxel in the words of OME-XML."""
    sizes: dict[str, Any] = {}
    for axis, edge in zip("ZYX", voxel.edges, strict=True):
        sizes |= {f"PhysicalSize{axis}": edge, f"PhysicalSize{axis}Unit": "nm"}
    return sizes
