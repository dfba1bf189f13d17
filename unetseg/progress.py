"""How stages tell the user what they are doing, and what they have done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


def one(item: object) -> float:
    """Count every item as 1."""
    return 1


class Progress(Protocol):
    """The interface by which a stage reports its progress."""

    def say(self, line: str) -> None:
        """Show a line."""

    def warn(self, line: str) -> None:
        """Show a warning."""

    def track(
        self,
        items: Iterable[T],
        *,
        total: float,
        label: str,
        unit: str,
        size: Callable[[T], float] = one,
    ) -> Iterator[T]:
        """Yield the items, and show how many have passed, or their total `size` in `unit`."""


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
        """Yield the items."""
        return iter(items)


@dataclass(frozen=True)
class StageResult:
    """What a stage tells the user at its end: lines to read, and the next command.

    Attributes
    ----------
    folder : Path or None
        Where its results are, if it leaves any.
    read, wrote, notes : list of str
        Lines for people.
    data : dict
        Figures for programs.
    """

    folder: Path | None
    read: list[str]
    wrote: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    next_command: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
