"""Manifests: what a finished stage records, and the check that it is still valid."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from unetseg.artifacts.forms import DETAILS, check_form, require
from unetseg.errors import InputError
from unetseg.stacks.hashing import Hasher, fingerprint, in_threads, size, state
from unetseg.stacks.location import is_there

MANIFEST = "manifest.json"

# Ending of temporary folders of Python objects. Their location is arbitrary, and not recorded.
PASSING = ".passing"
IN_MEMORY = "(in memory)"


class ForeignManifestError(InputError):
    """A manifest.json that some other program wrote: many use files of this name."""


@dataclass(frozen=True)
class Seen:
    """A file or folder as first seen, so that a stage can tell whether it has changed since.

    Attributes
    ----------
    path : Path
    state : str
        Hash that changes when it is written to or replaced.
    content : (int, str), optional
        Size and sha256 of the very bytes that were read, if it was read as a whole.
    """

    path: Path
    state: str = ""
    content: tuple[int, str] | None = None

    @classmethod
    def of(cls, path: Path) -> Seen:
        """Record the state of what a stage is about to open."""
        return cls(path, state(path))

    def has_changed(self) -> bool:
        """Whether it has changed or is gone."""
        try:
            if self.content is None:
                return state(self.path) != self.state
            return fingerprint(self.path) != self.content
        except FileNotFoundError:  # gone, or a part of it went while it was read
            return True


@dataclass(frozen=True)
class Source:
    """An input of a stage: path relative to its folder, size and hash of the contents."""

    path: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        check_form(vars(self), {"path": str, "bytes": int, "sha256": str})

    def seen_from(self, folder: Path) -> Path:
        """Return where the input was when the stage of that folder ran."""
        # Paths are relative to the folder itself, not to a link to it.
        return Path(os.path.normpath(folder.resolve() / self.path))


@dataclass(frozen=True)
class Output:
    """A file or folder that a stage wrote; shape, dtype and axes where it is an array."""

    name: str
    bytes: int
    sha256: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    axes: str | None = None

    def __post_init__(self) -> None:
        check_form(vars(self), {"name": str, "bytes": int, "sha256": str})
        check_form(list(self.shape or ()), [int])
        # A manifest may come from a stranger, and a rerun removes the outputs that it names.
        if Path(self.name).name != self.name or self.name in ("", ".."):
            raise ValueError(f"{self.name!r} is not the name of a file in this folder")


@dataclass(frozen=True)
class Manifest:
    """What a finished stage records about itself.

    Attributes
    ----------
    stage, version : str
        Subcommand, and the version of unetseg that ran it.
    options : dict
        The options that determine the result.
    inputs, outputs : list of Source, list of Output
    details : dict
        What the next stages must know, such as the source slice of every copy.
    seen : Seen, optional
        The file that it was read from.
    """

    stage: str
    version: str
    options: dict[str, Any]
    inputs: list[Source]
    outputs: list[Output]
    details: dict[str, Any]
    seen: Seen | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return what is written to the file."""
        return {name: value for name, value in asdict(self).items() if name != "seen"}

    def to_json(self) -> str:
        """Serialise; equal manifests give equal text."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest.json.

        Raises
        ------
        ForeignManifestError
            If another program wrote it.
        InputError
            If it is damaged.
        """
        try:
            text = path.read_bytes()
            raw = json.loads(text.decode("utf-8"))
            if not isinstance(raw, dict) or not {"stage", "outputs"} & set(raw):
                raise ForeignManifestError(
                    path,
                    expected="a manifest of unetseg",
                    found="that of another program",
                    remedy="check the path",
                )
            return cls(
                stage=str(raw["stage"]),
                version=str(raw["version"]),
                options=dict(raw["options"]),
                inputs=[Source(**source) for source in raw["inputs"]],
                outputs=[Output(**output) for output in raw["outputs"]],
                details=dict(raw["details"]),
                seen=Seen(path, content=(len(text), hashlib.sha256(text).hexdigest())),
            )
        except (ValueError, KeyError, TypeError, RecursionError, IsADirectoryError) as error:
            raise InputError(
                path,
                expected="a manifest of unetseg",
                found=f"something else ({type(error).__name__})",
                remedy="check the path, or run its stage again with another --output",
            ) from error


