"""Figures that look the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from matplotlib import style

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def plain(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a function draw with matplotlib's default settings.

    Those of a user's matplotlibrc may require LaTeX, which is not always installed, and would
    change the bytes of files that must be equal for equal options.
    """

    @wraps(draw)
    def draw_plainly(*arguments: Arguments.args, **settings: Arguments.kwargs) -> Result:
        with style.context("default"):
            return draw(*arguments, **settings)

    return draw_plainly
