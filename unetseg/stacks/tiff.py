"""Read stacks of slices from TIFF files; `tiffwriter` writes them."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator, Sequence
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
from unetseg.stacks.volume import DTYPES, Volume
from unetseg.stacks.voxel import Voxel

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
    alone : bool
        Read what is in this very file, even if it says that it is one of a set of OME-TIFFs.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged or cut off, is one of a set of files, has several
        channels or slices of different sizes, or holds another type of pixel.
    """

    def __init__(
        self, path: Path, *, dtypes: tuple[str, ...] = DTYPES, alone: bool = False
    ) -> None:
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
                self._file = tifffile.TiffFile(self._handle, is_ome=False if alone else None)
                _check_chain(self._handle)
                self._series = self._file.series[0]
                self._pages = _single_pages(self._file.series)
                self._check()
                self.voxel = _voxel(self._file)
            self._opened = opened.pop_all()
        self.dtype = self._series.dtype.newbyteorder("=")
        slices, height, width = (1, *self._series.shape)[-3:]
        slices = slices if self._pages is None else len(self._pages)
        self.shape = (int(slices), int(height), int(width))
        self._recent: LRUCache[tuple[int, int], npt.NDArray[Any]] = LRUCache(
            RECENT_BYTES, getsizeof=lambda segment: segment.nbytes
        )

    def _check(self) -> None:
        series, path = self._series, self.path
        if series.is_multifile:
            raise InputError(
                path,
                expected="a stack in one file",
                found="one file of a set of OME-TIFFs",
                remedy="give the folder that holds them all, one slice in each file",
            )
        if len(self._file.series) > 1 and self._pages is None:
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
        # Where the pixels begin, if all of them lie in one piece.
        self._start = series.dataoffset if self._pages is None else None
        if self._start is None:
            for page in self._pages or [series]:
                self._check_segments(page)
        present = path.stat().st_size
        if self._start is not None and self._start + series.nbytes > present:
            raise _cut_off(path, f"{present} of {self._start + series.nbytes} bytes")

    def _check_segments(self, pages: Any) -> None:
        """Look at the sizes of compressed strips and tiles before the first is decoded."""
        layout = pages.keyframe
        size = int(np.prod(layout.chunks, dtype=np.int64)) * pages.dtype.itemsize
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
            start = self._start
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
        page = (self._pages or self._series.pages)[index]
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


def _single_pages(series: Sequence[tifffile.TiffPageSeries]) -> list[Any] | None:
    """The pages of a stack that was written page by page, which tifffile takes for several.

    None where they are of different sizes or types, or belong together in some other way.
    """
    if len(series) == 1 or any(
        s.kind != "generic" and (s.kind != "shaped" or len(s.pages) > 1) for s in series
    ):
        return None
    pages: list[Any] = sorted(
        (page for s in series for page in s.pages), key=lambda page: int(page.index)
    )
    alike = {(page.shape, page.dtype, page.axes, page.keyframe.photometric) for page in pages}
    return pages if len(alike) == 1 and pages[0].axes == "YX" else None


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
