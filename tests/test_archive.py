"""ZIPs made to do harm, and damaged ones: nothing but the files that are wanted, or one line."""

from __future__ import annotations

import io
import re
import shutil
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from misbehaving import zipped

from unetseg.archive import Archive, Bounds
from unetseg.errors import InputError
from unetseg.stacks.opening import STACKS

BOUNDS = Bounds(file=50_000, total=80_000, ratio=100)
STACK = bytes(range(256)) * 100


def unzip(tmp_path: Path, content: bytes, bounds: Bounds = BOUNDS) -> dict[str, bytes]:
    """What is extracted of an archive, by name."""
    path, folder = tmp_path / "a.zip", tmp_path / "out"
    path.write_bytes(content)
    folder.mkdir(exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    try:
        found = Archive(path, origin="the archive", bounds=bounds).extract(STACKS, folder)
    finally:
        outside = set(tmp_path.rglob("*")) - set(before) - set(folder.iterdir())
        assert not outside
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(files) == found
    return files


def bad(tmp_path: Path, content: bytes, bounds: Bounds = BOUNDS) -> str:
    """The one line that it ends in."""
    with pytest.raises(InputError) as caught:
        unzip(tmp_path, content, bounds)
    line = str(caught.value)
    assert re.fullmatch("the archive: expected [ -~]+, found [ -~]+; [ -~]+", line), line
    return line


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("folder", ["", "ISBI-2012-challenge/", "a/b/", "./", "a\\b\\"])
def test_files_are_found_wherever_they_are(tmp_path: Path, folder: str, method: int):
    junk = [
        "__MACOSX/ISBI/._train-volume.tif",
        "__MACOSX/train-volume.tif",
        "ISBI/.DS_Store",
        "readme.txt",
        "train-volume.tif.bak",
        "not-train-volume.tif",
        "train-volume.tif/",
    ]
    wanted = [(folder + name, STACK) for name in STACKS]
    archive = zipped(*((name, b"junk") for name in junk), *wanted, method=method)
    assert unzip(tmp_path, archive, Bounds(file=50_000, total=200_000, ratio=100)) == dict.fromkeys(
        STACKS, STACK
    )


def test_paths_lead_nowhere(tmp_path: Path):
    evil = ["../evil.tif", "/tmp/evil.tif", "..\\evil.tif", "C:\\evil.tif", "a/../../evil.tif"]
    assert unzip(tmp_path, zipped(*((name, b"x") for name in evil))) == {}
    for number, path in enumerate(("../../", "/etc/", "..\\", "C:\\", "//host/share/")):
        folder = tmp_path / str(number)
        folder.mkdir()
        archive = zipped((path + "train-volume.tif", STACK))
        assert unzip(folder, archive) == {"train-volume.tif": STACK}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_what_is_no_file(tmp_path: Path, kind: int):
    member = zipfile.ZipInfo("train-volume.tif")
    member.external_attr = (kind | 0o777) << 16
    line = bad(tmp_path, zipped((member, b"/etc/passwd")))
    assert "expected train-volume.tif to be a file, found a link or a device" in line


def test_a_name_that_is_there_twice(tmp_path: Path):
    for other in ("train-volume.tif", "a/train-volume.tif", "a\\train-volume.tif"):
        line = bad(tmp_path, zipped(("train-volume.tif", STACK), (other, STACK)))
        assert "expected one train-volume.tif, found two" in line


def test_a_file_that_is_encrypted(tmp_path: Path):
    content = bytearray(zipped(("train-volume.tif", STACK)))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    assert "train-volume.tif to be readable, found it encrypted" in bad(tmp_path, bytes(content))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_decode_without_limit(tmp_path: Path, method: int):
    line = bad(tmp_path, zipped(("train-volume.tif", STACK), method=method))
    assert f"compressed by DEFLATE, found method {method}" in line


def test_a_bomb(tmp_path: Path):
    line = bad(tmp_path, zipped(("train-volume.tif", bytes(60_000))))
    assert "expected train-volume.tif to have at most 0.05 MB, found 0.06 MB or more" in line
    line = bad(tmp_path, zipped(("train-volume.tif", bytes(40_000))))
    assert re.search("to expand 100 times at most, found [0-9]{3} times", line)
    stacks = [(name, STACK) for name in STACKS]
    line = bad(tmp_path, zipped(*stacks))
    assert "all files together to have at most 0.08 MB, found 0.1024 MB or more" in line


def test_a_bomb_that_lies(tmp_path: Path):
    content = bytearray(zipped(("train-volume.tif", bytes(10**7))))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, 100)
    assert "Bad CRC-32" in bad(tmp_path, bytes(content))
    assert (tmp_path / "out/train-volume.tif").stat().st_size <= 100


def test_what_comes_out_is_counted(tmp_path: Path):
    archive = Archive(tmp_path / "a.zip", origin="the archive", bounds=BOUNDS)
    source, target = io.BytesIO(bytes(10**6)), io.BytesIO()
    with pytest.raises(InputError, match=r"train-volume\.tif to have at most 0\.07 MB"):
        archive._copy("train-volume.tif", source, target, limit=70_000)
    assert len(target.getvalue()) <= 70_000


def test_no_archive(tmp_path: Path):
    assert "found a web page" in bad(tmp_path, b"\n<!DOCTYPE html><html>Sign in</html>")
    assert "found something else" in bad(tmp_path, b"hello")
    assert "found something else" in bad(tmp_path, b"")


def test_every_tenth_of_the_length(tmp_path: Path):
    whole = zipped(("train-volume.tif", np.random.default_rng(0).bytes(10_000)))
    for tenth in range(1, 10):
        assert "damaged or cut off" in bad(tmp_path, whole[: len(whole) * tenth // 10])


def test_every_byte_of_the_structure(tmp_path: Path):
    whole = zipped(("train-volume.tif", b"abc" * 9), ("a/test-volume.tif", b""))
    refusals = 0
    for place in range(len(whole)):
        for value in (255, whole[place] ^ 1):
            content = whole[:place] + bytes([value]) + whole[place + 1 :]
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            try:
                assert set(unzip(tmp_path, content).values()) <= {b"abc" * 9, b""}
            except InputError:
                refusals += 1
    assert refusals > 100
