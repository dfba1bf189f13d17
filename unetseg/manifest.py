"""Manifests: what a finished stage says of itself, and the check that it still holds."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unetseg.errors import InputError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Source:
    """What a stage read: path as seen from its folder, size and hash of the contents."""

    path: str
    bytes: int
    sha256: str


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
        # A manifest may come from a stranger, and a rerun removes the outputs that it names.
        if Path(self.name).name != self.name or self.name in ("", ".."):
            raise ValueError(f"{self.name!r} is not the name of a file in this folder")


@dataclass(frozen=True)
class Manifest:
    """What a finished stage says of itself.

    Attributes
    ----------
    stage, version : str
        Subcommand, and the version of unetseg that ran it.
    options : dict
        The options that decided the result.
    inputs, outputs : list of Source, list of Output
    details : dict
        What the next stages must know, such as the source slice of every copy.
    """

    stage: str
    version: str
    options: dict[str, Any]
    inputs: list[Source]
    outputs: list[Output]
    details: dict[str, Any]

    def to_json(self) -> str:
        """Serialise; equal manifests give equal text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest.json.

        Raises
        ------
        InputError
            If it is no manifest.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                stage=str(raw["stage"]),
                version=str(raw["version"]),
                options=dict(raw["options"]),
                inputs=[Source(**source) for source in raw["inputs"]],
                outputs=[Output(**output) for output in raw["outputs"]],
                details=dict(raw["details"]),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                path,
                expected="a manifest of unetseg",
                found=f"something else ({type(error).__name__})",
                remedy="delete the folder and run its stage again",
            ) from error


def open_stage(folder: Path, *, stage: str, fresh: bool) -> Manifest:
    """Check that a stage finished and that its files are as it left them.

    Parameters
    ----------
    folder : Path
        The stage's folder.
    stage : str
        Subcommand that must have written it.
    fresh : bool
        Check too that its inputs, where they are still in place, are what it read.

    Raises
    ------
    InputError
        If any of that does not hold.
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
    for output in manifest.outputs:
        if not matches(folder / output.name, output):
            raise InputError(
                folder / output.name,
                expected=f"the file that unetseg {stage} wrote",
                found="another" if (folder / output.name).exists() else "none",
                remedy=f"{command} again",
            )
    if fresh:
        _check_inputs(folder, manifest)
    return manifest


def _check_inputs(folder: Path, manifest: Manifest) -> None:
    """Raise if this stage, or one before it, read something else than what is there now."""
    for source in manifest.inputs:
        origin = Path(os.path.normpath(folder / source.path))
        if not origin.exists():
            continue
        if origin.name == MANIFEST:
            _check_inputs(origin.parent, Manifest.read(origin))
        if not matches(origin, source):
            raise InputError(
                folder,
                expected=f"results made from the present {origin}",
                found="results made from an earlier one",
                remedy=f"run unetseg {manifest.stage} again",
            )


def matches(path: Path, record: Source | Output) -> bool:
    """Whether a file or folder is the one that was recorded."""
    if not path.exists() or (path.is_file() and path.stat().st_size != record.bytes):
        return False
    return fingerprint(path) == (record.bytes, record.sha256)


def fingerprint(path: Path) -> tuple[int, str]:
    """Size in bytes and sha256 of a file, or of a folder with all that is in it."""
    if path.is_dir():
        files = sorted(entry for entry in path.rglob("*") if entry.is_file())
        parts = [(file.relative_to(path).as_posix(), *fingerprint(file)) for file in files]
        return sum(part[1] for part in parts), hashlib.sha256(repr(parts).encode()).hexdigest()
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
