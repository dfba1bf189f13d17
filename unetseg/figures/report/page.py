"""Render the page from template, style and script, with nothing loaded from outside."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(contents: dict[str, Any]) -> str:
    """Render the page.

    The template escapes every text, because names of files are not to be trusted. The page's own
    security policy forbids everything from outside, and allows its style and script by hash.

    Parameters
    ----------
    contents : dict
        The variables of template.html.

    Returns
    -------
    str
        HTML; equal contents give equal text.
    """
    environment = Environment(
        loader=PackageLoader("unetseg.figures.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        thousands=thousands, span=span, duration=duration, score=score, measure=measure
    )
    # Our own files, without anything from the user: safe unescaped.
    style, script = (Markup(_text(name)) for name in ("style.css", "script.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    template = environment.get_template("template.html")
    return template.render(**contents, style=style, script=script, policy=policy) + "\n"


def _text(name: str) -> str:
    return files("unetseg.figures.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def thousands(number: int) -> str:
    """Write a count with narrow spaces between groups of three digits."""
    return f"{number:,}".replace(",", "\u202f")


def score(value: float) -> str:
    """Write a score as the challenge does."""
    return f"{value:.4f}"


def measure(name: str) -> Markup:
    """Write what follows the underscore of V_Rand and V_Info as a subscript."""
    letter, _, index = name.partition("_")
    return Markup("{}<sub>{}</sub>").format(letter, index) if index else Markup("{}").format(name)


def duration(minutes: float) -> str:
    """Write a duration in words."""
    if minutes < 1:
        seconds = max(1, round(minutes * 60))
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    if minutes < 90:
        return f"{minutes:.3g} minute{'' if f'{minutes:.3g}' == '1' else 's'}"
    return f"{minutes / 60:.3g} hours"


def span(numbers: list[int]) -> str:
    """Write slice numbers as blocks, such as 24-29, 31, with an en dash."""
    blocks: list[list[int]] = []
    for number in sorted(numbers):
        if blocks and number == blocks[-1][-1] + 1:
            blocks[-1].append(number)
        else:
            blocks.append([number])
    return ", ".join(str(b[0]) if len(b) == 1 else f"{b[0]}\N{EN DASH}{b[-1]}" for b in blocks)
