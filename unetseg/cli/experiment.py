"""An experiment: the options of all stages in one TOML file, for `unetseg run`."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from unetseg import options
from unetseg.errors import InputError, UsageError
from unetseg.options import Options, flag_of
from unetseg.running import STAGES, nearest, read_settings

FOLDERS = {"data": options.DATA, "work": options.WORK}


def read_experiment(path: Path) -> dict[str, Options]:
    """Read which stages to run, and their options.

    The file has a table, perhaps empty, for each stage to run, with options named like the flags.
    Before them, `data` and `work` may name other folders than data/ and work/ for all stages.

    Parameters
    ----------
    path : Path
        Of a TOML file. Paths in it are as on the command line: relative to the current folder.

    Returns
    -------
    dict
        Options by stage, in the order in which stages run.

    Raises
    ------
    InputError
        If the file cannot be read.
    UsageError
        If it is not TOML, names no stage, or has an unknown stage or option, or a value that is
        not allowed.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        found = str(error.strerror)
        raise InputError(
            path, expected="a TOML file", found=found, remedy="check the path"
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{path}: expected a TOML file, found none ({error}); correct it: docs/experiments.md "
            "shows one"
        ) from error
    known = [*FOLDERS, *(f"[{stage}]" for stage in STAGES)]
    folders = {}
    for key, value in raw.items():
        shown = f"[{key}]" if isinstance(value, dict) else key
        if shown not in known:
            raise UsageError(
                f"{path}: expected data, work or the table of a stage, found {shown}"
                f"{nearest(shown, known)}"
            )
        if key in FOLDERS:
            if not isinstance(value, str):
                raise UsageError(f"{path}: {key}: expected a path, found {value!r}")
            folders[FOLDERS[key]] = Path(value)
    if not set(raw) & set(STAGES):
        raise UsageError(f"{path}: expected the table of a stage such as [train], found none")
    return {
        stage: _read_stage(stage, raw[stage], folders, origin=f"{path}: [{stage}] ")
        for stage in STAGES
        if stage in raw
    }


def _read_stage(
    stage: str, table: dict[str, Any], folders: dict[Path, Path], *, origin: str
) -> Options:
    """Read options from a table; default paths lie in the experiment's own folders."""
    fields = dataclasses.fields(STAGES[stage])
    values: dict[str, Any] = {f.name: _moved(f.default, folders) for f in fields}
    flags = {flag_of(f.name): f.name for f in fields}
    for flag, value in table.items():
        if flag not in flags:
            raise UsageError(
                f"{origin}expected an option of unetseg {stage}, found {flag}"
                f"{nearest(flag, list(flags))}"
            )
        values[flags[flag]] = value
    return read_settings(stage, values, origin=origin)


def _moved(default: Any, folders: dict[Path, Path]) -> Any:
    """Return a default with data/ or work/ in its path replaced by the experiment's folder."""
    if isinstance(default, tuple):
        return tuple(_moved(part, folders) for part in default)
    for usual, folder in folders.items():
        if isinstance(default, Path) and default.is_relative_to(usual):
            return folder / default.relative_to(usual)
    return default
