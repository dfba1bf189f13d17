"""The state of an unfinished training run, in one file that is replaced as a whole.

Whether a run may resume from it is decided by the writer of the folder in which the file lies.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.errors import InputError
from unetseg.stacks.files import replacing

RECORD = "record"


def save_checkpoint(
    path: Path, arrays: Mapping[str, Sequence[npt.NDArray[Any]]], record: Any
) -> None:
    """Save named lists of arrays, and a record of anything that JSON can hold.

    A run that dies while saving leaves the previous checkpoint.
    """
    entries: dict[str, Any] = {RECORD: np.array(json.dumps(record))}
    for name, group in arrays.items():
        entries |= {f"{name}-{i}": array for i, array in enumerate(group)}
    with replacing(path) as file:
        np.savez(file, **entries)


def load_checkpoint(path: Path) -> tuple[dict[str, list[npt.NDArray[Any]]], Any] | None:
    """Load the arrays and the record; None if there is no checkpoint.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as entries:
            record = json.loads(str(entries[RECORD]))
            groups: dict[str, list[npt.NDArray[Any]]] = {}
            for entry in entries.files:  # in the order in which they were saved
                if entry != RECORD:
                    groups.setdefault(entry.rpartition("-")[0], []).append(entries[entry])
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            path,
            expected="the state of an unfinished run",
            found=f"something else ({type(error).__name__})",
            remedy="start over with --force",
        ) from error
    return groups, record


def load_record(path: Path) -> Any:
    """Load the record alone, to follow a training run; None if there is no readable one."""
    try:
        with np.load(path, allow_pickle=False) as entries:
            return json.loads(str(entries[RECORD]))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
