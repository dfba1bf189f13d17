"""Write stacks of slices as TIFF files that Fiji opens; `tiff` reads them."""

from __future__ import annotations

import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from unetseg.stacks.files import Closing
from unetseg.stacks.slicewriter import SliceWriter
from unetseg.stacks.voxel import Voxel

# ImageJ counts bytes with 32 bits: larger stacks are OME-TIFF in the BigTIFF layout.
IMAGEJ_LIMIT = 2**32 - 2**20

STRIP = 64  # rows that are compressed together


def label_dtype(highest: int) -> npt.DTypeLike:
    """Return the pixel type for cell numbers up to `highest`: ImageJ's uint16 if it suffices."""
    return np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32


def _label_colours() -> npt.NDArray[np.uint8]:
    """Return a table of 256 colours, (3, 256): black for 0 (no cell), then random bright ones."""
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
    """Create a ZYX stack that Fiji opens, to append its slices.

    An uncompressed ImageJ TIFF, or OME-TIFF if the name ends in .ome.tif, pixels are uint32, or
    ImageJ's 4 GB do not suffice (then in the BigTIFF layout).

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
    if ome:  # tifffile's is random: equal stacks would not be equal files
        metadata["UUID"] = uuid.uuid5(uuid.NAMESPACE_OID, f"{path.name} {shape} {dtype}").urn
    if voxel is not None:
        metadata |= _physical_sizes(voxel) if ome else {"spacing": voxel.z, "unit": "nm"}
    # In slices of width 1 tifffile would take the columns for channels.
    narrow = shape[2] == 1 and not ome
    if narrow:
        metadata["axes"] = "ZYXS"
    # Without data tifffile writes all headers and leaves a gap for the pixels.
    place = tifffile.imwrite(
        path,
        shape=(*shape, 1) if narrow else shape,
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


class LabelsWriter(Closing):
    """Write labels of three values as a compressed ImageJ TIFF, a twentieth of their size.

    Parameters
    ----------
    path : Path
        An existing file is overwritten.
    shape : (Z, Y, X)
        Of uint8.
    """

    def __init__(self, path: Path, *, shape: tuple[int, int, int]) -> None:
        self._shape = shape
        self._appended = 0
        # Describes all slices, and goes with the first, as tifffile does if given all at once.
        self._description: str | None = tifffile.imagej_description(shape, axes="ZYX")
        # Three values compress to at most two of their eight bits.
        large = int(np.prod(shape, dtype=np.int64)) // 4 > IMAGEJ_LIMIT
        self._file = tifffile.TiffWriter(path, bigtiff=large)

    def append(self, image: npt.NDArray[Any]) -> None:
        """Write the next slice, (Y, X)."""
        if image.shape != self._shape[1:] or self._appended == self._shape[0]:
            raise ValueError(f"{image.shape} after {self._appended} slices of {self._shape}")
        self._file.write(
            image.astype(np.uint8, copy=False),
            photometric="minisblack",
            compression="zlib",
            rowsperstrip=STRIP,
            description=self._description,
            metadata=None,
            software=False,
            contiguous=False,
        )
        self._appended, self._description = self._appended + 1, None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, tb)
        if kind is None and self._appended != self._shape[0]:
            raise ValueError(f"{self._appended} of {self._shape[0]} slices were written")


def _physical_sizes(voxel: Voxel) -> dict[str, Any]:
    """Return the size of a voxel as attributes of OME-XML."""
    sizes: dict[str, Any] = {}
    for axis, edge in zip("ZYX", voxel.edges, strict=True):
        sizes |= {f"PhysicalSize{axis}": edge, f"PhysicalSize{axis}Unit": "nm"}
    return sizes
