"""`unetseg download`: the stacks of the ISBI 2012 challenge, as their organisers made them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from unetseg.archive import Archive, Bounds
from unetseg.artifacts.manifest import fingerprint
from unetseg.artifacts.writer import StageWriter
from unetseg.errors import InputError
from unetseg.options import DownloadOptions
from unetseg.progress import Progress, StageResult
from unetseg.running import command_line
from unetseg.stacks.opening import STACKS, open_volume
from unetseg.stacks.volume import Volume, describe, label_values
from unetseg.web import Download, Terms, check_url, public

# Hidden: the archive while it comes, which is kept when a run is interrupted.
PART = ".ISBI-2012-challenge.zip.part"

# sha256 of the pixels, slice by slice, row by row.
PIXELS = {
    "train-volume.tif": "200da3d452d726e6c9ca1ce04b869d4edb727320d23b516d01cce707dc8c4760",
    "train-labels.tif": "a7cb64000a1a7e542682927e19c91339f58f9f178e0bcce4e207371116f0ca36",
    "test-volume.tif": "1b58fa7ec1d0ff9d39a855622db3ff66a97863036339b0d04be51b2f5a99b0e9",
}
TEST_LABELS = "test-labels.tif"
SHAPE = (30, 512, 512)

# The four stacks have 31 MB as 8 bit and 126 MB as 32 bit; as 8 bit, labels shrink to a 24th.
MEGABYTE = 10**6
LARGEST = 64 * MEGABYTE
BOUNDS = Bounds(file=40 * MEGABYTE, total=160 * MEGABYTE, ratio=200)
ATTEMPTS = 5
PAUSE = 1.0
REDIRECTS = 5

CITATIONS = (
    "please cite Cardona A. et al. (2010), PLoS Biology 8(10), doi 10.1371/journal.pbio.1000502",
    "and Arganda-Carreras I. et al. (2015), Frontiers in Neuroanatomy 9:142, "
    "doi 10.3389/fnana.2015.00142",
)


def download(options: DownloadOptions, progress: Progress) -> StageResult:
    """Fetch the stacks of ISBI 2012, and check that they are these.

    What has come of the archive when a run is interrupted is kept; the same call goes on from
    there.

    Parameters
    ----------
    options : DownloadOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    UsageError
        If the address is none of the web.
    InputError
        If the archive cannot be had, or does not hold the stacks of the challenge.
    """
    check_url(options.url)
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
        terms = Terms(
            limit=LARGEST,
            timeout=options.timeout,
            attempts=ATTEMPTS,
            pause=PAUSE,
            redirects=REDIRECTS,
        )
        source = Download(options.output / PART, url=options.url, terms=terms)
        current = not options.force and writer.is_current()
        if current or options.force:
            source.forget()
        if current:
            return writer.nothing_to_do()
        source.fetch(progress)
        try:
            notes = _unpack(options.output / PART, origin, writer)
        except InputError:
            source.forget()  # to go on from what is wrong would not help
            raise
        size, sha256 = fingerprint(options.output / PART)
        writer.details["archive"] = {"url": origin, "bytes": size, "sha256": sha256}
    source.forget()
    return writer.result([origin], notes=[*notes, *CITATIONS])


def _unpack(path: Path, origin: str, writer: StageWriter) -> list[str]:
    """Write the stacks that an archive holds; returns what to say of one that is left out."""
    archive = Archive(path, origin=origin, bounds=BOUNDS)
    found = archive.extract(STACKS, writer.path(TEST_LABELS).parent)
    for name in PIXELS:
        fault = _fault(name, writer) if name in found else "none in the archive"
        if fault:
            raise InputError(
                origin,
                expected=f"the {name} of ISBI 2012",
                found=fault,
                remedy="nothing was written; check --url",
            )
    fault = _fault(TEST_LABELS, writer) if TEST_LABELS in found else None
    if fault:
        writer.path(TEST_LABELS).unlink()
        expected = f"two values in {describe(SHAPE)}"
        return [f"{TEST_LABELS} is left out: expected {expected}, found {fault}"]
    return []


def _fault(name: str, writer: StageWriter) -> str | None:
    """What makes a file another than that of the challenge; None if nothing does."""
    try:
        with open_volume(writer.path(name)) as volume:
            if volume.shape != SHAPE:
                return describe(volume.shape)
            if name == TEST_LABELS:
                label_values(volume)  # raises unless they are two
            elif (sha256 := _hash(volume)) != PIXELS[name]:
                return f"other pixels (sha256 {sha256})"
            writer.describe(name, shape=volume.shape, dtype=volume.dtype, axes="ZYX")
            return None
    except InputError as error:
        return error.found


def _hash(volume: Volume) -> str:
    """sha256 of the pixels, slice by slice, row by row."""
    digest = hashlib.sha256()
    for image in volume:
        digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
