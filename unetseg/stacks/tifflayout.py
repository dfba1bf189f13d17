"""The structure of a TIFF: which pages are slices, and what their axes are."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

import tifffile

from unetseg.errors import InputError
from unetseg.stacks.voxel import Voxel

BIGTIFF = 43  # version number in the header of that layout
REMEDY = "save it from Fiji as a single-channel TIFF stack"

GREY = "convert it in Fiji (Image > Type > 8-bit)"

# ImageJ shows at most this many channels: more of them are slices that were declared wrongly.
IMAGEJ_CHANNELS = 7
AS_SLICES = (
    "in Fiji: Image > Properties; in Python: "
    "tifffile.imwrite(path, stack, photometric='minisblack', metadata={'axes': 'ZYX'})"
)


def grey_shape(path: Path, series: tifffile.TiffPageSeries) -> tuple[int, int, int]:
    """Find slices, rows and columns; axes of length 1 may be anywhere.

    Parameters
    ----------
    path : Path
        Of the file, for errors.
    series : tifffile.TiffPageSeries

    Returns
    -------
    (Z, Y, X)

    Raises
    ------
    InputError
        If there are several channels, other axes, or no pixels.
    """
    kept = [
        (axis, int(size))
        for axis, size in zip(series.axes, series.shape, strict=True)
        if size != 1 or axis in "ZYX"
    ]
    letters = "".join(axis for axis, _ in kept)
    sizes = [size for _, size in kept]
    found = f"{series.axes} of shape {series.shape}"
    colours = letters.replace("Y", "").replace("X", "")
    if called_channels(series):
        return sizes[0], sizes[1], sizes[2]
    if "S" in colours or "C" in colours:
        kind, remedy = ("colours", GREY) if "S" in colours else ("several channels", REMEDY)
        raise InputError(
            path,
            expected="one channel",
            found=f"{kind} ({found})",
            remedy=f"{remedy}, or, if these are slices, say so ({AS_SLICES})",
        )
    if len(colours) > 1 or not letters.endswith("YX") or 0 in sizes:
        raise InputError(path, expected="a stack of slices (ZYX)", found=found, remedy=REMEDY)
    if colours in ("I", "Q") and sizes[-1] == 1:
        raise InputError(
            path,
            expected="slices wider than one pixel",
            found=f"{sizes[0]} of {sizes[1]} x 1, which look like rows of one slice or more",
            remedy="save them without that last axis (in Python: stack[..., 0])",
        )
    slices, height, width = ([1, *sizes])[-3:]
    return slices, height, width


def called_channels(series: tifffile.TiffPageSeries) -> bool:
    """Whether slices are declared as channels, as by tifffile's imagej=True without axes."""
    channels: int = series.shape[0]
    return bool(series.kind == "imagej" and series.axes == "CYX" and channels > IMAGEJ_CHANNELS)


def single_pages(series: Sequence[tifffile.TiffPageSeries]) -> list[Any] | None:
    """Return the pages of a stack written page by page, which tifffile takes for several stacks.

    None if they differ in size or type, or are grouped in some other way.
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


def pages_of_set(path: Path, series: tifffile.TiffPageSeries) -> list[Any]:
    """Return the pages of a set of files; each page refers to its own file.

    Raises
    ------
    InputError
        If one is missing, or they differ in size or type of pixel.
    """
    pages: list[Any] = list(series.pages)
    if None in pages:
        raise InputError(
            path,
            expected=f"{len(pages)} slices in the files of its set",
            found=f"none for slice {pages.index(None)}",
            remedy="write the set again",
        )
    layouts = [page.keyframe for page in pages]
    alike = {(layout.shape, layout.dtype, layout.axes, layout.photometric) for layout in layouts}
    if len(alike) > 1 or layouts[0].axes != "YX":
        sizes = " and ".join(sorted(f"{shape}, {dtype}" for shape, dtype, *_ in alike)[:2])
        raise InputError(
            path,
            expected="slices of one size and type of pixel in the files of its set",
            found=f"{sizes} ({layouts[0].axes})",
            remedy=REMEDY,
        )
    return pages


def check_chain(file: IO[bytes]) -> None:
    """Raise a ValueError if the chain of pages, each of which points to the next, has a cycle.

    tifffile notices some cycles, and follows the others for ever.
    """
    file.seek(0)
    order = {b"II": "<", b"MM": ">"}[file.read(2)]

    def number(kind: str) -> int:
        # Beyond the end of the file there is no next page; missing data is detected elsewhere.
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


def voxel_of(file: tifffile.TiffFile) -> Voxel | None:
    """Return the size of a voxel in ImageJ's or OME's metadata.

    Resolution without them is ignored: it is mostly meant for a printer, and lacks the Z axis.
    """
    if file.is_imagej:
        metadata = file.imagej_metadata or {}
        # Pixels per unit. As in ImageJ, a missing distance between slices is 1.
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


def no_data_of(file: tifffile.TiffFile) -> float | None:
    """Return the value for no data in GDAL's tag; None for NaN, which needs no declaration."""
    tag = file.pages.first.tags.get("GDAL_NODATA")
    try:
        value = float(str(tag.value).strip("\0 ")) if tag is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
