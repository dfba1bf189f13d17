"""How stages tell the user what they are doing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


def one(item: object) -> float:
    """Every item counts the same."""
    return 1


class Progress(Protocol):
    """What a stage needs of whoever watches it."""

    def say(self, line: str) -> None:
        """Show a line."""

    def warn(self, line: str) -> None:
        """Show a line that says what may be wrong."""

    def track(
        self,
        items: Iterable[T],
        *,
        total: float,
        label: str,
        unit: str,
        size: Callable[[T], float] = one,
    ) -> Iterator[T]:
        """Pass the items on, and show how many have passed, or how much of `unit` they hold."""


class Silent:
    """Shows nothing."""

    def say(self, line: str) -> None:
        """Drop the line."""

    def warn(self, line: str) -> None:
        """Drop the line."""

    def track(
        self,
        items: Iterable[T],
        *,
        total: float,
        label: str,
        unit: str,
        size: Callable[[T], float] = one,
    ) -> Iterator[T]:
        """Pass the items on."""
        return iter(items)
