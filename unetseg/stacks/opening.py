"""Which reader opens a path."""

from __future__ import annotations

from pathlib import Path

from unetseg.errors import InputError
from unetseg.manifest import MANIFEST, Manifest, open_stage
from unetseg.stacks.slicefolder import SliceFolder
from unetseg.stacks.tiff import Stack
from unetseg.stacks.volume import LABEL_DTYPES, Volume, is_zarr

# A folder that holds one of these is a folder of stacks, not of slices.
STACKS = ("train-volume.tif", "train-labels.tif", "test-volume.tif", "test-labels.tif")


HELD_OUT_PREDICTION = "held-out-prediction.tif"
"""What `unetseg train` makes of the held-out slices, in the model's folder."""


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


def find_prediction(path: Path) -> Path:
    """The prediction itself: `path`, or what `unetseg predict` or `unetseg train` left there.

    Raises
    ------
    InputError
        If it is a folder in which they did not finish, or whose inputs have changed since.
    """
    known = (path / MANIFEST).is_file()
    if not known and (path.exists() or path.suffix):
        return path
    if known and Manifest.read(path / MANIFEST).stage == "train":
        return find_held_out(path)
    manifest = open_stage(path, stage="predict", fresh=True)
    return path / manifest.outputs[0].name


def find_held_out(folder: Path) -> Path:
    """The prediction of held-out slices, in a folder of `unetseg train`.

    Raises
    ------
    InputError
        If it did not finish, or held no slices out.
    """
    manifest = open_stage(folder, stage="train", fresh=False)
    if not manifest.details["held_out"]:
        raise InputError(
            folder,
            expected="a model with held-out slices",
            found="one trained on all of them",
            remedy="give --prediction the results of unetseg predict",
        )
    return folder / HELD_OUT_PREDICTION


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
