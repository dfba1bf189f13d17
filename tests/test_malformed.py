"""Damaged stacks: one line, or a correct reading; never a traceback, a hang, or another stack."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unetseg.errors import InputError
from unetseg.formats import open_volume
from unetseg.manifest import Manifest
from unetseg.npy import open_npy

SECONDS = 10
STACK = np.random.default_rng(0).integers(256, size=(4, 20, 30)).astype(np.uint8)
LAYOUTS = {
    "shaped": {},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "plain": {"metadata": None},
    "deflate": {"compression": "zlib", "predictor": True, "rowsperstrip": 7},
    "tiles": {"tile": (16, 16), "compression": "lzw"},
    "big": {"bigtiff": True, "compression": "zlib"},
    "motorola": {"byteorder": ">"},
}
# Those that say themselves how many slices they hold.
DECLARED = {"shaped", "imagej", "ome", "deflate", "tiles", "big", "motorola"}
VALUES = (0, 1, 2, 3, 7, 8, 16, 255, 2**16 - 1, 2**31, 2**32 - 1)


def read_all(path: Path) -> np.ndarray | None:
    """The stack, or None where it is refused with one line."""
    start = time.monotonic()
    try:
        with open_volume(path) as volume:
            pixels = np.stack(list(volume))
            assert pixels.shape == volume.shape
            assert pixels.dtype == volume.dtype
            return pixels
    except InputError as error:
        check_line(error)
        return None
    finally:
        assert time.monotonic() - start < SECONDS


def check_line(error: InputError) -> None:
    """It is one, and says what to do."""
    assert "\n" not in str(error)
    assert "; " in str(error)


def fields(path: Path) -> list[tuple[int, int]]:
    """Place and size of every number in a TIFF's structure: header, counts, tags, offsets."""
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        big = file.is_bigtiff
        order = file.byteorder
        pages = [page.offset for page in file.pages]
    places = [(0, 2), (2, 2), (8 if big else 4, 8 if big else 4)]
    count_size, entry_size, value = (8, 20, 12) if big else (2, 12, 8)
    for page in pages:
        (entries,) = struct.unpack_from(order + ("Q" if big else "H"), content, page)
        places.append((page, count_size))
        for number in range(entries):
            entry = page + count_size + number * entry_size
            places += [
                (entry, 2),
                (entry + 2, 2),
                (entry + 4, value - 4),
                (entry + value, entry_size - value),
            ]
        places.append((page + count_size + entries * entry_size, 8 if big else 4))
    return places


def mutations(path: Path) -> Iterator[bytes]:
    """The file with one number after another replaced by those that break readers."""
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    order = "big" if whole[:2] == b"MM" else "little"
    for place, size in fields(path):
        for value in rng.choice(VALUES, 3, replace=False):
            changed = bytearray(whole)
            changed[place : place + size] = (int(value) % 256**size).to_bytes(size, order)
            yield bytes(changed)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_field_of_the_structure(tmp_path: Path, layout: str):
    good = tmp_path / "good.tif"
    tifffile.imwrite(good, STACK, photometric="minisblack", **LAYOUTS[layout])
    bad = tmp_path / "bad.tif"
    refused = tried = 0
    for tried, content in enumerate(mutations(good), start=1):
        bad.write_bytes(content)
        pixels = read_all(bad)
        refused += pixels is None
        if pixels is not None and layout in DECLARED:
            assert len(pixels) == len(STACK), f"mutation {tried}"
    assert tried > 100
    assert refused > 50


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_hundredth_of_the_length(tmp_path: Path, layout: str):
    good = tmp_path / "good.tif"
    tifffile.imwrite(good, STACK, photometric="minisblack", **LAYOUTS[layout])
    whole = good.read_bytes()
    for percent in range(100):
        (tmp_path / "bad.tif").write_bytes(whole[: len(whole) * percent // 100])
        pixels = read_all(tmp_path / "bad.tif")
        # What is cut off at the very end may be padding that no reader needs.
        assert pixels is None or np.array_equal(pixels, STACK)


def test_npy(tmp_path: Path):
    np.save(tmp_path / "good.npy", STACK)
    whole = (tmp_path / "good.npy").read_bytes()
    rng = np.random.default_rng(0)
    for number in range(500):
        changed = bytearray(whole)
        for place in rng.integers(128, size=rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        if number % 5 == 0:
            changed = changed[: rng.integers(len(whole))]
        (tmp_path / "bad.npy").write_bytes(changed)
        try:
            array = open_npy(tmp_path / "bad.npy", dtype=np.uint8)
            assert array.ndim == 3
            assert array.nbytes <= len(whole)
        except InputError as error:
            check_line(error)


def test_an_npy_that_would_run_code(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        open_npy(tmp_path / "a.npy", dtype=np.uint8)


def test_manifests(tmp_path: Path, model: Path):
    text = (model / "manifest.json").read_text()
    raw = json.loads(text)
    variants: list[object] = [text[: len(text) * k // 50] for k in range(50)]
    for key in raw:
        for value in (None, 7, [], {}, "x", [1], [{"name": "../x"}]):
            variants.append(json.dumps({**raw, key: value}))
    variants += ["[]", "null", "7", "{}", '{"stage": ' + "[" * 100_000, "\x00", "\ud800"]
    for variant in variants:
        path = tmp_path / "manifest.json"
        path.write_bytes(str(variant).encode(errors="surrogatepass"))
        try:
            manifest = Manifest.read(path)
            assert isinstance(manifest.options, dict)
        except InputError as error:
            check_line(error)
