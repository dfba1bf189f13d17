"""The references of the site, written from the commands and the package themselves.

sphinx-click would list the commands too, but leaves out what bounds an option has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

import unetseg
from unetseg.cli.commands import main

# What works on arrays, for use elsewhere: heading and functions.
ARRAYS = {
    "Scores": (
        "unetseg.arrays.metrics.score_slice",
        "unetseg.arrays.metrics.segmentation_scores",
        "unetseg.arrays.metrics.StackScores",
        "unetseg.arrays.metrics.SliceScores",
        "unetseg.arrays.metrics.FScore",
    ),
    "Scores through the slices": (
        "unetseg.arrays.contingency.count_overlaps",
        "unetseg.arrays.contingency.sum_overlaps",
        "unetseg.arrays.contingency.Overlaps",
        "unetseg.arrays.cellscores.variation_of_information",
        "unetseg.arrays.cellscores.Information",
        "unetseg.arrays.cellscores.adapted_rand",
        "unetseg.arrays.cellscores.worst_splits",
        "unetseg.arrays.cellscores.worst_merges",
        "unetseg.arrays.cellscores.Division",
        "unetseg.arrays.cellscores.Part",
    ),
    "Cells": (
        "unetseg.arrays.segments.label_cells",
        "unetseg.arrays.segments.thin_borders",
        "unetseg.arrays.cells.segment_cells",
        "unetseg.arrays.linking.link_neighbours",
        "unetseg.arrays.linking.link_slices",
        "unetseg.arrays.linking.solve_multicut",
    ),
    "Weights": ("unetseg.arrays.weights.weight_map",),
}


def commands_page() -> str:
    """Every command with its arguments and options, as MyST Markdown."""
    parent = click.Context(main, info_name="unetseg")
    parts = []
    for name in main.list_commands(parent):
        command = main.commands[name]
        context = click.Context(command, info_name=name, parent=parent)
        parts += ["", f"## {name}", "", command.help or "", ""]
        parts += ["```text", context.get_usage().removeprefix("Usage: "), "```", ""]
        parts += [f"```{{program}} unetseg {name}", "```"]
        for parameter in command.params:
            parts += ["", *describe(parameter, context)]
    return "\n".join(parts) + "\n"


def describe(parameter: click.Parameter, context: click.Context) -> Iterator[str]:
    """An argument or option: how it is written, what it does, what it may be."""
    facts = []
    if isinstance(parameter, click.Option):
        value = "" if parameter.is_flag else f" <{placeholder(parameter.type)}>"
        signature = ", ".join([*parameter.opts, *parameter.secondary_opts]) + value
        text = escape(parameter.help or "")
        # Where the default depends on other options, the help text says it itself.
        facts.append(re.sub(r"\s*\[default: (.*)\]$", r" Default: `\1`", text))
    else:
        signature = parameter.make_metavar(context).strip("[]")
    if isinstance(parameter.type, click.Choice):
        facts.append("One of " + ", ".join(f"`{choice}`" for choice in parameter.type.choices))
    elif isinstance(parameter.type, (click.IntRange, click.FloatRange)):
        facts.append(bounds(parameter.type.min, parameter.type.max))
    facts.append(default(parameter))
    if parameter.multiple:
        facts.append("May be given several times")
    text = " ".join(fact if fact.endswith(".") else f"{fact}." for fact in facts if fact)
    yield from (f"```{{option}} {signature}", text, "```")


def placeholder(kind: click.ParamType) -> str:
    """What stands for the value of an option."""
    if isinstance(kind, click.Path):
        return "path"
    if isinstance(kind, click.Choice):
        return "choice"
    if isinstance(kind, click.types.IntParamType):
        return "integer"
    return "number" if isinstance(kind, click.types.FloatParamType) else "text"


def bounds(low: float | None, high: float | None) -> str:
    """Between what a number must lie."""
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"At least {low}"
    return "" if high is None else f"At most {high}"


def default(parameter: click.Parameter) -> str:
    """What holds where nothing is given."""
    value = parameter.default
    if isinstance(parameter, click.Option) and parameter.is_flag:
        if not parameter.secondary_opts:
            return ""
        flags = parameter.opts if value else parameter.secondary_opts
        return f"Default: `{flags[0]}`"
    if isinstance(value, (tuple, list)):
        value = " ".join(str(each) for each in value)
    known = isinstance(value, (str, int, float, Path)) and value != ""
    return f"Default: `{value}`" if known else ""


def escape(text: str) -> str:
    """Help text as Markdown that looks the same; what is in backticks stays code."""
    return text.replace("*", "\\*").replace("<", "\\<")


def python_page() -> str:
    """The public functions, by their docstrings, as MyST Markdown."""
    parts = [""]
    names = [name.replace("-", "_") for name in main.commands]
    functions = [name for name in names if callable(getattr(unetseg, name, None))]
    if functions:
        parts += ["## Stages", "", "The commands as functions.", ""]
        parts += [autodoc("function", f"unetseg.{name}") for name in functions]
    parts += ["## Arrays", "", "NumPy arrays in, NumPy arrays out; no files.", ""]
    for heading, names in ARRAYS.items():
        parts += [f"### {heading}", ""]
        for name in names:
            is_class = name.rpartition(".")[2][0].isupper()
            parts.append(autodoc("class" if is_class else "function", name))
    return "\n".join(parts) + "\n"


def autodoc(kind: str, name: str) -> str:
    """A directive that Sphinx replaces by the signature and docstring."""
    options = "   :members: from_slices, best\n" if name.endswith("StackScores") else ""
    return f"```{{eval-rst}}\n.. auto{kind}:: {name}\n{options}```\n"
