"""A file from the web: what has come is kept, and gone on with after an interruption."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests

from unetseg.errors import InputError, UsageError
from unetseg.partial import Partial, Version
from unetseg.progress import Progress
from unetseg.version import __version__

CHUNK = 2**14  # bytes; a lost connection loses less than that
# What a server says when it is busy: worth another attempt.
BUSY = (429, 500, 502, 503, 504)
NUMBER = re.compile("[0-9]{1,18}")
PLACE = re.compile("bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})")
BY_HAND = "check --url, try again later, or get the file with a browser"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is accepted of a server.

    Attributes
    ----------
    limit : int
        Bytes that the file may have.
    timeout : float
        Seconds without a byte after which a connection counts as lost.
    attempts : int
        How often the server is asked, the first time included.
    pause : float
        Seconds before the second attempt; doubled before each further one.
    redirects : int
        How many are followed.
    """

    limit: int
    timeout: float
    attempts: int
    pause: float
    redirects: int


class _LostError(Exception):
    """Something that another attempt may better."""


def check_url(url: str) -> None:
    """Raise a UsageError unless an address begins with http:// or https:// and names a host."""
    if not _is_web(url):
        # Shown as it was typed, but for a password.
        shown = re.sub("//[^/]*@", "//", url)
        raise UsageError(f"--url: expected an address such as https://..., found {shown!r}")


def public(url: str) -> str:
    """An address without what may be secret in it: name and password, query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


class _Session(requests.Session):
    """Leaves redirects to us: requests reads the body of one to its end, however long."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Find none."""


