"""The hidden folder that a stage works in, and how its files are moved into place.

It lies inside the stage's own folder, and gets the manifest too. Files are moved only when it is
complete, the manifest last: where there is a manifest.json, there are all files that it names. A
run that dies leaves the earlier results as they were; one that dies between two moves is finished
by the next.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from unetseg.artifacts.manifest import MANIFEST, Manifest
from unetseg.errors import InputError
from unetseg.stacks.files import DRAFT, flush_names

UNFINISHED = ".unfinished"
RUN = ".run.json"  # identity of a run that can be resumed
REPLACED = ".replaced.json"  # the earlier manifest, between the first move and the last


def move_into_place(folder: Path) -> None:
    """Move a complete staging folder's files to their places, the manifest last."""
    staging = folder / UNFINISHED
    if (folder / MANIFEST).exists():
        # Without a manifest the folder counts as incomplete until the last move. The old one is
        # kept: only it lists the earlier outputs.
        (folder / MANIFEST).replace(staging / REPLACED)
    if (staging / REPLACED).exists():
        kept = [output.name for output in Manifest.read(staging / MANIFEST).outputs]
        for output in Manifest.read(staging / REPLACED).outputs:
            if output.name not in kept:
                _remove(folder / output.name)
    for path in [path for path in finished(staging) if path.name != MANIFEST]:
        if path.is_dir():  # a folder can only replace an empty one
            _remove(folder / path.name)
        path.replace(folder / path.name)
    (staging / MANIFEST).replace(folder / MANIFEST)
    flush_names(folder)
    shutil.rmtree(staging)


def recover(folder: Path) -> None:
    """Finish or remove what a run that died left behind, unless it can be resumed."""
    staging = folder / UNFINISHED
    if (staging / MANIFEST).exists():
        move_into_place(folder)
    elif not can_go_on(staging):
        shutil.rmtree(staging, ignore_errors=True)


def can_go_on(staging: Path) -> bool:
    """Whether a resumable run has left anything to resume from."""
    names = {path.name for path in staging.iterdir()} if staging.exists() else set()
    return RUN in names and any(name != RUN and not name.endswith(DRAFT) for name in names)


def check_same_run(folder: Path, identity: dict[str, Any]) -> None:
    """Raise an InputError if the unfinished run in a folder is not the one of this identity."""
    try:
        found = json.loads((folder / UNFINISHED / RUN).read_text(encoding="utf-8"))
    except ValueError:
        found = {}
    # By way of JSON, which turns tuples into lists.
    expected = json.loads(json.dumps(identity))
    if found != expected:
        raise InputError(
            folder,
            expected="an unfinished run of the same options and inputs",
            found=f"one that differs in {_differences(found, expected)}",
            remedy="give the same, choose another --output, or start over with --force",
        )


def _differences(old: Any, new: Any, name: str = "") -> str:
    """Names of the values that differ, with the old value where it is short."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        return ", ".join(_differences(old.get(key), new.get(key), key) for key in names)
    return f"{name} ({old})" if isinstance(old, (str, int, float)) else name


def finished(staging: Path) -> list[Path]:
    """Files and folders that were written for the user; hidden ones are the stage's own."""
    return sorted(path for path in staging.iterdir() if not path.name.startswith("."))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
