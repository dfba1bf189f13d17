"""Damaged files of every form but TIFF: one line, or a bounded reading; never a traceback."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from damage import cuts, flips, read_some
from PIL import Image

pytestmark = pytest.mark.slow

STACK = np.random.default_rng(0).integers(256, size=(4, 20, 30)).astype(np.uint8)
CHUNKS = (1, 16, 16)
AXES = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
SCALE = {"type": "scale", "scale": [50.0, 4.0, 4.0]}


def write_hdf5(path: Path, **settings: Any) -> None:
    """One dataset; the newer layout of files has checksums of its structure."""
    with h5py.File(path, "w", libver=settings.pop("libver", "earliest")) as file:
        dataset = file.create_dataset("volumes/raw", data=STACK, **settings)
        dataset.attrs["element_size_um"] = [0.05, 0.004, 0.004]


def write_mrc(path: Path) -> None:
    """Signed numbers of 16 bits, with the size of a voxel."""
    with mrcfile.new(path, STACK.astype(np.int16)) as file:
        file.voxel_size = 40


def write_zip(path: Path) -> None:
    """A plain array in a ZIP file."""
    with zarr.storage.ZipStore(path, mode="w") as store:
        add_array(store)


def add_array(store: Any, **settings: Any) -> None:
    """The stack, in chunks."""
    array = zarr.create_array(
        store, shape=STACK.shape, chunks=CHUNKS, dtype=STACK.dtype, **settings
    )
    array[:] = STACK


PACKED = {"compression": "gzip", "shuffle": True, "chunks": CHUNKS}
FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "hdf5": ("a.h5", write_hdf5),
    "hdf5, packed": ("a.h5", lambda path: write_hdf5(path, fletcher32=True, **PACKED)),
    "hdf5, new": ("a.h5", lambda path: write_hdf5(path, libver="latest", **PACKED)),
    "mrc": ("a.mrc", write_mrc),
    "npy": ("a.npy", lambda path: np.save(path, STACK)),
    "png": ("a.png", lambda path: Image.fromarray(STACK[0]).save(path)),
    "zip": ("a.zarr.zip", write_zip),
}


@pytest.mark.parametrize("form", FILES)
def test_bytes_that_were_replaced(tmp_path: Path, form: str):
    name, write = FILES[form]
    write(tmp_path / name)
    assert read_some(tmp_path / name) is not None
    whole = (tmp_path / name).read_bytes()
    refused = 0
    for content in flips(whole, 500, first=1000):
        (tmp_path / name).write_bytes(content)
        refused += read_some(tmp_path / name) is None
    assert refused > 10


@pytest.mark.parametrize("form", FILES)
def test_files_cut_off(tmp_path: Path, form: str):
    name, write = FILES[form]
    write(tmp_path / name)
    expected = read_some(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for content in cuts(whole, 100):
        (tmp_path / name).write_bytes(content)
        pixels = read_some(tmp_path / name)
        # What is cut off at the very end may be no pixels: a PNG ends with a mark of its own.
        assert pixels is None or np.array_equal(pixels, expected)


def write_image(path: Path, version: int) -> None:
    """An OME-Zarr image, of one resolution."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    add_array(group.store_path / "0", zarr_format=version)
    image = {"axes": AXES, "datasets": [{"path": "0", "coordinateTransformations": [SCALE]}]}
    described = {"version": "0.4" if version == 2 else "0.5", "multiscales": [image]}
    group.attrs.update(described if version == 2 else {"ome": described})


def variants(value: Any) -> Iterator[Any]:
    """Metadata with one part after another replaced or missing."""
    yield from (None, 7, -1, 0, 2**40, 1.5, "x", "../x", [], ["x"], [2**40], {})
    if isinstance(value, dict):
        for key, part in value.items():
            yield {name: other for name, other in value.items() if name != key}
            for changed in variants(part):
                yield {**value, key: changed}
    elif isinstance(value, list):
        for place, part in enumerate(value):
            for changed in variants(part):
                yield [*value[:place], changed, *value[place + 1 :]]


@pytest.mark.parametrize(
    ("version", "name"),
    [(2, ".zattrs"), (2, ".zgroup"), (2, "0/.zarray"), (3, "zarr.json"), (3, "0/zarr.json")],
)
def test_metadata_of_zarr(tmp_path: Path, version: int, name: str):
    path = tmp_path / "a.zarr"
    write_image(path, version)
    assert np.array_equal(read_some(path), STACK)
    text = (path / name).read_text()
    refused = 0
    for changed in variants(json.loads(text)):
        (path / name).write_text(json.dumps(changed))
        refused += read_some(path) is None
    for content in cuts(text.encode(), 20):
        (path / name).write_bytes(content)
        refused += read_some(path) is None
    assert refused > 20