class Download:
    """A file that comes by HTTP.

    A server is asked for the rest of a file only if it named the state that the file was in, and
    only on condition that it is still in it (RFC 9110, 13.1.5 and 14.2). In all other cases the
    download begins anew.

    Parameters
    ----------
    path : Path
        Where to keep what has come; a record of what it is lies beside it.
    url : str
        Address, http or https.
    terms : Terms
    """

    def __init__(self, path: Path, *, url: str, terms: Terms) -> None:
        self._partial = Partial(path, url=public(url))
        self._url = url
        self._terms = terms

    def fetch(self, progress: Progress) -> None:
        """Fetch what is missing.

        Raises
        ------
        InputError
            If the server cannot be reached, has no such file, sends more than is accepted, or the
            connection was lost too often. What has come stays, for the next call to go on from.
        """
        try:
            with _Session() as session:
                self._fetch(session, progress)
        except KeyboardInterrupt:
            progress.say("the same command goes on from here")
            raise
        finally:
            if not self._partial.present:
                self.forget()

    def forget(self) -> None:
        """Remove what has come."""
        self._partial.forget()

    def _fetch(self, session: requests.Session, progress: Progress) -> None:
        self._answered = False
        for attempt in range(1, self._terms.attempts + 1):
            if self._partial.is_complete():
                return
            try:
                with self._ask(session) as response:
                    self._receive(response, progress)
                return
            except _LostError as lost:
                # Who never answered will hardly do so a second later.
                if not self._answered or attempt == self._terms.attempts:
                    kept = "the same command goes on from there" if self._partial.present else None
                    raise self._refuse(str(lost), remedy=kept or BY_HAND) from lost
                pause = self._terms.pause * 2 ** (attempt - 1)
                progress.say(f"download: {lost}; trying again in {pause:g} s")
                time.sleep(pause)

    def _ask(self, session: requests.Session) -> requests.Response:
        """Ask for the file, or for its rest; returns an answer that has one of them."""
        # Bytes as they lie on the server: the parts of a compressed answer could not be joined.
        headers = {"Accept-Encoding": "identity", "User-Agent": f"unetseg/{__version__}"}
        version = self._partial.version
        if version is not None and version.validator:
            headers["Range"] = f"bytes={self._partial.present}-"
            headers["If-Range"] = version.validator
        response = self._follow(session, headers)
        try:
            self._check(response)
        except BaseException:
            response.close()
            raise
        return response

    def _follow(self, session: requests.Session, headers: dict[str, str]) -> requests.Response:
        """Send a request, and go where the answers point; never from https to http."""
        url = self._url
        for _ in range(self._terms.redirects + 1):
            response = self._send(session, url, headers)
            if not response.is_redirect:
                return response
            response.close()
            target = response.headers["Location"]
            secure = urlsplit(url).scheme == "https"
            try:
                url = urljoin(url, target)
            except ValueError:
                url = target
            if not _is_web(url) or (secure and urlsplit(url).scheme != "https"):
                shown = url.partition("?")[0]
                raise self._refuse(f"a redirect to {shown!r}, which is not followed")
        raise self._refuse(f"more than {self._terms.redirects} redirects")

    def _send(
        self, session: requests.Session, url: str, headers: dict[str, str]
    ) -> requests.Response:
        try:
            response = session.get(url, headers=headers, timeout=self._terms.timeout, stream=True)
        except requests.exceptions.SSLError as error:
            raise self._refuse(
                f"no secure connection ({_reason(error)})",
                remedy="if your network has certificates of its own, name their file in "
                "REQUESTS_CA_BUNDLE",
            ) from error
        except requests.Timeout as error:
            raise _LostError(f"no answer within {self._terms.timeout:g} s") from error
        except requests.ConnectionError as error:
            raise _LostError(f"no connection ({_reason(error)})") from error
        # urllib3 has a ValueError for some host names, which requests lets through.
        except (requests.RequestException, ValueError) as error:
            raise self._refuse(_reason(error)) from error
        self._answered = True
        return response

    def _check(self, response: requests.Response) -> None:
        """Refuse an answer without the bytes that were asked for."""
        status = response.status_code
        if status in BUSY:
            raise _LostError(f"a busy server (HTTP status {_describe(status)})")
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self.forget()
            raise _LostError("a file shorter than what has come")
        if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise self._refuse(f"HTTP status {_describe(status)}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._refuse("an answer that is compressed once more")

    def _receive(self, response: requests.Response, progress: Progress) -> None:
        """Write what a server sends, from the place where it belongs."""
        start, version = self._begin(response)
        if start:
            progress.say(f"going on: {_megabytes(start)} of {_megabytes(version.size)} are there")
        elif "Range" in response.request.headers:
            progress.say("the file has changed, or its server sends no parts: beginning anew")
        present = start
        with self._partial.path.open("ab") as file:
            for chunk in self._track(response, version, start, progress):
                present += len(chunk)
                if present > self._terms.limit:
                    self.forget()
                    raise self._too_large(present)
                file.write(chunk)
                file.flush()  # whoever is killed now loses no more than a chunk
        if present == 0:
            raise self._refuse("an empty one")
        if version.size is None:
            self._partial.record(replace(version, size=present))
        elif present < version.size:  # which urllib3 notices itself from version 2 on
            raise self._lost()

    def _begin(self, response: requests.Response) -> tuple[int, Version]:
        """Where the bytes of an answer belong, and what they are of."""
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            return self._begin_part(response)
        length = response.headers.get("Content-Length", "")
        # Beside chunks another length does not count.
        given = "Transfer-Encoding" not in response.headers and NUMBER.fullmatch(length)
        version = Version(self._partial.url, _validator(response), int(length) if given else None)
        if version.size is not None and version.size > self._terms.limit:
            raise self._too_large(version.size)
        self._partial.begin(version)
        return 0, version

    def _begin_part(self, response: requests.Response) -> tuple[int, Version]:
        """The same for an answer with the rest of a file, or what says that it is one."""
        version, present = self._partial.version, self._partial.present
        place = PLACE.fullmatch(response.headers.get("Content-Range", ""))
        if version is not None and place is not None:
            start, size = int(place[1]), int(place[2])
            if start == present and version.size in (None, size):
                return start, replace(version, size=size)
        self.forget()
        raise _LostError("another part than was asked for")

    def _track(
        self, response: requests.Response, version: Version, start: int, progress: Progress
    ) -> Iterator[bytes]:
        """The pieces of an answer, shown as they come."""
        chunks = self._chunks(response)
        if version.size is None:
            progress.say("download: the server does not say how much there is")
            return chunks
        return progress.track(
            chunks,
            total=round((version.size - start) / 1e6, 2),
            label="download",
            unit="megabyte",
            size=lambda chunk: len(chunk) / 1e6,
        )

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_content(CHUNK)
        except requests.RequestException as error:
            raise self._lost() from error

    def _lost(self) -> _LostError:
        return _LostError(f"a connection lost after {_megabytes(self._partial.present)}")

    def _refuse(self, found: str, *, remedy: str = BY_HAND) -> InputError:
        return InputError(self._partial.url, expected="a file", found=found, remedy=remedy)

    def _too_large(self, size: int) -> InputError:
        return InputError(
            self._partial.url,
            expected=f"at most {_megabytes(self._terms.limit)}",
            found=f"{_megabytes(size)} or more",
            remedy="check --url",
        )


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _validator(response: requests.Response) -> str | None:
    """What the server calls this state of the file, if a request for the rest may rely on it."""
    tag = response.headers.get("ETag", "")
    # A weak one promises no equal bytes.
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _describe(status: int) -> str:
    try:
        return f"{status}, {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _reason(error: Exception) -> str:
    """The last words of an error of requests, which quotes those of the layers below."""
    text = str(error).rpartition(": ")[2].strip("'\")")
    return "".join(c for c in text if c.isprintable())


def _megabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e6:.1f} MB"
