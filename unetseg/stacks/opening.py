"""Which reader opens a path."""

from __future__ import annotations

from pathlib import Path

from unetseg.errors import InputError
from unetseg.stacks.slicefolder import SliceFolder
from unetseg.stacks.tiff import Stack
from unetseg.stacks.volume import LABEL_DTYPES, Volume, is_zarr

# A folder that holds one of these is a folder of stacks, not of slices.
STACKS = ("train-volume.tif", "train-labels.tif", "test-volume.tif", "test-labels.tif")


def open_volume(path: Path) -> Volume:
    """Open a stack of slices in whatever form it is stored.

    Parameters
    ----------
    path : Path
        A TIFF, BigTIFF or OME-TIFF file, an OME-Zarr, or a folder of slices (TIFF or PNG, one
        each, in natural order).

    Raises
    ------
    InputError
        If it is none of these, or is damaged.
    """
    if is_zarr(path):
        from unetseg.stacks.omezarr import ZarrVolume

        return ZarrVolume(path)
    return SliceFolder(path) if path.is_dir() else Stack(path)


def open_labels(path: Path) -> Volume:
    """Open a stack of labels, in which there may be more cells than 16 bits count."""
    return Stack(path, dtypes=LABEL_DTYPES) if path.is_file() else open_volume(path)


def find_stack(path: Path, name: str) -> Path:
    """The stack itself: `path`, or the file of that name in a folder of stacks.

    Raises
    ------
    InputError
        If it is a folder of something else.
    """
    if not path.is_dir() or is_zarr(path):
        return path
    if any((path / stack).exists() for stack in STACKS):
        return path / name
    if SliceFolder.slices_in(path):
        return path
    raise InputError(
        path,
        expected=f"{name} or slices (TIFF or PNG) in this folder",
        found="neither",
        remedy="name the stack itself, or the folder of its slices",
    )
