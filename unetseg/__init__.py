"""Segment cell membranes in electron-microscopy stacks with a U-Net."""

from typing import TYPE_CHECKING, Any

from unetseg.version import __version__ as __version__

if TYPE_CHECKING:
    from unetseg.api import Result, augment, evaluate, predict, preprocess, segment, suggest, train

__all__ = ["Result", "augment", "evaluate", "predict", "preprocess", "segment", "suggest", "train"]


def __getattr__(name: str) -> Any:
    """Import the functions on first use, so that the commands start without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from unetseg import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
