"""Figures that look the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from matplotlib import style

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def plain(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let a function draw by matplotlib's own settings.

    Those of a matplotlibrc may want LaTeX, which is not everywhere, and would change the bytes of
    what must be the same for the same options.
    """

    @wraps(draw)
    def draw_plainly(*arguments: Arguments.args, **settings: Arguments.kwargs) -> Result:
        with style.context("default"):
            return draw(*arguments, **settings)

    return draw_plainly
