"""`unetseg download`, from a server on this machine."""

from __future__ import annotations

import io
import re
import socket
import struct
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pooch
import pytest
import tifffile
from conftest import SHARED, Cli

from unetseg import options
from unetseg.artifacts.manifest import Manifest
from unetseg.errors import InputError
from unetseg.progress import Silent
from unetseg.stages import download as stage

NAMES = ("train-volume.tif", "train-labels.tif", "test-volume.tif")
REPOSITORY = Path(__file__).parents[2]


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's next answer wants it, or well."""

    server: Server

    def do_GET(self) -> None:
        """Be asked."""
        self.server.asked.append(self.path)
        answers = self.server.answers
        (answers.pop(0) if answers else answer())(self)

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Be quiet."""


class Server(ThreadingHTTPServer):
    """One file, and what to answer before it is served."""

    daemon_threads = True
    content = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Callable[[Handler], None]] = []
        self.asked: list[str] = []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/ISBI-2012-challenge.zip"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may go when they like."""


def answer(status: int = 200, *, cut: int | None = None, **headers: str) -> Any:
    """The file, or its beginning, with a status."""

    def send(handler: Handler) -> None:
        content = handler.server.content
        handler.send(status, content[:cut], {"Content-Length": str(len(content)), **headers})

    return send


def endless(handler: Handler) -> None:
    """Send without an end, until nobody listens."""
    handler.send(200, b"", {})
    while not handler.server.released.is_set():
        handler.wfile.write(bytes(10**6))


