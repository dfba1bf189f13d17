"""Options of a stage as options of its command."""

from __future__ import annotations

import dataclasses
import typing
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from unetseg.errors import UsageError
from unetseg.options import LabelOptions, Options, flag_of

Command = TypeVar("Command", bound=Callable[..., Any])


class OnceCommand(click.Command):
    """A command that refuses an option given twice, unless it takes several values.

    click silently takes the last of two, and so perhaps the wrong stack.
    """

    def make_parser(self, ctx: click.Context) -> Any:
        """Return click's parser, changed to count options."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_once(args: list[str]) -> Any:
            parsed = parse(args)
            for parameter, count in Counter(parsed[-1]).items():
                several = isinstance(parameter, click.Option) and parameter.multiple
                # While a shell completes a line, nothing in it is wrong yet.
                if count > 1 and not several and not ctx.resilient_parsing:
                    flag = "/".join([*parameter.opts, *parameter.secondary_opts])
                    raise UsageError(
                        f"{flag}: expected once, found {count} times; leave out all but one"
                    )
            return parsed

        parser.parse_args = parse_once  # type: ignore[method-assign]
        return parser


class Number(click.types.FloatParamType):
    """A number; integers stay exact, even those that a float cannot hold."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Convert the text to an integer if possible, else to a float."""
        try:
            return int(str(value))
        except ValueError:
            return super().convert(value, param, ctx)


def stage_options(kind: type[Options]) -> Callable[[Command], Command]:
    """Give a command one option for each field of a dataclass of `unetseg.options`."""

    def decorate(command: Command) -> Command:
        hints = typing.get_type_hints(kind)
        # Options on labels, which several commands share, come after a command's own.
        shared = {field.name for field in dataclasses.fields(LabelOptions)}
        fields = sorted(dataclasses.fields(kind), key=lambda field: field.name in shared)
        for field in reversed(fields):
            hint = hints[field.name]
            if not field.metadata["flag"]:
                place = click.argument(field.name, type=_type(field, hint), default=field.default)
                command = place(command)
            else:
                command = _option(field, hint)(command)
        return command

    return decorate


def _option(field: dataclasses.Field[Any], hint: Any) -> Callable[[Command], Command]:
    flag = "--" + flag_of(field.name)
    switch = hint in (bool, bool | None)
    if switch and field.name != "force":
        flag = f"{flag}/--no-{flag[2:]}"
    return click.option(
        flag,
        field.name,
        is_flag=switch,
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
    if hint == int | float | None:
        return Number()
    if hint in (int, int | None):
        return click.IntRange(**bounds)
    if hint in (float, float | None):
        return click.FloatRange(**bounds)
    if hint == bool | None:
        return bool
    return str if hint == str | None else hint
