"""HDF5 files: one dataset, or one of many by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from unetseg.errors import InputError
from unetseg.stacks.opening import files_of, open_volume
from unetseg.stacks.voxel import Voxel

BOX = (slice(17, 65), slice(31, 66))


def write(path: Path, **datasets: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, pixels in datasets.items():
            large = pixels.size > 1000 and pixels.ndim == 3
            settings = {"chunks": (5, 32, 32), "compression": "gzip"} if large else {}
            file.create_dataset(name.replace("__", "/"), data=pixels, **settings)
    return path


@pytest.mark.parametrize("name", ["a.h5", "a.hdf5", "a.mat"])
def test_the_only_stack_needs_no_name(tmp_path: Path, stack: np.ndarray, name: str):
    path = write(tmp_path / name, volumes__raw=stack, names=np.arange(7), x=np.float32(3))
    for given in (path, f"{path}:/volumes/raw", f"{path}:/volumes", path / "volumes/raw"):
        with open_volume(Path(given)) as volume:
            assert volume.path == Path(given)
            assert (volume.shape, volume.dtype) == (stack.shape, stack.dtype)
            np.testing.assert_array_equal(list(volume), stack)
            np.testing.assert_array_equal(volume.part(7, BOX), stack[(7, *BOX)])
        assert files_of(Path(given)) == [path]


def test_several_are_listed(tmp_path: Path, stack: np.ndarray):
    path = write(tmp_path / "a.h5", raw=stack, labels__cells=stack[0])
    with pytest.raises(InputError) as error:
        open_volume(path)
    assert "found 2 (/labels/cells, /raw); name one: " in str(error.value)
    named = str(error.value).split("name one: ")[1]
    with open_volume(Path(named)) as volume:
        np.testing.assert_array_equal(volume[0], stack[0])
    with pytest.raises(InputError, match=r"found none of that name \(/labels/cells, /raw\)"):
        open_volume(Path(f"{path}:/nothing"))
    empty = write(tmp_path / "b.h5", names=np.arange(7))
    with pytest.raises(InputError, match=r"found none; list its contents with h5ls"):
        open_volume(empty)


def test_axes_of_length_1_and_pixels(tmp_path: Path):
    pixels = np.arange(-12, 12, dtype=np.int16).reshape(1, 2, 3, 4, 1)
    with open_volume(write(tmp_path / "a.h5", exported_data=pixels)) as volume:
        assert volume.dtype == np.float32
        np.testing.assert_array_equal(list(volume), pixels[0, ..., 0])
    with pytest.raises(InputError, match="found float64"):
        open_volume(write(tmp_path / "b.h5", raw=np.zeros((2, 3, 4))))
    with pytest.raises(InputError, match=r"an array of shape \(2, 2, 3, 4\)"):
        open_volume(Path(f"{write(tmp_path / 'c.h5', raw=np.zeros((2, 2, 3, 4), 'u1'))}:/raw"))


@pytest.mark.parametrize(
    ("name", "value", "voxel"),
    [
        ("element_size_um", [0.05, 0.004, 0.004], Voxel(50, 4, 4)),
        ("resolution", [40.0, 4.0, 4.0], Voxel(40, 4, 4)),
        ("resolution", [0.0, 4.0, 4.0], None),
        ("resolution", "high", None),
    ],
)
def test_the_size_of_a_voxel(
    tmp_path: Path, stack: np.ndarray, name: str, value: object, voxel: Voxel | None
):
    path = write(tmp_path / "a.h5", raw=stack)
    with h5py.File(path, "a") as file:
        file["raw"].attrs[name] = value
    with open_volume(path) as volume:
        assert volume.voxel == voxel


def test_pixels_in_other_files_are_refused(tmp_path: Path, stack: np.ndarray):
    """HDF5 gives zeros where such a file is missing."""
    other = write(tmp_path / "other.h5", raw=stack)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["raw"] = h5py.ExternalLink(other.name, "/raw")
    layout = h5py.VirtualLayout(shape=stack.shape, dtype=stack.dtype)
    layout[:] = h5py.VirtualSource("missing.h5", "raw", shape=stack.shape)
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("raw", stack.shape, stack.dtype, external="pixels.bin")
    for name in ("link.h5:/raw", "virtual.h5", "external.h5"):
        with pytest.raises(InputError, match="pixels lie in others"):
            open_volume(tmp_path / name)


def test_chunks_that_would_decode_to_gigabytes_are_refused(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        size = (1000, 1000, 1000)
        file.create_dataset("raw", size, "u1", chunks=size, compression="gzip")
    with pytest.raises(InputError, match="found some of 1000 MB"):
        open_volume(tmp_path / "a.h5")


def test_an_unknown_compression_is_named(tmp_path: Path, stack: np.ndarray):
    path = tmp_path / "a.h5"
    number = 32001  # that of Blosc
    with h5py.File(path, "w") as file:
        settings = {"compression": number, "allow_unknown_filter": True, "chunks": (1, 70, 90)}
        file.create_dataset("raw", stack.shape, stack.dtype, **settings)
    with pytest.raises(InputError, match=r"found number 32001; write the dataset again with comp"):
        open_volume(path)


def test_a_file_that_is_cut_off(tmp_path: Path, stack: np.ndarray):
    path = write(tmp_path / "a.h5", raw=stack)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="damage"), open_volume(path) as volume:
        list(volume)