def stall(handler: Handler) -> None:
    """Begin, and do not go on."""
    handler.send(200, b"PK", {"Content-Length": "1000"})
    handler.server.released.wait(20)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What pooch would wait before it asks again."""
    seconds: list[float] = []
    monkeypatch.setattr("pooch.core.time", SimpleNamespace(sleep=seconds.append))
    return seconds


def zipped(
    *members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(name, content, compress_type=method, compresslevel=1)
    return buffer.getvalue()


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


def refused(cli: Cli, server: Server, *arguments: object) -> str:
    """The one line that a download ends in, which leaves nothing behind."""
    (line,) = run(cli, server, *arguments, code=1).stderr.splitlines()
    assert not Path("data").exists()
    form = f"unetseg: error: {re.escape(server.url)}: expected [ -~]+, found [ -~]+; [ -~]+"
    assert re.fullmatch(form, line), line
    return line


def test_the_stacks_of_the_challenge(server: Server, challenge: bytes, real: Path, cli: Cli):
    server.content = challenge
    done = run(cli, server)
    assert done.stderr == ""
    for name in NAMES:
        assert (Path("data") / name).read_bytes() == (real / name).read_bytes()
        assert f"wrote data/{name}: 30 slices of 512 x 512, uint8" in done.stdout
    for doi in ("10.1371/journal.pbio.1000502", "10.3389/fnana.2015.00142"):
        assert doi in done.stdout
    assert "next  unetseg augment" in done.stdout
    assert {path.name for path in Path("data").iterdir()} == {*stage.STACKS, "manifest.json"}
    manifest = Manifest.read(Path("data/manifest.json"))
    assert manifest.details["archive"]["url"] == server.url
    assert manifest.details["archive"]["bytes"] == len(challenge)
    # All is there: whatever the address, nobody is asked.
    assert "nothing to do" in cli("download").stdout
    assert len(server.asked) == 1
    run(cli, server, "--force")
    assert len(server.asked) == 2
    # What was lost comes again.
    Path("data/test-volume.tif").unlink()
    run(cli, server)
    assert Path("data/test-volume.tif").exists()
    assert len(server.asked) == 3
    # And others keep away.
    (line,) = cli("synthesize", code=1).stderr.splitlines()
    assert "found the results of download; " in line


def test_a_server_that_fails_is_asked_again(
    server: Server, challenge: bytes, cli: Cli, pauses: list[float]
):
    server.content = challenge
    server.answers = [answer(503), answer(cut=10**6), answer(302, cut=0, Location="/moved")]
    run(cli, server)
    assert pauses == [1, 2]
    assert len(server.asked) == 4
    assert Path("data/manifest.json").exists()


def test_stacks_are_found_in_any_folder_and_stay_in_ours(
    server: Server, real: Path, cli: Cli, tmp_path: Path
):
    folders = ("../../evil/", "/tmp/evil/", "C:\\evil\\")
    stacks = [(real / name).read_bytes() for name in NAMES]
    members = [(f + n, content) for f, n, content in zip(folders, NAMES, stacks, strict=True)]
    junk = [
        "__MACOSX/a/train-volume.tif",
        "train-volume.tif/",
        "../evil.tif",
        "a/train-volume.tif~",
    ]
    server.content = zipped(*members, *((name, b"") for name in junk))
    run(cli, server, "--output", "deep/in/data")
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    expected = [*NAMES, "manifest.json"]
    assert written == {tmp_path / "deep/in/data" / name for name in expected}


@pytest.mark.parametrize("name", NAMES)
def test_other_pixels(server: Server, challenge: bytes, real: Path, cli: Cli, name: str):
    stack = tifffile.imread(real / name)
    stack[29, 511, 511] ^= 255
    server.content = altered(challenge, name, stack)
    line = refused(cli, server)
    assert f"expected the {name} of ISBI 2012, found other pixels (sha256 " in line
    assert line.endswith("; nothing was written; check --url")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "none in the archive"),
        (b"", "an empty file"),
        (b"hello", "found a file of unknown kind"),
        (np.zeros((30, 512, 511), np.uint8), "30 slices of 512 x 511"),
        (np.zeros((29, 512, 512), np.uint8), "29 slices of 512 x 512"),
    ],
)
def test_no_such_stack(
    server: Server, challenge: bytes, cli: Cli, content: bytes | np.ndarray | None, found: str
):
    server.content = altered(challenge, "train-labels.tif", content)
    line = refused(cli, server)
    assert "expected the train-labels.tif of ISBI 2012, found " in line
    assert found in line


def test_test_labels_may_be_missing(server: Server, challenge: bytes, cli: Cli):
    server.content = altered(challenge, "test-labels.tif", None)
    assert "left out" not in run(cli, server).stdout
    assert not Path("data/test-labels.tif").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"hello", "found a file of unknown kind"),
        (np.zeros(stage.SHAPE, np.uint8), "0 everywhere"),
        (np.broadcast_to(np.arange(512, dtype=np.uint8), stage.SHAPE), "labels number 255 cells"),
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


def flagged(content: bytes, *places: tuple[bytes, int], value: int, size: str) -> bytes:
    """A ZIP with another value in the two records of its first file."""
    changed = bytearray(content)
    for signature, offset in places:
        struct.pack_into(size, changed, changed.index(signature) + offset, value)
    return bytes(changed)


def link(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o120777 << 16
    return member


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
SMALL = zipped(("train-volume.tif", b"abc" * 999))
BOMB = zipped(("train-volume.tif", bytes(41 * 10**6)))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\n<!DOCTYPE html><html>Please sign in</html>", "a web page"),
        (b"hello", "one that cannot be read (File is not a zip file)"),
        (b"", "one that cannot be read (File is not a zip file)"),
        (SMALL[:-30], "one that cannot be read (File is not a zip file)"),
        (SMALL.replace(b"train-volume", b"train\nvolume", 1), "one that cannot be read (File name"),
        (flagged(SMALL, (LOCAL, 6), (CENTRAL, 8), value=1, size="<H"), "is encrypted"),
        (zipped(("train-volume.tif", b"x"), ("a/train-volume.tif", b"x")), "two of train-volume"),
        (zipped(("train-volume.tif", b"x"), method=zipfile.ZIP_BZIP2), "by method 12"),
        (BOMB, "41 MB in train-volume.tif"),
        (flagged(BOMB, (LOCAL, 22), (CENTRAL, 24), value=100, size="<I"), "Bad CRC-32"),
        (zipped((link("train-volume.tif"), b"/etc/passwd")), "found a file of unknown kind"),
    ],
)
def test_archives_that_are_none(server: Server, cli: Cli, content: bytes, found: str):
    server.content = content
    assert found in refused(cli, server)
    assert len(server.asked) == 1


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (403, 1), (503, 4), (429, 4)])
def test_http_errors(server: Server, cli: Cli, status: int, attempts: int):
    server.answers = [answer(status)] * 5
    line = refused(cli, server)
    assert f"found HTTP status {status}; check --url, try again later, or get the file" in line
    assert len(server.asked) == attempts


def test_a_connection_that_is_lost_again_and_again(server: Server, cli: Cli):
    server.content = bytes(10**6)
    server.answers = [answer(cut=10**5)] * 4
    assert "found a file cut off on the way; " in refused(cli, server)
    assert len(server.asked) == 4


def test_a_server_that_stalls(server: Server, cli: Cli):
    server.answers = [stall] * 4
    assert "found no answer in time; " in refused(cli, server, "--timeout", 0.1)


def test_nobody_there(server: Server, cli: Cli):
    with socket.create_server(("127.0.0.1", 0)) as free:
        server.url = f"http://127.0.0.1:{free.getsockname()[1]}/x.zip"
    assert "found no connection (Connection refused); " in refused(cli, server)
    for host in ("a..b", "*.x", f"{'x' * 70}.invalid"):  # which nobody asks a name server for
        server.url = f"https://{host}/x.zip"
        assert "found an address of no server; " in refused(cli, server)


def test_redirects_that_lead_nowhere(server: Server, cli: Cli):
    server.answers = [answer(302, Location="file:///etc/passwd")] * 4
    assert "found an address of no server; " in refused(cli, server)
    server.answers = [answer(302, Location="/again")] * 200
    assert "found redirects without an end; " in refused(cli, server)


def test_no_certificate(server: Server, cli: Cli):
    server.url = server.url.replace("http:", "https:")
    assert "found no secure connection (" in refused(cli, server)


def test_more_than_the_limit(server: Server, cli: Cli):
    server.answers = [endless]
    assert "found more than 64 MB; " in refused(cli, server)
    assert len(server.asked) == 1


def test_progress_in_megabytes(server: Server, tmp_path: Path):
    class Listener(Silent):
        seen = 0.0

        def track(self, items: Any, *, size: Any = None, **settings: Any) -> Any:
            assert settings == {"total": 0.4, "label": "download", "unit": "megabyte"}
            for item in items:
                self.seen += size(item)
                yield item

    server.content = bytes(400_000)
    listener = Listener()
    with pytest.raises(InputError, match="found one that cannot be read"):
        stage.download(options.DownloadOptions(url=server.url, output=tmp_path / "data"), listener)
    assert listener.seen == pytest.approx(0.4)


def test_a_users_stack_is_not_replaced(server: Server, data: Path, cli: Cli):
    before = (data / "train-volume.tif").read_bytes()
    (line,) = run(cli, server, code=1).stderr.splitlines()
    assert "train-volume.tif: expected no such file" in line
    assert (data / "train-volume.tif").read_bytes() == before
    assert server.asked == []


def test_synthetic_stacks_are_not_replaced(server: Server, cli: Cli):
    cli("synthesize", "--slices", 2, "--test-slices", 1, "--height", 64, "--width", 64)
    (line,) = run(cli, server, "--force", code=1).stderr.splitlines()
    assert "data: expected a folder for download, found the results of synthesize; choose" in line
    assert server.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x/y",
        "x.zip",
        "",
        "https://",
        "http://[::1",
        "//x/y",
        "http://x:y/z",
        "http://x/\n",
    ],
)
def test_addresses_outside_of_the_web(cli: Cli, url: str):
    (line,) = cli("download", "--verbose", "--url", url, code=2).stderr.splitlines()
    assert line.startswith("unetseg: error: --url: expected an address such as https://")
    assert not Path("data").exists()


@pytest.mark.parametrize("url", ["ftp://me:secret@x/?secret", "//me:secret@x", "http:/me:secret@x"])
def test_a_password_in_an_address_outside_of_the_web_is_not_shown(cli: Cli, url: str):
    assert "secret" not in cli("download", "--url", url, code=2).output


def test_a_password_is_not_shown(server: Server, cli: Cli, monkeypatch: pytest.MonkeyPatch):
    logged = io.StringIO()
    monkeypatch.setattr(pooch.get_logger().handlers[0], "stream", logged)
    pooch.get_logger().setLevel("INFO")
    server.content = b"hello"
    server.url = server.url.replace("//", "//me:secret@") + "?token=secret"
    server.answers = [answer(404), *[answer(503)] * 4]
    for found in ("404", "503", "not a zip file"):
        shown = run(cli, server, "--verbose", code=1).output
        assert "  --url http://127.0.0.1" in shown
        assert found in shown
        assert "secret" not in shown
    assert server.asked[-1].endswith("?token=secret")
    for url in ("http://me:secret@127.0.0.1:9/?secret", "https://me:secret@a..b/?secret"):
        assert "secret" not in cli("download", "--url", url, code=1).output
    assert logged.getvalue() == ""


def test_a_password_is_not_recorded(server: Server, challenge: bytes, cli: Cli):
    server.content = challenge
    server.url = server.url.replace("//", "//me:secret@") + "?token=secret"
    assert "secret" not in run(cli, server).output
    assert "secret" not in Path("data/manifest.json").read_text()


def test_the_documented_pixels_are_those_that_are_checked():
    text = (REPOSITORY / "data/README.md").read_text()
    for name, sha256 in stage.PIXELS.items():
        assert f"{name.removesuffix('.tif'):<12}  {sha256}" in text
    assert options.ISBI_2012.rpartition("/")[2] in text