@pytest.mark.parametrize("version", [2, 3])
def test_chunks_of_zarr(tmp_path: Path, version: int):
    path = tmp_path / "a.zarr"
    write_image(path, version)
    chunk = path / "0" / ("0.0.0" if version == 2 else "c/0/0/0")
    whole = chunk.read_bytes()
    refused = 0
    for content in [*flips(whole, 200), *cuts(whole, 50)]:
        chunk.write_bytes(content)
        refused += read_some(path) is None
    assert refused > 40
    # Zarr leaves out chunks of nothing but the fill value: what is missing holds that.
    chunk.unlink()
    pixels = read_some(path)
    assert pixels is not None
    assert not pixels[0, :16, :16].any()
    assert np.array_equal(pixels[1:], STACK[1:])


def bomb_hdf5(path: Path) -> None:
    """A dataset of a terabyte that holds nothing, in chunks of 1 GB."""
    with h5py.File(path, "w") as file:
        shape = (2**10, 2**15, 2**15)
        file.create_dataset("raw", shape, "u1", chunks=(1, *shape[1:]), compression="gzip")


def bomb_mrc(path: Path) -> None:
    """A header that says that there are 8 exabytes."""
    write_mrc(path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<3i", content, 0, 2**21 - 1, 2**21 - 1, 2**21 - 1)
    path.write_bytes(content)


def bomb_npy(path: Path) -> None:
    """A header that says that there are 64 TB."""
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (2**14, 2**15, 2**15)}
        np.lib.format.write_array_header_1_0(file, header)


def bomb_png(path: Path) -> None:
    """A header that says that there are 100,000 x 100,000 pixels."""
    Image.fromarray(STACK[0]).save(path)
    content = bytearray(path.read_bytes())
    struct.pack_into(">2I", content, 16, 100_000, 100_000)
    struct.pack_into(">I", content, 29, zlib.crc32(content[12:29]))
    path.write_bytes(content)


def bomb_zip(path: Path) -> None:
    """A chunk of a gigabyte, of one value."""
    with zarr.storage.ZipStore(path, mode="w") as store:
        shape = (1, 2**15, 2**15)
        zarr.create_array(store, shape=shape, chunks=shape, dtype="u1")


BOMBS = {
    "a.h5": bomb_hdf5,
    "a.mrc": bomb_mrc,
    "a.npy": bomb_npy,
    "a.png": bomb_png,
    "a.zarr.zip": bomb_zip,
}


@pytest.mark.parametrize("name", BOMBS)
def test_small_files_that_say_they_are_huge(tmp_path: Path, name: str):
    BOMBS[name](tmp_path / name)
    assert (tmp_path / name).stat().st_size < 20_000
    assert read_some(tmp_path / name) is None


def test_links_of_hdf5_that_go_round_in_a_circle(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/itself"] = h5py.SoftLink("/group")
        file["group/again"] = file["group"]
        file["round"] = h5py.SoftLink("/round")
        file["elsewhere"] = h5py.ExternalLink("a.h5", "/elsewhere")
    for inside in ("", ":/round", ":/group/itself", ":/elsewhere"):
        assert read_some(Path(f"{tmp_path}/a.h5{inside}")) is None


def write_set(folder: Path) -> None:
    """A set of OME-TIFFs, each of which holds one slice and says where all are."""
    folder.mkdir()
    planes = "".join(
        f'<TiffData FirstZ="{i}" IFD="0" PlaneCount="1"><UUID FileName="{i}.ome.tif">urn:{i}</UUID>'
        "</TiffData>"
        for i in range(len(STACK))
    )
    for i, image in enumerate(STACK):
        xml = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:{i}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
            f'Type="uint8" SizeX="30" SizeY="20" SizeZ="4" SizeC="1" SizeT="1">{planes}</Pixels>'
            "</Image></OME>"
        )
        tifffile.imwrite(folder / f"{i}.ome.tif", image, description=xml, metadata=None)


@pytest.mark.parametrize("damaged", ["0.ome.tif", "2.ome.tif"])
@pytest.mark.parametrize("opened", [".", "0.ome.tif"])
def test_sets_of_which_a_file_is_damaged(tmp_path: Path, damaged: str, opened: str):
    write_set(tmp_path / "set")
    assert np.array_equal(read_some(tmp_path / "set" / opened), STACK)
    path = tmp_path / "set" / damaged
    whole = path.read_bytes()
    refused = 0
    for content in [*flips(whole, 150, first=200), *cuts(whole, 50)]:
        path.write_bytes(content)
        refused += read_some(tmp_path / "set" / opened) is None
    assert refused > 30


def test_a_set_that_names_itself_and_others(tmp_path: Path):
    write_set(tmp_path / "set")
    other = tmp_path / "set/1.ome.tif"
    for become in ("folder", "text", "link"):
        other.unlink(missing_ok=True)
        if become == "folder":
            other.mkdir()
        elif become == "text":
            other.write_text("no TIFF")
        else:
            other.symlink_to(other)
        assert read_some(tmp_path / "set/0.ome.tif") is None
        if other.is_dir():
            shutil.rmtree(other)
