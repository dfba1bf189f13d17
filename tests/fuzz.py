"""Let a coverage-guided fuzzer look for files that break the readers.

    make fuzz    (or: python tests/fuzz.py tiff -max_total_time=480)

Needs atheris (pip install atheris). The first argument names a reader, all others are libFuzzer's.
A find is left as crash-*, which is what a test is made of.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris
import h5py
import mrcfile
import numpy as np
import zarr
from PIL import Image

with atheris.instrument_imports(include=["tifffile", "unetseg"]):
    import tifffile

    from unetseg.artifacts.manifest import Manifest, open_stage
    from unetseg.errors import InputError
    from unetseg.stacks.npy import open_npy
    from unetseg.stacks.opening import open_volume

STACK = np.random.default_rng(0).integers(256, size=(3, 20, 30)).astype(np.uint8)
SEEDS = (
    {"shaped": True},
    {"imagej": True, "metadata": {"axes": "ZYX"}},
    {"ome": True, "metadata": {"axes": "ZYX"}},
    {"metadata": None},
    {"compression": "zlib", "predictor": True, "rowsperstrip": 7},
    {"compression": "packbits"},
    {"compression": "jpeg"},
    {"tile": (16, 16), "compression": "lzw"},
    {"bigtiff": True, "byteorder": ">"},
)
MEMORY = 2048  # megabytes
SECONDS = 10
SLICES = 5  # that are decoded of each file
EDGE = 1000  # pixels of a slice


def read_tiff(path: Path) -> None:
    """A stack, of which some slices are decoded."""
    with open_volume(path) as volume:
        for index in range(min(SLICES, len(volume))):
            if volume[index].shape != volume.shape[1:]:
                raise AssertionError(volume.shape)


def read_volume(path: Path) -> None:
    """A part of a few slices, of a stack that may say that it is of any size."""
    with open_volume(path) as volume:
        for index in range(min(SLICES, len(volume))):
            box = tuple(slice(0, min(size, EDGE)) for size in volume.shape[1:])
            if volume.read(index, box).shape != tuple(side.stop for side in box):
                raise AssertionError(volume.shape)


def read_npy(path: Path) -> None:
    """An array of three axes."""
    array = open_npy(path, dtype=np.uint8)
    if array.nbytes > path.stat().st_size:
        raise AssertionError(array.shape)


def read_manifest(path: Path) -> None:
    """A manifest, and the folder that it says is complete."""
    Manifest.read(path)
    open_stage(path.parent, stage="augment", fresh=True)


def seed_tiff(folder: Path) -> None:
    """A small stack in every layout."""
    for number, layout in enumerate(SEEDS):
        settings = {key: value for key, value in layout.items() if key != "shaped"}
        tifffile.imwrite(folder / str(number), STACK, photometric="minisblack", **settings)


def seed_npy(folder: Path) -> None:
    """One array."""
    with (folder / "0").open("wb") as file:
        np.save(file, STACK)


def seed_hdf5(folder: Path) -> None:
    """A dataset as it is, packed, and in the newer layout of files."""
    packed = {"compression": "gzip", "shuffle": True, "chunks": (1, 16, 16)}
    for number, (libver, settings) in enumerate(
        [("earliest", {}), ("earliest", packed), ("latest", packed)]
    ):
        with h5py.File(folder / str(number), "w", libver=libver) as file:
            file.create_dataset("raw", data=STACK, **settings)


def seed_mrc(folder: Path) -> None:
    """Signed and unsigned pixels."""
    for number, kind in enumerate(("int16", "uint16", "float32")):
        with mrcfile.new(folder / str(number), STACK.astype(kind)):
            pass


def seed_png(folder: Path) -> None:
    """A slice of 8 bits, and one of 16."""
    for number, kind in enumerate(("uint8", "uint16")):
        with (folder / str(number)).open("wb") as file:
            Image.fromarray(STACK[0].astype(kind)).save(file, "PNG")


def seed_zip(folder: Path) -> None:
    """A zipped Zarr of either version; not compressed, so that chunks can be reached."""
    for number, version in enumerate((2, 3)):
        with zarr.storage.ZipStore(folder / str(number), mode="w") as store:
            chunks = {"shape": STACK.shape, "chunks": (1, 16, 16), "dtype": STACK.dtype}
            zarr.create_array(store, zarr_format=version, **chunks)[:] = STACK


def seed_manifest(folder: Path) -> None:
    """One manifest."""
    from unetseg.artifacts.manifest import Output, Source

    manifest = Manifest(
        "augment", "0", {"a": 1}, [Source("x", 1, "0")], [Output("y", 1, "0", (1, 2, 3))], {}
    )
    (folder / "0").write_text(manifest.to_json())


READERS: dict[str, tuple[str, Callable[[Path], None], Callable[[Path], None]]] = {
    "tiff": ("a.tif", read_tiff, seed_tiff),
    "npy": ("a.npy", read_npy, seed_npy),
    "hdf5": ("a.h5", read_volume, seed_hdf5),
    "mrc": ("a.mrc", read_volume, seed_mrc),
    "png": ("a.png", read_volume, seed_png),
    "zip": ("a.zarr.zip", read_volume, seed_zip),
    "manifest": ("manifest.json", read_manifest, seed_manifest),
}


def fuzz(work: Path, reader: str, options: list[str]) -> None:
    """Fuzz one reader, with files in `work`; does not return."""
    name, read, seed = READERS[reader]
    corpus = work / "corpus"
    corpus.mkdir()
    seed(corpus)
    path = work / name

    def once(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(InputError):
            read(path)

    warnings.simplefilter("ignore")
    limits = [f"-rss_limit_mb={MEMORY}", f"-timeout={SECONDS}", "-max_len=20000"]
    atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], once)
    atheris.Fuzz()


def main() -> None:
    """Fuzz the reader that is asked for."""
    # Shared memory, where there is some: the disk has better to do.
    ram = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=ram if ram.is_dir() else None) as work:
        # The fuzzer ends its process on the spot: in one of its own, so that the folder is removed.
        fuzzer = os.fork()
        if fuzzer == 0:
            fuzz(Path(work), sys.argv[1], sys.argv[2:])
        status = os.waitpid(fuzzer, 0)[1]
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
