"""Errors that a user can cause. Each has a message of one line, and the command's exit code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from os import PathLike
from typing import Any


def first_of(names: Sequence[str], *, most: int) -> str:
    """List at most `most` names for a message."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


class UnetsegError(Exception):
    """An error that a user can fix; the message is one line that says how."""

    exit_code = 1


class InputError(UnetsegError):
    """A file or folder is not what a stage needs.

    Parameters
    ----------
    path : path-like
        The file or folder.
    expected, found : str
        What should be there, and what is.
    remedy : str
        What to do about it.
    """

    def __init__(
        self, path: str | PathLike[str], *, expected: str, found: str, remedy: str
    ) -> None:
        super().__init__(f"{path}: expected {expected}, found {found}; {remedy}")
        self.expected, self.found = expected, found
        self._parts = {"expected": expected, "found": found, "remedy": remedy}
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling, by which errors come from other processes."""
        return partial(type(self), **self._parts), (self._path,)


class OutputError(UnetsegError):
    """A result cannot be written where the user wants it."""


class TrainingError(UnetsegError):
    """Training cannot go on."""


class UsageError(UnetsegError):
    """Options that are invalid, or contradict each other."""

    exit_code = 2
