"""Run a stage by its name; the commands, the Python functions and experiments share this."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import shlex
import textwrap
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unetseg import options
from unetseg.errors import UsageError
from unetseg.options import Options, flag_of
from unetseg.progress import Progress, StageResult

STAGES: dict[str, type[Options]] = {
    "synthesize": options.SynthesizeOptions,
    "download": options.DownloadOptions,
    "augment": options.AugmentOptions,
    "gallery": options.GalleryOptions,
    "preprocess": options.PreprocessOptions,
    "train": options.TrainOptions,
    "predict": options.PredictOptions,
    "suggest": options.SuggestOptions,
    "segment": options.SegmentOptions,
    "view": options.ViewOptions,
    "evaluate": options.EvaluateOptions,
    "report": options.ReportOptions,
    "export": options.ExportOptions,
    "crossvalidate": options.CrossvalidateOptions,
}
"""Options of every stage, in the order in which they run."""


def run_stage(name: str, settings: Options, progress: Progress) -> StageResult:
    """Run one stage. Its code is imported only now, so that nobody waits for unused imports."""
    module = importlib.import_module(f"unetseg.stages.{name}")
    result: StageResult = getattr(module, name)(settings, progress)
    return result


def command_line(name: str, **paths: Path) -> str:
    """Return the command that runs a stage on these paths; those that are defaults are left out."""
    return shown([name, *path_flags(name, paths.items())])


def shown(words: Iterable[str]) -> str:
    """Return a command as people type it, from the words that follow `unetseg`."""
    return shlex.join(["unetseg", *words])


def path_flags(name: str, paths: Iterable[tuple[str, Path | str]]) -> list[str]:
    """Return options of a stage with their paths, as words; those that are defaults are left out.

    A default is kept if its option has several paths, such as the models of an ensemble.
    """
    given = list(paths)
    words = []
    for option, path in given:
        alone = sum(other == option for other, _ in given) == 1
        if not alone or default_of(name, option) not in (Path(path), (Path(path),)):
            words += [f"--{option}", str(path)]
    return words


def flags_of(option: str, value: Any) -> list[str]:
    """Return an option with its value, as on the command line: `--copies 3`, a line for each value.

    Options that are not given, such as None or no --force, have no line.
    """
    flag = flag_of(option)
    if value is None or (option == "force" and not value):
        return []
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    values = value if isinstance(value, (tuple, list)) else (value,)
    return [f"--{flag} {shlex.quote(str(one))}" for one in values]


def default_of(name: str, option: str) -> Any:
    """Return the default of a stage's option."""
    return next(f.default for f in dataclasses.fields(STAGES[name]) if flag_of(f.name) == option)


def read_settings(name: str, settings: Mapping[str, Any], *, origin: str = "") -> Options:
    """Return options of a stage from plain values, such as those of a TOML file.

    Parameters
    ----------
    name : str
        Of the stage.
    settings : mapping
        Values by the names of the fields.
    origin : str
        Precedes messages, to say where the values are from.

    Raises
    ------
    UsageError
        If an option is unknown, or its value is not allowed.
    """
    kind = STAGES[name]
    hints = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]
    values = {}
    for key, value in settings.items():
        if key not in known:
            raise UsageError(
                f"{origin}expected an option of unetseg {name}, found {key}{nearest(key, known)}"
            )
        values[key] = _read(value, hints[key], f"{origin}{key}")
    return make_options(kind, values, origin=origin)


def make_options(kind: type[Options], values: Mapping[str, Any], *, origin: str = "") -> Options:
    """Return options of a stage; raise a UsageError beginning with `origin` if one is invalid."""
    try:
        return kind(**values)
    except ValueError as error:
        raise UsageError(f"{origin}{error}") from error


def nearest(word: str, known: list[str]) -> str:
    """Return the end of a message that suggests what may have been meant."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


def _read(value: Any, hint: Any, name: str) -> Any:
    """Convert a value to the type of a field."""
    kinds = typing.get_args(hint) or (hint,)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # NumPy's own numbers
        value = value.item()
    if typing.get_origin(hint) is tuple:
        values = value if isinstance(value, (list, tuple)) else [value]
        return tuple(_read(item, kinds[0], name) for item in values)
    if Path in kinds and isinstance(value, (str, Path)):
        return Path(value)
    if float in kinds and int not in kinds and type(value) is int:
        return float(value)
    if type(value) in kinds:
        return value
    wanted = " or ".join(WORDS[kind] for kind in kinds if kind in WORDS)
    found = textwrap.shorten(repr(value), LONGEST_VALUE, placeholder=" ...")
    raise UsageError(f"{name}: expected {wanted}, found {found}")


LONGEST_VALUE = 80  # of a value that is shown, in characters
WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
}
