"""`unetseg download`: the stacks of the ISBI 2012 challenge, as their organisers made them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pooch
import requests

from unetseg.artifacts.writer import StageWriter
from unetseg.errors import InputError
from unetseg.options import DownloadOptions, public
from unetseg.progress import Progress, StageResult
from unetseg.running import command_line
from unetseg.stacks.hashing import fingerprint
from unetseg.stacks.labels import Labels
from unetseg.stacks.opening import STACKS, open_volume
from unetseg.stacks.volume import describe

# Hidden, so that it is removed when the stacks have moved into place.
ARCHIVE = ".ISBI-2012-challenge.zip"

# sha256 of the pixels, slice by slice, row by row.
PIXELS = {
    "train-volume.tif": "200da3d452d726e6c9ca1ce04b869d4edb727320d23b516d01cce707dc8c4760",
    "train-labels.tif": "a7cb64000a1a7e542682927e19c91339f58f9f178e0bcce4e207371116f0ca36",
    "test-volume.tif": "1b58fa7ec1d0ff9d39a855622db3ff66a97863036339b0d04be51b2f5a99b0e9",
}
TEST_LABELS = "test-labels.tif"
SHAPE = (30, 512, 512)

# The four stacks have 31 MB as 8 bit and 126 MB as 32 bit.
MEGABYTE = 10**6
LARGEST_ARCHIVE = 64 * MEGABYTE
LARGEST_STACK = 40 * MEGABYTE  # for each of four, so 160 MB at most in all

CHUNK = 2**16
RETRIES = 3
BUSY = (408, 429, 500, 502, 503, 504)  # statuses of a server that may answer a little later
BY_HAND = "check --url, try again later, or get the file with a browser"

TROUBLES = {
    requests.exceptions.SSLError: "no secure connection",  # which is a ConnectionError too
    requests.ConnectionError: "no connection",
    requests.exceptions.ChunkedEncodingError: "a file cut off on the way",
    requests.TooManyRedirects: "redirects without an end",
    ValueError: "an address of no server",
}
# zipfile decodes other methods without a limit on the output at a time.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

CITATIONS = (
    "please cite Cardona A. et al. (2010), PLoS Biology 8(10), doi 10.1371/journal.pbio.1000502",
    "and Arganda-Carreras I. et al. (2015), Frontiers in Neuroanatomy 9:142, "
    "doi 10.3389/fnana.2015.00142",
)


def download(options: DownloadOptions, progress: Progress) -> StageResult:
    """Fetch the stacks of ISBI 2012, and verify their pixels.

    Parameters
    ----------
    options : DownloadOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If the archive cannot be fetched, or does not hold the stacks of the challenge.
    """
    origin = public(options.url)
    with StageWriter(
        options.output,
        stage="download",
        options=options.recorded(),
        inputs=[],
        names=STACKS,
        next_command=command_line(
            "augment",
            volume=options.output / "train-volume.tif",
            labels=options.output / "train-labels.tif",
        ),
    ) as writer:
        if not options.force and writer.is_current():
            return writer.nothing_to_do()
        archive = writer.path(ARCHIVE)
        _fetch(archive, options, progress)
        notes = _unpack(_read(archive, origin), origin, writer)
        size, sha256 = fingerprint(archive)
        writer.details["archive"] = {"url": origin, "bytes": size, "sha256": sha256}
    return writer.result([origin], notes=[*notes, *CITATIONS])


def _fetch(path: Path, options: DownloadOptions, progress: Progress) -> None:
    """Fetch the archive; pooch tries again after an error of requests."""
    source = pooch.create(
        path.parent.absolute(),  # absolute, so that pooch does not expand a ~ in it
        base_url="",
        registry={path.name: None},
        urls={path.name: options.url},
        retry_if_failed=RETRIES,
    )
    pooch.get_logger().setLevel("WARNING")  # at lower levels it shows the address with its secrets
    receive = partial(_receive, timeout=options.timeout, progress=progress)
    try:
        source.fetch(path.name, downloader=receive)
    # urllib3 raises a ValueError for some host names, which requests does not catch.
    except (requests.RequestException, ValueError) as error:
        raise _refusal(public(options.url), _trouble(error)) from error


def _receive(url: str, part: str, _: pooch.Pooch, *, timeout: float, progress: Progress) -> None:
    """Write the response of a server to a file; a downloader for pooch."""
    plain = {"Accept-Encoding": "identity"}  # so that the announced length is that of the file
    with (
        requests.get(url, headers=plain, timeout=timeout, stream=True) as response,
        Path(part).open("wb") as file,
    ):
        if not response.ok and response.status_code not in BUSY:
            raise _refusal(public(url), f"HTTP status {response.status_code}")
        response.raise_for_status()
        # None if the server does not announce it; urllib3 raises an error if less arrives.
        announced = response.raw.length_remaining
        for chunk in progress.track(
            response.iter_content(CHUNK),
            total=round((announced or LARGEST_ARCHIVE) / MEGABYTE, 2),
            label="download",
            unit="megabyte",
            size=lambda chunk: len(chunk) / MEGABYTE,
        ):
            if file.tell() + len(chunk) > LARGEST_ARCHIVE:
                raise _refusal(public(url), f"more than {LARGEST_ARCHIVE // MEGABYTE} MB")
            file.write(chunk)


def _trouble(error: Exception) -> str:
    """Say what went wrong, without messages of requests, which quote addresses with secrets."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    known = (words for kind, words in TROUBLES.items() if isinstance(error, kind))
    words = "no answer in time" if isinstance(cause, TimeoutError) else next(known, None)
    system = cause.strerror if isinstance(cause, OSError) else None
    return (words or type(error).__name__) + (f" ({system})" if system else "")


