"""Options of a stage as options of its command."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from unetseg.options import Options

Command = TypeVar("Command", bound=Callable[..., Any])


def stage_options(kind: type[Options]) -> Callable[[Command], Command]:
    """Give a command one option for each field of a dataclass of `unetseg.options`."""

    def decorate(command: Command) -> Command:
        hints = typing.get_type_hints(kind)
        for field in reversed(dataclasses.fields(kind)):
            hint = hints[field.name]
            if not field.metadata["flag"]:
                place = click.argument(field.name, type=_type(field, hint), default=field.default)
                command = place(command)
            else:
                command = _option(field, hint)(command)
        return command

    return decorate


def _option(field: dataclasses.Field[Any], hint: Any) -> Callable[[Command], Command]:
    flag = "--" + field.name.replace("_", "-")
    if hint is bool and field.name != "force":
        flag = f"{flag}/--no-{flag[2:]}"
    return click.option(
        flag,
        field.name,
        is_flag=hint is bool,
        multiple=typing.get_origin(hint) is tuple,
        default=field.default,
        show_default=field.default is not None,
        type=_type(field, hint),
        help=field.metadata["help"],
    )


def _type(field: dataclasses.Field[Any], hint: Any) -> Any:
    bounds = {"min": field.metadata["minimum"], "max": field.metadata["maximum"]}
    if field.metadata["choices"]:
        return click.Choice(field.metadata["choices"])
    if hint in (Path, Path | None, tuple[Path, ...]):
        return click.Path(path_type=Path)
    if hint in (int, int | None):
        return click.IntRange(**bounds)
    if hint in (float, float | None):
        return click.FloatRange(**bounds)
    return str if hint == str | None else hint
