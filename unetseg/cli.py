"""The command line: one command a stage, and the one place where errors become lines."""

from __future__ import annotations

import datetime
import errno
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from unetseg import __version__, options
from unetseg.cli_options import stage_options
from unetseg.errors import UnetsegError
from unetseg.progress import one

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class Terminal:
    """Progress as text on standard error, which leaves standard output to results."""

    def say(self, line: str) -> None:
        """Show a line."""
        click.echo(line, err=True)

    def track(
        self,
        items: Iterable[T],
        *,
        total: float,
        label: str,
        unit: str,
        size: Callable[[T], float] = one,
    ) -> Iterator[T]:
        """Show a bar on a terminal, and a line every ten seconds where there is none."""
        if sys.stderr.isatty():
            from tqdm import tqdm

            with tqdm(total=total, desc=label, unit=f" {unit}s", delay=1, leave=False) as bar:
                for item in items:
                    yield item
                    bar.update(size(item))
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


class Commands(click.Group):
    """A group whose commands end in one line and an exit code, never in a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they run."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; the error boundary of the whole project."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except UnetsegError as error:
            _fail(str(error), error.exit_code)
        except KeyboardInterrupt:
            _fail("interrupted; what was there before is unchanged", INTERRUPTED)
        except OSError as error:
            _fail(_explain(error), 1)
        except MemoryError:
            _fail("out of memory; close other programs or give smaller options", 1)
        except Exception as error:
            if os.environ.get("UNETSEG_DEBUG"):
                raise
            name = type(error).__name__
            line = (str(error).splitlines() or [""])[0]
            _fail(f"{name}: {line} (a bug: run again with UNETSEG_DEBUG=1 and report it)", 1)


def _explain(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}the disk is full; make room and run the command again"
    return f"{where}{error.strerror or error}"


def _fail(line: str, code: int) -> None:
    click.echo(f"unetseg: error: {line}", err=True)
    raise click.exceptions.Exit(code)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Segment cell membranes in electron-microscopy stacks with a U-Net.\n\n"
    "\b\n"  # click keeps the lines of this paragraph as they are
    "Run in this order; every command works without options:\n"
    "  augment -> preprocess -> train -> predict -> segment, and evaluate",
)
@click.version_option(__version__, prog_name="unetseg")
def main() -> None:
    """Read the command line."""


def _run(command: str, settings: options.Options, *, module: str | None = None) -> Any:
    """Run a command's work. Imported only here: none waits for what it does not use."""
    function = getattr(importlib.import_module(module or f"unetseg.stages.{command}"), command)
    return function(settings, Terminal())


def _report(result: Any) -> None:
    for word, lines in (("read", result.read), ("wrote", result.wrote), ("", result.notes)):
        for line in lines:
            click.echo(f"{word:6}{line}")
    if result.next_command:
        click.echo(f"{'next':6}{result.next_command}")


@main.command()
@stage_options(options.SynthesizeOptions)
def synthesize(**settings: Any) -> None:
    """Draw synthetic stacks with known labels."""
    _report(_run("synthesize", options.SynthesizeOptions(**settings)))


@main.command()
@stage_options(options.AugmentOptions)
def augment(**settings: Any) -> None:
    """Make altered copies of images and labels."""
    _report(_run("augment", options.AugmentOptions(**settings)))


@main.command()
@click.argument("image", type=click.Path(path_type=Path), default=options.GalleryOptions().image)
@stage_options(options.GalleryOptions, without=("image",))
def gallery(**settings: Any) -> None:
    """Show what each augmentation does to IMAGE, at three strengths."""
    _report(_run("gallery", options.GalleryOptions(**settings)))


@main.command()
@stage_options(options.PreprocessOptions)
def preprocess(**settings: Any) -> None:
    """Normalise, set slices apart for scoring, weight pixels."""
    _report(_run("preprocess", options.PreprocessOptions(**settings)))


@main.command()
@stage_options(options.TrainOptions)
def train(**settings: Any) -> None:
    """Train a U-Net and predict the held-out slices."""
    _report(_run("train", options.TrainOptions(**settings)))


@main.command()
@stage_options(options.PredictOptions)
def predict(**settings: Any) -> None:
    """Predict a stack: writes prediction.tif."""
    _report(_run("predict", options.PredictOptions(**settings)))


@main.command()
@stage_options(options.SegmentOptions)
def segment(**settings: Any) -> None:
    """Turn a prediction into labelled cells and a table."""
    _report(_run("segment", options.SegmentOptions(**settings)))


@main.command()
@stage_options(options.EvaluateOptions)
@click.option("--json", "as_json", is_flag=True, help="Print scores.json, and nothing else.")
def evaluate(as_json: bool, **settings: Any) -> None:
    """Score a prediction as the ISBI 2012 challenge does."""
    result = _run("evaluate", options.EvaluateOptions(**settings))
    if as_json:
        click.echo(json.dumps(result.data))
    else:
        _report(result)


@main.command()
@stage_options(options.CrossvalidateOptions)
def crossvalidate(**settings: Any) -> None:
    """Train once for every fold, and score every slice."""
    chosen = options.CrossvalidateOptions(**settings)
    _report(_run("crossvalidate", chosen, module="unetseg.crossvalidation"))