def _refusal(origin: str, found: str) -> InputError:
    return InputError(origin, expected="the archive of ISBI 2012", found=found, remedy=BY_HAND)


def _read(path: Path, origin: str) -> dict[str, bytes]:
    """Read the stacks in an archive, whatever folder they are in: only their names count."""
    stacks = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                place = PurePosixPath(member.filename.replace("\\", "/"))
                # macOS stores metadata of files beside them, under the same names.
                if place.name not in STACKS or member.is_dir() or "__MACOSX" in place.parts:
                    continue
                if place.name in stacks:
                    raise ValueError(f"two of {place.name}")
                # No more is decoded than is declared here.
                if member.file_size > LARGEST_STACK or member.compress_type not in METHODS:
                    size = f"{member.file_size / MEGABYTE:.0f} MB"
                    raise ValueError(f"{size} in {place.name} by method {member.compress_type}")
                stacks[place.name] = archive.read(member)
    # zipfile has errors of a dozen kinds for archives that are damaged or encrypted.
    except Exception as error:
        with path.open("rb") as file:
            page = file.read(CHUNK).lstrip().startswith(b"<")
        found = "a web page" if page else f"one that cannot be read ({error or 'cut off'})"
        raise _refusal(origin, found) from error
    return stacks


def _unpack(stacks: Mapping[str, bytes], origin: str, writer: StageWriter) -> list[str]:
    """Write the stacks that are those of the challenge; return notes on those left out."""
    notes = []
    for name in STACKS:
        if name in stacks:
            writer.path(name).write_bytes(stacks[name])
            fault = _fault(name, writer)
        else:
            fault = "none in the archive" if name in PIXELS else None
        if fault and name in PIXELS:
            raise InputError(
                origin,
                expected=f"the {name} of ISBI 2012",
                found=fault,
                remedy="nothing was written; check --url",
            )
        if fault:
            writer.path(name).unlink()
            expected = f"two values in {describe(SHAPE)}"
            notes.append(f"{name} is left out: expected {expected}, found {fault}")
    return notes


def _fault(name: str, writer: StageWriter) -> str | None:
    """Say how a stack differs from that of the challenge; None if it does not."""
    try:
        with open_volume(writer.path(name)) as volume:
            if volume.shape != SHAPE:
                return describe(volume.shape)
            sha256 = hashlib.sha256(np.stack(list(volume)).data).hexdigest()
            if name in PIXELS and sha256 != PIXELS[name]:
                return f"other pixels (sha256 {sha256})"
            if name == TEST_LABELS:
                found = Labels(volume).note  # raises unless they are labels
                if found:
                    return found
            writer.describe(name, shape=volume.shape, dtype=volume.dtype, axes="ZYX")
            return None
    except InputError as error:
        return error.found
