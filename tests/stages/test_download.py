"""`unetseg download`, from a server on this machine."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import SHARED, Cli
from misbehaving import Server, misdeed, zipped

from unetseg import options
from unetseg.artifacts.manifest import Manifest
from unetseg.stages import download as stage
from unetseg.web import CHUNK

NAMES = ("train-volume.tif", "train-labels.tif", "test-volume.tif")
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def real() -> Path:
    """The stacks of the challenge; users do not have them beside the repository."""
    folder = SHARED / "data/isbi2012"
    if not folder.is_dir():
        pytest.skip("the ISBI 2012 stacks are not on this machine")
    return folder


@pytest.fixture(scope="session")
def challenge(real: Path) -> bytes:
    """Their archive; nobody here has the labels of the test stack, so others stand in for them."""
    labels = (real / "train-labels.tif").read_bytes()
    stacks = {name: (real / name).read_bytes() for name in NAMES} | {"test-labels.tif": labels}
    return zipped(
        ("__MACOSX/ISBI-2012-challenge/._train-volume.tif", b"junk"),
        *((f"ISBI-2012-challenge/{name}", content) for name, content in stacks.items()),
    )


def altered(challenge: bytes, name: str, content: bytes | np.ndarray | None) -> bytes:
    """The archive with another file of that name, or none."""
    with zipfile.ZipFile(io.BytesIO(challenge)) as archive:
        members = [(path, archive.read(path)) for path in archive.namelist()]
    members = [member for member in members if not member[0].endswith(f"/{name}")]
    if isinstance(content, np.ndarray):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, content, photometric="minisblack", metadata={"axes": "ZYX"})
        content = buffer.getvalue()
    if content is not None:
        members.append((name, content))
    return zipped(*members, method=zipfile.ZIP_STORED)


def run(cli: Cli, server: Server, *arguments: object, code: int = 0) -> Any:
    return cli("download", "--url", server.url, *arguments, code=code)


def test_the_stacks_of_the_challenge(server: Server, challenge: bytes, real: Path, cli: Cli):
    server.content = challenge
    server.misdeeds = [misdeed(cut=10**6)]
    done = run(cli, server)
    assert "going on: 1.0 MB of" in done.stderr
    for name in NAMES:
        assert (Path("data") / name).read_bytes() == (real / name).read_bytes()
        assert f"wrote data/{name}: 30 slices of 512 x 512, uint8" in done.stdout
    for doi in ("10.1371/journal.pbio.1000502", "10.3389/fnana.2015.00142"):
        assert doi in done.stdout
    assert "next  unetseg augment" in done.stdout
    assert sorted(path.name for path in Path("data").iterdir()) == sorted(
        [*stage.STACKS, "manifest.json"]
    )
    manifest = Manifest.read(Path("data/manifest.json"))
    assert manifest.details["archive"]["url"] == server.url
    assert manifest.details["archive"]["bytes"] == len(challenge)
    # All is there: whatever the address, nobody is asked.
    assert "nothing to do" in cli("download").stdout
    assert len(server.asked) == 2
    # What was lost comes again.
    Path("data/test-volume.tif").unlink()
    run(cli, server)
    assert Path("data/test-volume.tif").exists()
    assert len(server.asked) == 3
    # And others keep away.
    (line,) = cli("synthesize", code=1).stderr.splitlines()
    assert "found the results of download; " in line


def test_killed_and_gone_on_with(server: Server, challenge: bytes, cli: Cli):
    server.content = challenge
    half = len(challenge) // 2
    server.misdeeds = [misdeed(cut=half, stall=True)]
    part = Path("data") / stage.PART
    command = [sys.executable, "-m", "unetseg", "download", "--url", server.url]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        began = time.monotonic()
        while not (part.exists() and part.stat().st_size > half - CHUNK):
            assert time.monotonic() - began < 60
            time.sleep(0.02)
        process.kill()
    assert not Path("data/manifest.json").exists()
    present = part.stat().st_size
    done = run(cli, server)
    assert server.ranges == [None, f"bytes={present}-"]
    assert "going on: " in done.stderr
    assert not part.exists()
    assert "nothing to do" in run(cli, server).stdout


@pytest.mark.parametrize("name", NAMES)
def test_other_pixels(server: Server, challenge: bytes, real: Path, cli: Cli, name: str):
    stack = tifffile.imread(real / name)
    stack[29, 511, 511] ^= 255
    server.content = altered(challenge, name, stack)
    (line,) = run(cli, server, code=1).stderr.splitlines()
    assert f"{server.url}: expected the {name} of ISBI 2012, found other pixels (sha256 " in line
    assert line.endswith("; nothing was written; check --url")
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "none in the archive"),
        (b"", "an empty file"),
        (b"hello", "not a TIFF"),
        (np.zeros((30, 512, 511), np.uint8), "30 slices of 512 x 511"),
        (np.zeros((29, 512, 512), np.uint8), "29 slices of 512 x 512"),
    ],
)
def test_no_such_stack(
    server: Server, challenge: bytes, cli: Cli, content: bytes | np.ndarray | None, found: str
):
    server.content = altered(challenge, "train-labels.tif", content)
    (line,) = run(cli, server, code=1).stderr.splitlines()
    assert "expected the train-labels.tif of ISBI 2012, found " in line
    assert found in line
    assert not Path("data").exists()


def test_test_labels_may_be_missing(server: Server, challenge: bytes, cli: Cli):
    server.content = altered(challenge, "test-labels.tif", None)
    assert "left out" not in run(cli, server).stdout
    assert not Path("data/test-labels.tif").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"hello", "not a TIFF"),
        (np.zeros(stage.SHAPE, np.uint8), "0 everywhere"),
        (np.broadcast_to(np.arange(512, dtype=np.uint8), stage.SHAPE), "256 or more by slice 0"),
        (np.broadcast_to(np.eye(512, dtype=np.uint8), (4, 512, 512)), "4 slices of 512 x 512"),
    ],
)
def test_test_labels_that_are_none_are_left_out(
    server: Server, challenge: bytes, cli: Cli, content: bytes | np.ndarray, found: str
):
    server.content = altered(challenge, "test-labels.tif", content)
    (line,) = [line for line in run(cli, server).stdout.splitlines() if "left out" in line]
    assert found in line
    assert not Path("data/test-labels.tif").exists()
    assert "nothing to do" in run(cli, server).stdout


def test_what_is_no_archive_is_not_kept(server: Server, cli: Cli):
    server.content = b"<html>Please sign in</html>"
    (line,) = run(cli, server, code=1).stderr.splitlines()
    assert f"{server.url}: expected a whole ZIP archive, found a web page; " in line
    assert not Path("data").exists()


def test_a_users_stack_is_not_replaced(server: Server, data: Path, cli: Cli):
    before = (data / "train-volume.tif").read_bytes()
    (line,) = run(cli, server, code=1).stderr.splitlines()
    assert "train-volume.tif: expected no such file" in line
    assert (data / "train-volume.tif").read_bytes() == before
    assert server.asked == []


def test_synthetic_stacks_are_not_replaced(server: Server, cli: Cli):
    cli("synthesize", "--slices", 2, "--test-slices", 1, "--height", 64, "--width", 64)
    (line,) = run(cli, server, "--force", code=1).stderr.splitlines()
    assert "data: expected a folder for download, found the results of synthesize; " in line
    assert "delete them and their manifest.json" in line
    assert server.asked == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/y", "x.zip", "", "https://", "http://[::1", "//x/y"]
)
def test_addresses_outside_of_the_web(cli: Cli, url: str):
    (line,) = cli("download", "--url", url, code=2).stderr.splitlines()
    assert line.startswith("unetseg: error: --url: expected an address such as https://")
    assert not Path("data").exists()


def test_a_password_is_not_shown(server: Server, cli: Cli):
    address = server.url.replace("http://", "http://user:secret@")
    shown = cli("download", "--verbose", "--url", address, code=1).stderr
    assert "  --url http://" in shown
    assert "secret" not in shown


def test_the_makefile_knows_synthetic_stacks_from_downloaded(tmp_path: Path, cli: Cli):
    text = (REPOSITORY / "Makefile").read_text()
    (pattern,) = re.findall("grep -qs '(.*?)' \"\\$\\(VOLUME\\)/manifest.json\"", text)
    cli("synthesize", "--slices", 2, "--test-slices", 1, "--height", 64, "--width", 64)
    synthetic = Manifest.read(Path("data/manifest.json"))
    assert re.search(pattern, Path("data/manifest.json").read_text())
    downloaded = Manifest("download", "1", {}, [], synthetic.outputs, {})
    assert not re.search(pattern, downloaded.to_json())


def test_the_documented_pixels_are_those_that_are_checked():
    text = (REPOSITORY / "data/README.md").read_text()
    for name, sha256 in stage.PIXELS.items():
        assert f"{name.removesuffix('.tif'):<12}  {sha256}" in text
    assert options.ISBI_2012.rpartition("/")[2] in text
