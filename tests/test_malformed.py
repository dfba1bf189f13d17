"""Damaged stacks: one line, or a correct reading; never a traceback, a hang, or another stack."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from damage import SECONDS, check_line

from unetseg.artifacts.manifest import Manifest, open_stage
from unetseg.engine.prediction import load_predictor, open_model
from unetseg.errors import InputError
from unetseg.stacks.npy import open_npy
from unetseg.stacks.opening import open_volume

pytestmark = pytest.mark.slow

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


@pytest.mark.parametrize(("last", "next_one"), [(1, 0), (1, 1), (150, 120)])
def test_pages_that_go_round_in_a_circle(tmp_path: Path, last: int, next_one: int):
    path = tmp_path / "circle.tif"
    tifffile.imwrite(path, np.zeros((200, 4, 5), np.uint8), metadata=None, photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        pages = [page.offset for page in file.pages]
    content = bytearray(path.read_bytes())
    (tags,) = struct.unpack_from("<H", content, pages[last])
    struct.pack_into("<I", content, pages[last] + 2 + 12 * tags, pages[next_one])
    path.write_bytes(content)
    assert read_all(path) is None


def test_a_slice_too_large_to_be_read_whole(tmp_path: Path):
    path = tmp_path / "large.tif"
    tifffile.imwrite(path, shape=(1, 40_000, 40_000), dtype=np.uint8, photometric="minisblack")
    assert read_all(path) is None
    with open_volume(path) as volume:
        assert volume.part(0, (slice(39_000, 39_010), slice(0, 10))).shape == (10, 10)


@pytest.mark.parametrize("compression", ["zlib", "zstd", "lzw"])
def test_a_strip_that_decodes_to_a_thousand_times_its_size(tmp_path: Path, compression: str):
    path = tmp_path / "bomb.tif"
    rows = np.zeros((1, 2000, 2000), np.uint8)
    tifffile.imwrite(path, rows, compression=compression, rowsperstrip=2000, metadata=None)
    content = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].tags
        places = [tags[name].valueoffset for name in ("ImageLength", "RowsPerStrip")]
    changed = bytearray(content)
    for place in places:
        struct.pack_into("<I", changed, place, 1_000_000)
    path.write_bytes(changed)
    assert read_all(path) is None


def test_the_broken_files_of_pillow():
    """One asks for 3.5 TiB, one follows a page with itself, one has no rows in a strip."""
    folder = Path(os.environ.get("PILLOW_SOURCE", ""), "Tests", "images")
    if not folder.is_dir():
        pytest.skip("PILLOW_SOURCE does not name the unpacked source of Pillow")
    paths = [path for path in folder.rglob("*.tif*") if path.is_file()]
    assert len(paths) > 90
    assert sum(read_all(path) is None for path in paths) > 60


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


def copies(folder: Path, to: Path) -> Path:
    """A copy of a stage folder, and of the folders that it was made from."""
    shutil.copytree(folder.parent, to, dirs_exist_ok=True)
    return to / folder.name


def variants(value: object) -> Iterator[object]:
    """A value from JSON, with one part of it after another replaced or missing."""
    yield from (None, 7, -1, 2**40, "x", [], ["x"], {}, [{"name": 3}])
    items = value.items() if isinstance(value, dict) else ()
    for key, part in items:
        yield {k: v for k, v in value.items() if k != key}
        for other in variants(part):
            yield {**value, key: other}


@pytest.mark.parametrize("stage", ["augmented", "preprocessed", "model"])
def test_details_of_another_form(tmp_path: Path, model: Path, stage: str):
    folder = copies(model.parent / stage, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    name = manifest["stage"]
    # Parts that no stage reads, and that would take long.
    details = {k: v for k, v in manifest["details"].items() if k not in ("recipes", "recipe")}
    read = refused = 0
    for changed in variants(details):
        if not isinstance(changed, dict):
            continue
        (folder / "manifest.json").write_text(json.dumps({**manifest, "details": changed}))
        try:
            found = (
                open_model(folder)
                if name == "train"
                else open_stage(folder, stage=name, fresh=True)
            ).details
        except InputError as error:
            check_line(error)
            refused += 1
        else:
            numbers = found["sources" if name == "augment" else "held_out"]
            assert all(isinstance(number, int) for number in numbers)
            read += 1
    assert refused >= 10
    assert read or name == "augment"


def test_models_with_damaged_weights(tmp_path: Path, model: Path):
    folder = copies(model, tmp_path)
    network = folder / "model.keras"
    whole = network.read_bytes()
    rng = np.random.default_rng(0)
    manifest = json.loads((folder / "manifest.json").read_text())
    for number in range(30):
        changed = bytearray(whole)
        for place in rng.integers(len(whole), size=3):
            changed[place] = rng.integers(256)
        if number % 3 == 0:
            changed = changed[: rng.integers(len(whole))]
        network.write_bytes(changed)
        with pytest.raises(InputError, match="found another"):
            load_predictor(folder)
        # And where the manifest was damaged with it.
        for output in manifest["outputs"]:
            if output["name"] == network.name:
                digest = hashlib.sha256(changed).hexdigest()
                output.update(bytes=len(changed), sha256=digest)
        text = json.dumps(manifest)
        if number < 10:
            (folder / "manifest.json").write_text(text)
            try:
                load_predictor(folder)
            except InputError as error:
                check_line(error)


def test_manifests_that_name_each_other(tmp_path: Path, model: Path):
    folder = copies(model, tmp_path) / ".." / "augmented"
    path = folder.resolve() / "manifest.json"
    manifest = json.loads(path.read_text())
    for source in ("manifest.json", "../preprocessed/manifest.json", "/dev/zero", "/dev"):
        manifest["inputs"] = [{"path": source, "bytes": 10, "sha256": "0"}]
        path.write_text(json.dumps(manifest))
        with pytest.raises(InputError, match="made from"):
            open_stage(path.parent, stage="augment", fresh=True)


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
