"""Read MRC files, the usual format of electron tomograms: .mrc, .rec, .st and .map."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError, UnetsegError
from unetseg.stacks.rawpixels import Run
from unetseg.stacks.sliced import SlicedVolume
from unetseg.stacks.volume import DTYPES
from unetseg.stacks.voxel import Voxel

HEADER = 1024  # bytes
STAMP, LITTLE_ENDIAN = 212, 0x44  # position of the byte order, and its value for little-endian
IMOD_STAMP = 1146047817  # "IMOD", in a part of the header that the format leaves to programs
IMOD_SIGNED = 1  # the bit for signed bytes in the flags that follow it
LARGEST_SIGNED = 127


def _import_mrcfile() -> Any:
    """Import mrcfile, which is needed only for this format."""
    try:
        import mrcfile
    except ImportError as error:
        raise UnetsegError(
            "MRC files: expected the package mrcfile, found none; pip install 'unetseg[mrc]'"
        ) from error
    return mrcfile


class MrcVolume(SlicedVolume):
    """A stack or tomogram in an MRC file.

    Parameters
    ----------
    path : Path
    dtypes : tuple of str
        Allowed pixel types. Signed ones, of 8 and 16 bits, are read as float32, which holds
        the same numbers.

    Raises
    ------
    InputError
        If it is damaged or cut off, or holds complex or other pixels.
    UnetsegError
        If the package mrcfile is missing.
    """

    kind = "an MRC file"

    def __init__(self, path: Path, *, dtypes: tuple[str, ...] = DTYPES) -> None:
        self.path = path
        mrcfile = _import_mrcfile()
        self._check_size(_second_header(path))
        with self._damage_is_an_error(), warnings.catch_warnings():
            warnings.simplefilter("error")
            with mrcfile.open(path, header_only=True) as file:
                header = file.header
                shape = mrcfile.utils.data_shape_from_header(header)
                stored = _stored(header, mrcfile.utils.data_dtype_from_header(header))
                start = HEADER + int(header.nsymbt)
                self.voxel = _voxel(header)
        self._describe(shape, stored, dtypes)
        self._run = Run(start, self.shape, stored)
        self._check_size(self._run.end if min(shape) > 0 else None)
        self._file = path.open("rb")

    def _check_size(self, end: int | None) -> None:
        """Raise an InputError if the file is shorter than `end`, or `end` is None (no pixels)."""
        present = self.path.stat().st_size
        if end is None or end > present:
            raise InputError(
                self.path,
                expected="a whole MRC file",
                found="no pixels" if end is None else f"{present} of {end} bytes",
                remedy="copy or export the file again",
            )

    def _part(self, index: int, box: Box) -> npt.NDArray[Any]:
        return self._run.read(self._file, index, box)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _second_header(path: Path) -> int | None:
    """Return where the second header ends; mrcfile allocates it before checking that it is there.

    None if its size is negative.
    """
    with path.open("rb") as file:
        head = file.read(HEADER)
    if len(head) < HEADER:
        return HEADER
    order = "<" if head[STAMP] == LITTLE_ENDIAN else ">"
    (size,) = struct.unpack_from(f"{order}i", head, 92)
    return HEADER + size if size >= 0 else None


def _stored(header: Any, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the pixel type; bytes are signed in the format, but older programs used unsigned."""
    if dtype != np.int8:
        return dtype
    order = header.mode.dtype.byteorder
    content = header.tobytes()
    stamp, flags = np.frombuffer(content, np.dtype(np.int32).newbyteorder(order), 2, offset=152)
    by_imod = stamp == IMOD_STAMP and not flags & IMOD_SIGNED
    return np.dtype(np.uint8) if by_imod or header.dmax > LARGEST_SIGNED else dtype


def _voxel(header: Any) -> Voxel | None:
    """Return the size of a voxel: size of the volume in angstrom divided by number of voxels."""
    axes = [int(header[name]) for name in ("mapc", "mapr", "maps")]
    counts = [int(header[name]) for name in ("mz", "my", "mx")]
    if axes not in ([1, 2, 3], [0, 0, 0]) or 0 in counts:
        return None
    lengths = [float(header.cella[name]) for name in "zyx"]
    edges = tuple(length / count for length, count in zip(lengths, counts, strict=True))
    # Programs that know no size write one angstrom.
    return None if edges == (1, 1, 1) else Voxel.of(edges, ("angstrom",) * 3)
