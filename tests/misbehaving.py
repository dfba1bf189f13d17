"""A server that does wrong what a test wants it to, and archives made to measure."""

from __future__ import annotations

import io
import re
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unetseg.errors import InputError
from unetseg.web import Download, Terms

TERMS = Terms(limit=10**6, timeout=5, attempts=3, pause=0.01, redirects=3)
BYTES = np.random.default_rng(0).bytes(400_000)


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's next misdeed wants it, or well."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Be asked."""
        self.close_connection = True
        self.server.asked.append(dict(self.headers))
        misdeeds = self.server.misdeeds
        (misdeeds.pop(0) if misdeeds else Handler.serve)(self)

    def serve(
        self,
        *,
        cut: int | None = None,
        ranges: bool = True,
        stall: bool = False,
        **headers: str | None,
    ) -> None:
        """Send the file, or the part that is asked for, or less."""
        content, wanted = self.server.content, self.headers.get("Range")
        named = {"ETag": self.server.tag, "Last-Modified": self.server.date}
        current = self.headers.get("If-Range") in [name for name in named.values() if name]
        part = ranges and wanted is not None and current
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if part else 0
        body = content[start:]
        if part:
            named["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        named |= {"Content-Length": str(len(body))}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer(206 if part else 200, body[:cut], **named)
        if stall:
            self.server.released.wait(20)

    def answer(self, status: int, body: bytes = b"", **headers: str | None) -> None:
        """Send just this."""
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *args: Any) -> None:
        """Be quiet."""


class Server(ThreadingHTTPServer):
    """One file, and what to do wrong on the way."""

    daemon_threads = True
    content = BYTES
    tag: str | None = '"one"'
    date: str | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.misdeeds: list[Callable[[Handler], None]] = []
        self.asked: list[dict[str, str]] = []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/ISBI-2012-challenge.zip"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may go when they like."""

    @property
    def ranges(self) -> list[str | None]:
        """What part each request asked for."""
        return [headers.get("Range") for headers in self.asked]


def misdeed(**how: Any) -> Callable[[Handler], None]:
    return lambda handler: handler.serve(**how)


def answer(status: int, body: bytes = b"", **headers: str | None) -> Callable[[Handler], None]:
    return lambda handler: handler.answer(status, body, **headers)


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.released.set()
        running.shutdown()
        thread.join()


class Listener:
    """Keeps what is said, and what is tracked."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.totals: list[float] = []
        self.seen = 0.0

    def say(self, line: str) -> None:
        """Keep the line."""
        self.lines.append(line)

    def warn(self, line: str) -> None:
        """Keep the line."""
        self.lines.append(line)

    def track(self, items: Any, *, total: float, label: str, unit: str, size: Any) -> Any:
        """Keep what is announced, and what comes."""
        assert unit == "megabyte"
        self.totals.append(total)
        for item in items:
            self.seen += size(item)
            yield item


def fetch(server: Server, path: Path, url: str | None = None, **terms: Any) -> Listener:
    """Fetch the server's file, once."""
    listener = Listener()
    chosen = Terms(**{**vars(TERMS), **terms})
    Download(path, url=url or server.url, terms=chosen).fetch(listener)
    return listener


def refused(server: Server, path: Path, url: str | None = None, **terms: Any) -> str:
    """The one line that fetching ends in."""
    with pytest.raises(InputError) as caught:
        fetch(server, path, url, **terms)
    line = str(caught.value)
    assert re.fullmatch("[ -~]+: expected [ -~]+, found [ -~]+; [ -~]+", line), line
    return line


def zipped(
    *members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """A ZIP."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(name, content, compress_type=method, compresslevel=1)
    return buffer.getvalue()
