"""What an unfinished run has come to, in one file that is replaced whole."""

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

Arrays = Sequence[npt.NDArray[Any]]
RECORD = "record"


class Checkpoint:
    """The state of a run, kept so that the same run can go on from it.

    Parameters
    ----------
    path : Path
        Of the file. A run that dies while it is written leaves the one before.
    run : mapping
        What makes two runs the same, such as options and inputs; anything that JSON can hold.
    """

    def __init__(self, path: Path, *, run: Mapping[str, Any]) -> None:
        self.path = path
        # By way of JSON, which turns tuples into lists: what is compared is what was written.
        self._run = json.loads(json.dumps(run))

    def save(self, arrays: Mapping[str, Arrays], record: Any) -> None:
        """Keep lists of arrays by name, and a record of anything that JSON can hold."""
        text = json.dumps({"run": self._run, "record": record})
        entries: dict[str, Any] = {RECORD: np.array(text)}
        for name, group in arrays.items():
            entries |= {f"{name}-{i}": array for i, array in enumerate(group)}
        with replacing(self.path) as file:
            np.savez(file, **entries)

    def load(self) -> tuple[dict[str, list[npt.NDArray[Any]]], Any] | None:
        """The arrays and the record, None where there are none.

        Raises
        ------
        InputError
            If the file is damaged or belongs to another run.
        """
        if not self.path.exists():
            return None
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as entries:
                text = json.loads(str(entries[RECORD]))
                run, record = text["run"], text["record"]
                same = run == self._run
                groups: dict[str, list[npt.NDArray[Any]]] = {}
                # Saved in order.
                for entry in entries.files if same else ():
                    if entry != RECORD:
                        groups.setdefault(entry.rpartition("-")[0], []).append(entries[entry])
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                self.path,
                expected="the state of an unfinished run",
                found=f"something else ({type(error).__name__})",
                remedy="begin anew with --force",
            ) from error
        refuse_other_run(self.path.parent, found=run, expected=self._run)
        return groups, record

    def remove(self) -> None:
        """Forget the run."""
        self.path.unlink(missing_ok=True)


def refuse_other_run(folder: Path, *, found: Any, expected: Any) -> None:
    """Raise an InputError unless an unfinished run is the one that is to go on."""
    if found != expected:
        raise InputError(
            folder,
            expected="an unfinished run of the same options and inputs",
            found=f"one that differs in {_differences(found, expected)}",
            remedy="give the same to finish it, another --output, or begin anew with --force",
        )


def _differences(old: Any, new: Any, name: str = "") -> str:
    """Names of the values that differ, with the old value where it is short."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        return ", ".join(_differences(old.get(key), new.get(key), key) for key in names)
    return f"{name} ({old})" if isinstance(old, (str, int, float)) else name
