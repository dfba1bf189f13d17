"""Files from a server that misbehaves: the right bytes, or one line."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from misbehaving import BYTES, Handler, Server, answer, fetch, misdeed, refused

from unetseg.web import CHUNK

CUT = 8 * CHUNK


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "part"


def test_a_file(server: Server, part: Path):
    listener = fetch(server, part)
    assert part.read_bytes() == BYTES
    assert server.asked[0]["Accept-Encoding"] == "identity"
    assert listener.totals == [0.4]
    assert listener.seen == pytest.approx(0.4)
    assert listener.lines == []
    fetch(server, part)  # all is there: nobody is asked
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("tag", "date"),
    [
        ('"one"', None),
        (None, "Mon, 02 Jan 2012 03:04:05 GMT"),
        ('W/"weak"', "Mon, 02 Jan 2012 03:04:05 GMT"),
    ],
)
def test_a_lost_connection_is_gone_on_with(
    server: Server, part: Path, tag: str | None, date: str | None
):
    server.tag, server.date = tag, date
    server.misdeeds = [misdeed(cut=CUT), misdeed(cut=CUT // 2)]
    listener = fetch(server, part)
    assert part.read_bytes() == BYTES
    assert server.ranges == [None, f"bytes={CUT}-", f"bytes={CUT * 3 // 2}-"]
    assert server.asked[1]["If-Range"] == (date or tag)
    assert listener.totals == [0.4, 0.27, 0.2]
    assert "lost after 0.1 MB; trying again" in listener.lines[0]
    assert "going on: 0.1 MB of 0.4 MB are there" in listener.lines[1]


def test_another_call_goes_on(server: Server, part: Path):
    server.misdeeds = [misdeed(cut=CUT)]
    line = refused(server, part, attempts=1)
    assert "found a connection lost after 0.1 MB; the same command goes on from there" in line
    fetch(server, part)
    assert part.read_bytes() == BYTES
    assert server.ranges == [None, f"bytes={CUT}-"]


def test_a_server_without_parts_begins_anew(server: Server, part: Path):
    server.misdeeds = [misdeed(cut=CUT), misdeed(ranges=False)]
    listener = fetch(server, part)
    assert part.read_bytes() == BYTES
    assert server.ranges == [None, f"bytes={CUT}-"]
    assert listener.lines[-1].endswith("beginning anew")


def test_a_server_that_names_no_state_is_not_asked_for_parts(server: Server, part: Path):
    server.tag = 'W/"weak"'
    server.misdeeds = [misdeed(cut=CUT)]
    fetch(server, part)
    assert part.read_bytes() == BYTES
    assert server.ranges == [None, None]


def test_a_changed_file_begins_anew(server: Server, part: Path):
    server.misdeeds = [misdeed(cut=CUT)]
    refused(server, part, attempts=1)
    server.content, server.tag = BYTES[::-1], '"two"'
    fetch(server, part)
    assert part.read_bytes() == BYTES[::-1]
    assert [asked.get("If-Range") for asked in server.asked] == [None, '"one"']


def test_another_address_begins_anew(server: Server, part: Path):
    server.misdeeds = [misdeed(cut=CUT)]
    refused(server, part, attempts=1)
    fetch(server, part, server.url + "2")
    assert part.read_bytes() == BYTES
    assert server.ranges == [None, None]


@pytest.mark.parametrize("record", ["", "{", "[]", "7", '{"url": 1}', '{"a": "b"}', None])
def test_a_part_of_unknown_origin_begins_anew(server: Server, part: Path, record: str | None):
    part.write_bytes(b"x" * 1000)
    if record is not None:
        part.with_name("part.json").write_text(record)
    fetch(server, part)
    assert part.read_bytes() == BYTES
    assert server.ranges == [None]


@pytest.mark.parametrize(
    "place", ["bytes 0-9/400000", f"bytes {CUT}-399999/400001", f"bytes {CUT}-399999/*", "x", None]
)
def test_another_part_than_asked_for_is_thrown_away(server: Server, part: Path, place: str | None):
    wrong = {"Content-Range": place, "Content-Length": "5"}
    server.misdeeds = [misdeed(cut=CUT), answer(206, b"wrong", **wrong)]
    fetch(server, part)
    assert part.read_bytes() == BYTES
    assert server.ranges == [None, f"bytes={CUT}-", None]


def test_a_file_that_became_shorter_begins_anew(server: Server, part: Path):
    server.misdeeds = [misdeed(cut=CUT), answer(416, Content_Length="0")]
    fetch(server, part)
    assert part.read_bytes() == BYTES
    assert server.ranges == [None, f"bytes={CUT}-", None]


def test_a_length_that_is_too_great_is_a_lost_connection(server: Server, part: Path):
    server.misdeeds = [misdeed(Content_Length="500000")]
    assert "found a connection lost after 0.4 MB" in refused(server, part, attempts=1)
    # Whoever asks for the rest is told that there is none, and gets the file anew.
    server.misdeeds = [answer(416, Content_Length="0")]
    fetch(server, part)
    assert part.read_bytes() == BYTES


def test_a_length_that_is_too_small_ends_the_file(server: Server, part: Path):
    server.misdeeds = [misdeed(Content_Length="1000")]
    fetch(server, part)
    assert part.read_bytes() == BYTES[:1000]


@pytest.mark.parametrize("length", [None, "-5", "many", "9" * 40])
def test_no_length(server: Server, part: Path, length: str | None):
    server.misdeeds = [misdeed(Content_Length=length)]
    if length == "9" * 40:  # which http.client believes
        assert "found a connection lost" in refused(server, part, attempts=1)
        return
    listener = fetch(server, part)
    assert part.read_bytes() == BYTES
    assert listener.totals == []
    assert "does not say how much there is" in listener.lines[0]
    fetch(server, part)
    assert len(server.asked) == 1


def chunked(handler: Handler) -> None:
    """As servers do that make a file while they send it; the length is a lie."""
    half = len(BYTES) // 2
    body = b"".join(b"%x\r\n%b\r\n" % (half, BYTES[i : i + half]) for i in (0, half))
    handler.answer(200, body + b"0\r\n\r\n", Transfer_Encoding="chunked", Content_Length="1000")


def test_chunks(server: Server, part: Path):
    server.misdeeds = [chunked]
    fetch(server, part)
    assert part.read_bytes() == BYTES
    fetch(server, part)  # all is there, whatever length was announced
    assert len(server.asked) == 1


def test_chunks_cut_off(server: Server, part: Path):
    server.misdeeds = [
        answer(200, b"30000\r\n" + BYTES[:1000], Transfer_Encoding="chunked", ETag='"one"')
    ]
    fetch(server, part)
    assert part.read_bytes() == BYTES
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("how", "found"),
    [(misdeed(), "0.4 MB"), (misdeed(Content_Length=None), "0.3 MB"), (chunked, "0.3 MB")],
)
def test_more_than_the_limit(
    server: Server, part: Path, how: Callable[[Handler], None], found: str
):
    server.misdeeds = [how]
    assert f"at most 0.3 MB, found {found} or more" in refused(server, part, limit=300_000)
    assert not list(part.parent.iterdir())


def test_a_rest_that_makes_more_than_the_limit(server: Server, part: Path):
    server.misdeeds = [misdeed(cut=CUT)]
    refused(server, part, attempts=1)
    assert "expected at most 0.3 MB" in refused(server, part, limit=300_000)
    assert server.ranges == [None, f"bytes={CUT}-"]
    assert not list(part.parent.iterdir())


@pytest.mark.parametrize("status", [204, 301, 403, 404, 410, 599])
def test_no_such_file(server: Server, part: Path, status: int):
    server.misdeeds = [answer(status, Content_Length="0")]
    assert f"found HTTP status {status}" in refused(server, part)
    assert len(server.asked) == 1
    assert not list(part.parent.iterdir())


def test_a_busy_server_is_asked_again(server: Server, part: Path):
    server.misdeeds = [answer(503, Content_Length="0")]
    listener = fetch(server, part)
    assert part.read_bytes() == BYTES
    assert "503, Service Unavailable" in listener.lines[0]
    part.unlink()
    server.misdeeds = [answer(503, Content_Length="0")] * 3
    assert "found a busy server" in refused(server, part)


def test_an_empty_file(server: Server, part: Path):
    for length in ("0", None):
        server.misdeeds = [misdeed(cut=0, Content_Length=length)]
        assert "found an empty one" in refused(server, part)
        assert not list(part.parent.iterdir())


def test_compressed_once_more(server: Server, part: Path):
    server.misdeeds = [misdeed(Content_Encoding="gzip")]
    assert "found an answer that is compressed once more" in refused(server, part)


def test_a_redirect(server: Server, part: Path):
    server.misdeeds = [answer(302, Location="/other", Content_Length="0")]
    fetch(server, part)
    assert part.read_bytes() == BYTES


def test_a_redirect_goes_on_too(server: Server, part: Path):
    redirect = answer(302, Location="/other", Content_Length="0")
    server.misdeeds = [redirect, misdeed(cut=CUT), redirect]
    fetch(server, part)
    assert part.read_bytes() == BYTES
    assert server.ranges == [None, None, f"bytes={CUT}-", f"bytes={CUT}-"]


def test_a_redirect_with_an_endless_body(server: Server, part: Path):
    def endless(handler: Handler) -> None:
        handler.answer(302, Location="/other")
        while not handler.server.released.is_set():
            handler.wfile.write(BYTES)  # until nobody listens

    server.misdeeds = [endless]
    fetch(server, part)
    assert part.read_bytes() == BYTES


def test_redirects_in_a_circle(server: Server, part: Path):
    server.misdeeds = [answer(302, Location="/", Content_Length="0")] * 10
    assert "found more than 3 redirects" in refused(server, part)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "target",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x", "http://["],
)
def test_a_redirect_out_of_the_web(server: Server, part: Path, target: str):
    server.misdeeds = [answer(302, Location=target, Content_Length="0")]
    assert "which is not followed; " in refused(server, part)
    assert len(server.asked) == 1


@pytest.mark.parametrize("host", ["a..b", "*.x", "x" * 70 + ".invalid"])
def test_a_redirect_to_a_host_that_cannot_be(server: Server, part: Path, host: str):
    server.misdeeds = [answer(302, Location=f"http://{host}/", Content_Length="0")]
    refused(server, part)


def test_a_server_that_stalls(server: Server, part: Path):
    server.misdeeds = [misdeed(cut=CUT, stall=True)] * 2
    began = time.monotonic()
    fetch(server, part, timeout=0.3)
    assert time.monotonic() - began < 5
    assert part.read_bytes() == BYTES
    assert len(server.asked) == 3


def test_a_server_that_never_answers(server: Server, part: Path):
    server.misdeeds = [lambda handler: handler.server.released.wait(20)]
    assert "found no answer within 0.2 s" in refused(server, part, timeout=0.2)
    assert len(server.asked) == 1


def test_nobody_there(server: Server, part: Path):
    assert "Connection refused" in refused(server, part, "http://127.0.0.1:9/x")


def test_no_certificate(server: Server, part: Path):
    line = refused(server, part, server.url.replace("http:", "https:"))
    assert "found no secure connection" in line


def test_secrets_are_not_shown(server: Server, part: Path):
    server.misdeeds = [answer(404, Content_Length="0")]
    url = server.url.replace("//", "//me:secret@") + "?token=secret"
    assert "secret" not in refused(server, part, url)
    fetch(server, part, url)
    assert "secret" not in part.with_name("part.json").read_text()


@pytest.fixture
def secure(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server behind TLS, with a certificate that requests is told of."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl on this machine")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ed25519 -nodes -days 2 -subj /CN=test"
    extensions = ("subjectAltName=IP:127.0.0.1", "keyUsage=digitalSignature,keyCertSign")
    added = [part for extension in extensions for part in ("-addext", extension)]
    files = ["-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *added, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.url = server.url.replace("http:", "https:")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    return server


def test_https(secure: Server, part: Path, monkeypatch: pytest.MonkeyPatch):
    secure.misdeeds = [misdeed(cut=CUT)]
    fetch(secure, part)
    assert part.read_bytes() == BYTES
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    part.unlink()
    assert "name their file in REQUESTS_CA_BUNDLE" in refused(secure, part)


def test_a_redirect_from_https_to_http(secure: Server, part: Path):
    plain = secure.url.replace("https:", "http:")
    secure.misdeeds = [answer(302, Location=plain, Content_Length="0")]
    assert f"a redirect to {plain!r}, which is not followed" in refused(secure, part)
