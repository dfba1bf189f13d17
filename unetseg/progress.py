"""How stages tell the user what they are doing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """What a stage needs of whoever watches it."""

    def say(self, line: str) -> None:
        """Show a line."""

    def track(self, items: Iterable[T], *, total: int, label: str, unit: str) -> Iterator[T]:
        """Pass the items on, and show how many have passed."""


class Silent:
    """Shows nothing."""

    def say(self, line: str) -> None:
        """Drop the line."""

    def track(self, items: Iterable[T], *, total: int, label: str, unit: str) -> Iterator[T]:
        """Pass the items on."""
        return iter(items)
