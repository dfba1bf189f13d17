"""Read datasets of HDF5 files, given as file.h5:/dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from unetseg.arrays.tiles import Box
from unetseg.errors import InputError, first_of
from unetseg.stacks.location import locate
from unetseg.stacks.sliced import SlicedVolume
from unetseg.stacks.volume import DTYPES
from unetseg.stacks.voxel import Voxel

# Decoded chunks that are kept, because neighbouring parts and slices share them.
RECENT_BYTES = 128 * 2**20

SHOWN = 8  # datasets that an error lists

# Attributes in which programs write the size of a voxel (ZYX), and their units: the HDF5 plugin of
# Fiji, and the CREMI challenge.
SIZES = {"element_size_um": "um", "resolution": "nm"}


class Hdf5Volume(SlicedVolume):
    """A dataset of an HDF5 file.

    Parameters
    ----------
    path : Path
        file.h5:/dataset, or the file alone where only one dataset in it can be a stack.
    dtypes : tuple of str
        Allowed pixel types. Others are read as one of them that holds the same numbers.

    Raises
    ------
    InputError
        If the file is damaged, there is no such dataset, or several and none is named, or it has
        several channels, other pixels, or pixels that lie in other files.
    """

    kind = "an HDF5 file"

    def __init__(self, path: Path, *, dtypes: tuple[str, ...] = DTYPES) -> None:
        self.path = path
        file, inside = locate(path)
        with self._damage_is_an_error():
            # Only writers need locks, and not every file system has them.
            self._file = h5py.File(file, "r", rdcc_nbytes=RECENT_BYTES, locking="best-effort")
        try:
            with self._damage_is_an_error():
                dataset = self._find(file, inside)
                self._check_place(dataset, file)
                self._describe(dataset.shape, dataset.dtype, dtypes, chunks=dataset.chunks)
                self._check_filters(dataset)
                self.voxel = _voxel(dataset)
        except BaseException:
            self._file.close()
            raise
        self._dataset = dataset

    def _find(self, file: Path, inside: str) -> Any:
        found = self._file.get(inside) if inside else self._file
        if isinstance(found, h5py.Dataset):
            return found
        names = [] if found is None else _stacks_in(found)
        if len(names) == 1:
            return self._file[names[0]]
        listed = names or _stacks_in(self._file)
        shown = first_of(listed, most=SHOWN)
        raise InputError(
            self.path,
            expected="a dataset of two or three axes",
            found=("none of that name" if found is None else f"{len(names) or 'none'}")
            + (f" ({shown})" if listed else ""),
            remedy=f"name one: {file}:{listed[0]}" if listed else "list its contents with h5ls -r",
        )

    def _check_place(self, dataset: Any, file: Path) -> None:
        """Refuse pixels in other files, because HDF5 silently returns zeros for missing ones."""
        elsewhere = Path(dataset.file.filename) != file
        if elsewhere or dataset.is_virtual or dataset.external:
            raise InputError(
                self.path,
                expected="a dataset with its pixels in this file",
                found="one whose pixels lie in others",
                remedy="copy it into one (in Python: new.create_dataset(name, data=old[...]))",
            )

    def _check_filters(self, dataset: Any) -> None:
        """Raise an InputError for a compression that is missing, before the first slice is read."""
        filters = dataset.id.get_create_plist()
        for number in range(filters.get_nfilters()):
            code, _, _, name = filters.get_filter(number)
            if not h5py.h5z.filter_avail(code):
                raise InputError(
                    self.path,
                    expected="a compression that h5py knows",
                    found=(name.decode(errors="replace") or f"number {code}").splitlines()[0],
                    remedy="write the dataset again with compression='gzip'",
                )

    def _part(self, index: int, box: Box) -> Any:
        return self._dataset[self._place(index, box)]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _stacks_in(group: Any) -> list[str]:
    """Full names of the datasets that may be stacks."""
    names: list[str] = []

    def look(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "buif":
            axes = sum(size > 1 for size in item.shape or ())
            if axes in (2, 3) and len(item.shape) >= 2:
                names.append(item.name)

    group.visititems(look)
    return names


def _voxel(dataset: Any) -> Voxel | None:
    """Return the size of a voxel that the attributes declare."""
    for name, unit in SIZES.items():
        edges = np.ravel(dataset.attrs.get(name, ()))
        if len(edges) == 3:
            return Voxel.of(tuple(edges), (unit,) * 3)
    return None
