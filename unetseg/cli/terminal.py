"""The output of a run: results on standard output, everything else on standard error."""

from __future__ import annotations

import datetime
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

import click

from unetseg.artifacts.manifest import MANIFEST, Manifest
from unetseg.engine.machine import peak_memory
from unetseg.options import Options, public
from unetseg.progress import StageResult, one
from unetseg.running import flags_of
from unetseg.version import __version__

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10


@dataclass(frozen=True)
class Terminal:
    """Progress as text on standard error, which leaves standard output to results.

    Parameters
    ----------
    quiet : bool
        Show only warnings.
    verbose : bool
        Also show the options in force, and what time and memory a stage took.
    as_json : bool
        Results as one line of JSON, for scripts.
    """

    quiet: bool = False
    verbose: bool = False
    as_json: bool = False
    began: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        """Show a line."""
        if not self.quiet:
            click.echo(line, err=True)

    def warn(self, line: str) -> None:
        """Show a line that must not be missed."""
        click.echo(f"warning: {line}", err=True)

    def track(
        self,
        items: Iterable[T],
        *,
        total: float,
        label: str,
        unit: str,
        size: Callable[[T], float] = one,
    ) -> Iterator[T]:
        """Show a progress bar on a terminal, or else a line every ten seconds."""
        if sys.stderr.isatty() and not self.quiet:
            with _bar(unit) as bar:
                task = bar.add_task(label, total=total)
                for item in items:
                    yield item
                    bar.advance(task, size(item))
            return
        start = said = time.monotonic()
        done = 0.0
        for item in items:
            yield item
            done += size(item)
            now = time.monotonic()
            if now - said > SECONDS_BETWEEN_LINES:
                said, rate = now, done / (now - start)
                left = datetime.timedelta(seconds=max(0, round((total - done) / rate)))
                self.say(
                    f"{label}  {done:.4g}/{total:.4g} {unit}s, {rate:.2g} a second, {left} left"
                )

    def begin(self, name: str, settings: Options, *, one_of_several: bool) -> None:
        """Show the name of a stage if it is one of several, and its options if `verbose`."""
        if one_of_several:
            self.say(f"== {name}")
        if self.verbose:
            self.say(f"unetseg {__version__} {name}")
            for option in fields(settings):
                value = getattr(settings, option.name)
                if option.name == "url":
                    value = public(value)
                lines = flags_of(option.name, value) if option.metadata["flag"] else [str(value)]
                for line in lines:
                    self.say(f"  {line}")

    def report(self, name: str, result: StageResult) -> None:
        """Show what a stage has done."""
        if self.verbose:
            peak = peak_memory()
            memory = "" if peak is None else f", {peak / 1e9:.2f} GB of memory at most"
            self.say(f"{time.monotonic() - self.began:.1f} s{memory}")
        if self.as_json:
            click.echo(json.dumps(summarise(name, result)))
        elif not self.quiet:
            for line in lines_of(result):
                click.echo(line)


def _bar(unit: str) -> Any:
    """Return a progress bar, which vanishes at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed:.4g}}/{{task.total:.4g}} {unit}s"),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )


def lines_of(result: StageResult) -> list[str]:
    """Return what a stage has done, as lines of text."""
    after = [result.next_command] if result.next_command else []
    parts = {"read": result.read, "wrote": result.wrote, "": result.notes, "next": after}
    return [f"{word:6}{line}" for word, lines in parts.items() for line in lines]


def summarise(name: str, result: StageResult) -> dict[str, Any]:
    """Return what `--json` prints about a stage: its folder, the outputs there, and its figures."""
    outputs = Manifest.read(result.folder / MANIFEST).outputs if result.folder else ()
    return {
        "stage": name,
        "folder": None if result.folder is None else str(result.folder),
        "outputs": [asdict(output) for output in outputs],
        "notes": result.notes,
        "next": result.next_command,
        **result.data,
    }
