"""Find the reader for a path, and the files on disk that it reads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from unetseg.errors import InputError, first_of
from unetseg.stacks import kinds, omeset
from unetseg.stacks.files import files_under
from unetseg.stacks.location import locate
from unetseg.stacks.micrographs import Micrographs
from unetseg.stacks.slicefolder import SliceFolder, images_not_read, look_into
from unetseg.stacks.tiff import Stack
from unetseg.stacks.volume import DTYPES, LABEL_DTYPES, Volume, is_zarr

# A folder that holds one of these is a folder of stacks, not of slices.
STACKS = ("train-volume.tif", "train-labels.tif", "test-volume.tif", "test-labels.tif")


def open_volume(path: Path, *, dtypes: tuple[str, ...] = DTYPES) -> Volume:
    """Open a stack of slices in any supported format.

    Parameters
    ----------
    path : Path
        A TIFF, BigTIFF or OME-TIFF file; .npy; HDF5 (file.h5, or file.h5:/dataset where there are
        several); MRC; a Zarr or OME-Zarr, zipped or not, or an image or array in it; a PNG; or a
        folder of slices (TIFF or PNG, one each, in natural order), which are separate micrographs
        where their sizes differ.
    dtypes : tuple of str
        Allowed pixel types.

    Returns
    -------
    Volume
        (Z, Y, X), of one of `dtypes`.

    Raises
    ------
    InputError
        If it is none of these, or is damaged.
    UnetsegError
        If the package that reads it is missing.
    """
    file, inside = locate(path)
    if is_zarr(file) or any(is_zarr(parent) for parent in file.parents if not file.exists()):
        from unetseg.stacks.zarrvolume import ZarrVolume

        return ZarrVolume(path, dtypes=dtypes)
    if file.is_dir() and not inside:
        return _open_folder(file, dtypes)
    if not file.is_file() or file.stat().st_size == 0:
        return Stack(path, dtypes=dtypes)  # which raises the error
    kind = kinds.kind_of(file)
    if kind == kinds.ZIP:
        from unetseg.stacks.zarrvolume import ZarrVolume

        return ZarrVolume(path, dtypes=dtypes)
    if kind == kinds.HDF5:
        from unetseg.stacks.hdf5 import Hdf5Volume

        return Hdf5Volume(path, dtypes=dtypes)
    if inside:
        raise InputError(
            file,
            expected="an HDF5 file or a Zarr, which have paths inside",
            found=f"another file, and {inside} after its name",
            remedy="give the file alone",
        )
    return _open_file(file, kind, dtypes)


def _open_file(file: Path, kind: str | None, dtypes: tuple[str, ...]) -> Volume:
    """Open a file that holds one stack."""
    if kind == kinds.NPY:
        from unetseg.stacks.npy import NpyVolume

        return NpyVolume(file, dtypes=dtypes)
    if kind == kinds.MRC:
        from unetseg.stacks.mrc import MrcVolume

        return MrcVolume(file, dtypes=dtypes)
    if kind == kinds.PNG:
        from unetseg.stacks.png import PngSlice

        return PngSlice(file)
    return Stack(file, dtypes=dtypes)


def _open_folder(folder: Path, dtypes: tuple[str, ...]) -> Volume:
    """Open a folder of slices; files of one OME-TIFF set are in the order that the set says."""
    slices = SliceFolder.slices_in(folder)
    members = omeset.members(slices[0]) if slices else []
    if len(members) > 1 and set(members) == set(slices):
        stack = Stack(slices[0], dtypes=dtypes)
        stack.path = folder
        return stack
    looks = look_into(folder, dtypes=dtypes)
    # Slices of a stack are of one size: images of different sizes are separate micrographs.
    one_size = len({look.size for look in looks}) == 1
    volume = SliceFolder(folder, looks) if one_size else Micrographs(folder, looks)
    missing = [file.name for file in members if not file.is_file()]
    if missing:
        volume.remarks += (
            f"{folder}: {slices[0].name} is one of a set of {len(members)} files, of which "
            f"{len(missing)} are not there ({first_of(missing, most=1)})",
        )
    return volume


def open_numbers(path: Path) -> Volume:
    """Open a stack that may hold cell numbers, which may need more than 16 bits."""
    return open_volume(path, dtypes=LABEL_DTYPES)


def files_of(path: Path) -> list[Path]:
    """Return the files on disk that hold the stack at a path, as `names_of` does."""
    folder, names = names_of(path)
    return [folder / name for name in names]


def names_of(path: Path) -> tuple[Path, Iterable[str]]:
    """Return the folder and the names of the files on disk that hold the stack at a path.

    Parameters
    ----------
    path : Path
        Of a stack in any form, or of any file or folder.

    Returns
    -------
    folder : Path
    names : iterable of str
        Relative to the folder, with slashes, sorted by their parts: a file itself and the other
        files of its set of OME-TIFFs; the slices of a folder of slices; all files of any other
        folder. Empty if nothing is there.
    """
    file, inside = locate(path)
    if file.is_file():
        tiff = file.suffix.lower() in (".tif", ".tiff")
        members = [f for f in omeset.members(file) if f.is_file()] if tiff else [file]
        return file.parent, [os.path.relpath(f, file.parent) for f in sorted(members)]
    folder = file / inside
    if not folder.is_dir():
        return folder, []
    # Files that the system or other programs leave beside the slices are ignored.
    slices = [] if is_zarr(folder) else SliceFolder.slices_in(folder)
    return folder, sorted(file.name for file in slices) or files_under(folder)


def find_stack(path: Path, name: str) -> Path:
    """Return the path of a stack: `path`, or the file `name` in it if it is a folder of stacks.

    Raises
    ------
    InputError
        If it is a folder that holds neither stacks nor slices.
    """
    if not path.is_dir() or is_zarr(path):
        return path
    if any((path / stack).exists() for stack in STACKS):
        return path / name
    if SliceFolder.slices_in(path):
        return path
    others = images_not_read(path)
    raise InputError(
        path,
        expected=f"{name} or slices (TIFF or PNG) in this folder",
        found=f"images of other kinds ({others[0].name})" if others else "neither",
        remedy="convert them in Fiji (Process > Batch > Convert)"
        if others
        else "name the stack itself, or the folder of its slices",
    )