def find_manifest(folder: Path) -> Manifest | None:
    """Read the manifest in a folder; None if there is none, or only that of another program."""
    try:
        return Manifest.read(folder / MANIFEST) if (folder / MANIFEST).is_file() else None
    except ForeignManifestError:
        return None


def open_stage(folder: Path, *, stage: str, fresh: bool) -> Manifest:
    """Check that a stage finished and that its files are as it left them.

    Parameters
    ----------
    folder : Path
        The stage's folder.
    stage : str
        Subcommand that must have written it.
    fresh : bool
        Also check that its inputs, if they are still in place, have not changed.

    Raises
    ------
    InputError
        If any of these checks fails.
    """
    command = f"run unetseg {stage}"
    path = folder / MANIFEST
    expected = f"the finished results of unetseg {stage}"
    if not path.is_file():
        found = "no manifest.json" if folder.is_dir() else "no such folder"
        raise InputError(folder, expected=expected, found=found, remedy=f"{command} first")
    manifest = Manifest.read(path)
    if manifest.stage != stage:
        found = f"those of unetseg {manifest.stage}"
        raise InputError(folder, expected=expected, found=found, remedy="check the path")
    require(manifest, path, details=DETAILS.get(stage, {}))
    for output in manifest.outputs:
        if not matches(folder / output.name, output):
            raise InputError(
                folder / output.name,
                expected=f"the file that unetseg {stage} wrote",
                found="another" if (folder / output.name).exists() else "none",
                remedy=f"{command} again",
            )
    if fresh:
        _check_inputs(folder, manifest, checked={path})
    return manifest


def _check_inputs(folder: Path, manifest: Manifest, *, checked: set[Path]) -> None:
    """Raise if inputs of this stage, or of one before it, have changed since they were read."""
    for source in manifest.inputs:
        origin = source.seen_from(folder)
        if not is_there(origin):
            continue
        # Manifests of strangers may name each other in a circle.
        if origin.name == MANIFEST and origin not in checked:
            checked.add(origin)
            before = Manifest.read(origin)
            # The model that this one was trained from may be trained further, and each version
            # brings its own starter: this one keeps what it took over, and records its ancestors.
            if manifest.stage == before.stage == "train":
                continue
            _check_inputs(origin.parent, before, checked=checked)
        if not matches(origin, source):
            raise InputError(
                folder,
                expected=f"results made from the present {origin}",
                found="results made from an earlier one",
                remedy=f"run unetseg {manifest.stage} again",
            )


def matches(path: Path, record: Source | Output, *, hasher: Hasher = in_threads) -> bool:
    """Whether a file or folder is the one that was recorded, unchanged."""
    # The size first: a stranger's manifest may name a huge folder, or an endless device.
    try:
        return size(path) == record.bytes and fingerprint(path, hasher=hasher)[1] == record.sha256
    except FileNotFoundError:
        return False


def written_by(path: Path, *stages: str) -> str | None:
    """Return which of these stages wrote a file, if it is unchanged and still in their folder."""
    try:
        manifest = Manifest.read(path.parent / MANIFEST)
    except (InputError, OSError):
        return None
    # Only a file of these stages is hashed.
    ours = manifest.stage in stages and any(
        output.name == path.name and matches(path, output) for output in manifest.outputs
    )
    return manifest.stage if ours else None


def recorded_path(path: Path, *, folder: Path) -> str:
    """Return a path as a manifest in `folder` records it: relative to it, or below PASSING."""
    parts = path.resolve().parts
    for number, part in enumerate(parts, start=1):
        if part.endswith(PASSING):
            return PurePosixPath(IN_MEMORY, *parts[number:]).as_posix()
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
