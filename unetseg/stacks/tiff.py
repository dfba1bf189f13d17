"""Read stacks of slices from TIFF files; `tiffwriter` writes them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from cachetools import LRUCache

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError
from unetseg.stacks.kinds import TIFF, kind_of, not_read
from unetseg.stacks.omeset import check_complete, set_of
from unetseg.stacks.rawpixels import ENDS_EARLY, Run
from unetseg.stacks.tifflayout import (
    GREY,
    REMEDY,
    called_channels,
    check_chain,
    grey_shape,
    no_data_of,
    pages_of_set,
    single_pages,
    voxel_of,
)
from unetseg.stacks.volume import DTYPES, Volume, check_segment, describe

JPEG = (6, 7, 33007, 34892)  # compressions with tables outside of the strips

# Decoded strips and tiles that are kept, because neighbouring parts of a slice share them.
RECENT_BYTES = 128 * 2**20


class Stack(Volume):
    """A TIFF stack of single-channel slices.

    Parameters
    ----------
    path : Path
        A TIFF, BigTIFF or OME-TIFF file, or one of a set of OME-TIFFs, which is read whole. One
        slice ("YX") counts as a stack of one.
    dtypes : tuple of str
        Allowed pixel types.
    alone : bool
        Read only this file, even if it is one of a set of OME-TIFFs.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged or cut off, belongs to a set that lacks a file, has
        several channels or slices of different sizes, or holds another type of pixel.
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
                if self._handle.read(2) not in (b"II", b"MM") or kind_of(path) not in (TIFF, None):
                    raise not_read(path, expected="a TIFF stack")
                self._handle.seek(0)
                self._file = tifffile.TiffFile(self._handle, is_ome=False if alone else None)
                # Also closes the other files of its set.
                opened.callback(self._file.close)
                check_chain(self._handle)
                if self._file.is_ome:
                    _check_set(path, self._file.ome_metadata)
                self._series = self._file.series[0]
                self._find_slices()
                self._check_pixels()
                self._check_whole()
                self.voxel = voxel_of(self._file)
                self.no_data = no_data_of(self._file)
            self._opened = opened.pop_all()
        self.dtype = self._series.dtype.newbyteorder("=")
        self._recent: LRUCache[tuple[int, int], npt.NDArray[Any]] = LRUCache(
            RECENT_BYTES, getsizeof=lambda segment: segment.nbytes
        )
        self._member: tuple[str, BufferedReader] | None = None

    def _find_slices(self) -> None:
        """Find the slices: in one series of pages, page by page, or in the files of a set."""
        series, path = self._series, self.path
        single = single_pages(self._file.series)
        if len(self._file.series) > 1 and single is None:
            sizes = " and ".join(f"{s.shape}, {s.dtype}" for s in self._file.series[:2])
            raise InputError(
                path,
                expected="slices of one size, stored in one way",
                found=f"images of {sizes}",
                remedy=REMEDY,
            )
        slices, height, width = grey_shape(path, series)
        if called_channels(series):
            self.remarks = (f"{path}: {slices} channels, more than ImageJ has, are read as slices",)
        self._pages = pages_of_set(path, series) if series.is_multifile else single
        if single is not None:
            slices = len(single)
        self.shape = (slices, height, width)

    def _check_pixels(self) -> None:
        series, path = self._series, self.path
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
                remedy=GREY,
            )

    def _check_whole(self) -> None:
        """Check that no pixels are missing, and that no strip or tile is too large to decode."""
        series, path = self._series, self.path
        dtype = series.dtype.newbyteorder(self._file.byteorder)
        start = series.dataoffset if self._pages is None else None
        # If all pixels are uncompressed and contiguous, whatever the structure of pages.
        self._run = None if start is None else Run(start, self.shape, dtype)
        if self._run is None:
            self._check_pages()
        present = path.stat().st_size
        if self._run is not None and self._run.end > present:
            raise _cut_off(path, f"{present} of {self._run.end} bytes")

    def _check_pages(self) -> None:
        for page in self._pages or [self._series]:
            self._check_segments(page)
        page = self._series.keyframe
        if self._pages is None and (page.shape, len(self._series.pages)) != (
            self.shape[1:],
            len(self),
        ):
            raise InputError(
                self.path,
                expected="strips or tiles of one slice each",
                found=f"pages of shape {page.shape} for {describe(self.shape)}",
                remedy=REMEDY,
            )

    def _check_segments(self, pages: Any) -> None:
        """Check the sizes of compressed strips and tiles before the first is decoded."""
        layout = pages.keyframe
        size = int(np.prod(layout.chunks, dtype=np.int64)) * pages.dtype.itemsize
        remedy = "save it with smaller ones, or uncompressed"
        check_segment(self.path, size, kind="strips or tiles", remedy=remedy)
        declared = int(np.prod(layout.chunked, dtype=np.int64))
        if len(layout.dataoffsets) < declared:
            raise _cut_off(self.path, f"{len(layout.dataoffsets)} of {declared} strips or tiles")

    def read(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice; strips and tiles outside of it are not read."""
        with _damage_is_an_error(self.path):
            if self._run is None:
                return self._decode(index, box)
            part = self._run.read(self._handle, index, box)
            return part.astype(self.dtype, copy=False)

    @property
    def overhead(self) -> int:
        """Bytes of the largest strip or tile as it is stored, decoded and copied."""
        if self._run is not None:
            return 0
        pages = [page.keyframe for page in self._pages or [self._series]]
        largest = max(int(np.prod(page.chunks, dtype=np.int64)) for page in pages)
        return 3 * largest * self.dtype.itemsize

    def close(self) -> None:
        """Close the file, and the file of its set that was read last."""
        self._opened.close()
        if self._member is not None:
            self._member[1].close()
            self._member = None

    def _handle_of(self, page: Any) -> BufferedReader:
        """Return the open file of a page; in a set, each page has its own file."""
        if page.parent is self._file:
            return self._handle
        path = page.parent.filehandle.path
        if self._member is None or self._member[0] != path:
            if self._member is not None:
                self._member[1].close()
            self._member = path, Path(path).open("rb")  # noqa: SIM115  kept for the next
        return self._member[1]

    def _decode(self, index: int, box: Box) -> npt.NDArray[Any]:
        """Read a part of a slice that is compressed, tiled or in scattered strips."""
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
        """Return a decoded strip or tile, (H, W); recent ones are cached for neighbouring boxes."""
        key = index, number
        if key in self._recent:
            return self._recent[key]
        layout = page.keyframe
        start, size = page.dataoffsets[number], page.databytecounts[number]
        handle = self._handle_of(page)
        if start + size > os.fstat(handle.fileno()).st_size:
            raise ValueError(ENDS_EARLY)
        handle.seek(start)
        stored = handle.read(size)
        jpeg = {"jpegtables": page.jpegtables, "jpegheader": layout.jpegheader}
        decoded, _, shape = layout.decode(
            stored or None,
            number,
            **(jpeg if layout.compression in JPEG else {}),
        )
        if decoded is None:  # a strip that was never written
            decoded = np.full(shape, layout.nodata, self.dtype)
        segment: npt.NDArray[Any] = decoded.reshape(shape)[0, :, :, 0]
        with suppress(ValueError):  # larger than the cache
            self._recent[key] = segment
        return segment


def _check_set(path: Path, xml: str | None) -> None:
    """Check the files of a set before tifffile opens them all."""
    files = set_of(path, xml)
    check_complete(path, files)
    for file in files:
        with file.open("rb") as handle:
            check_chain(handle)
            handle.seek(0)
            # Fails for pages that are missing or invalid: tifffile would leave that file open.
            pages = tifffile.TiffFile(handle, is_ome=False).pages
            pages.set_keyframe(0)
            list(pages)


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
