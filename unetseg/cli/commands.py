"""The command line: one command a stage, and the one place where errors become lines."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from unetseg import options
from unetseg.cli.options import OnceCommand, stage_options
from unetseg.errors import UnetsegError
from unetseg.running import make_options, run_stage
from unetseg.version import __version__

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


OUT_OF_MEMORY = (
    "out of memory; close other programs, or give less to do at once (--memory, --batch-size, "
    "--patch, --jobs)"
)
# What is no bug of ours, by the names of exceptions: to import them would take seconds.
SURROUNDINGS = {
    "ResourceExhaustedError": OUT_OF_MEMORY,  # of TensorFlow
    "OutOfMemoryError": OUT_OF_MEMORY,  # of PyTorch
    "BrokenProcessPool": "a process at work was killed, perhaps for want of memory; give --jobs 1",
}


class Commands(click.Group):
    """A group whose commands end in one line and an exit code, never in a traceback."""

    command_class = OnceCommand

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they run."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; the error boundary of the whole project."""
        # What the encoding of a terminal does not have, such as ±, is no reason to fail.
        with suppress(AttributeError, ValueError):  # a stand-in for the stream, in some programs
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
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
            _fail(OUT_OF_MEMORY, 1)
        except Exception as error:
            if os.environ.get("UNETSEG_DEBUG"):
                raise
            name = type(error).__name__
            if name in SURROUNDINGS:
                _fail(SURROUNDINGS[name], 1)
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
    "  augment -> preprocess -> train -> predict -> segment, evaluate, report",
)
@click.version_option(__version__, prog_name="unetseg")
def main() -> None:
    """Read the command line."""


def stage(kind: type[options.Options]) -> Callable[[Callable[[], None]], click.Command]:
    """Make a command of a stage from its options; the function only brings its name and help."""

    def decorate(function: Callable[[], None]) -> click.Command:
        name = function.__name__

        def callback(quiet: bool, verbose: bool, as_json: bool, **settings: Any) -> None:
            stages = {name: make_options(kind, settings)}
            run_stages(stages, quiet=quiet, verbose=verbose, as_json=as_json)

        callback = reporting(stage_options(kind)(callback))
        return main.command(name=name, help=function.__doc__)(callback)

    return decorate


def run_stages(
    stages: Mapping[str, options.Options], *, quiet: bool, verbose: bool, as_json: bool
) -> None:
    """Run stages one after another, and report of each."""
    from unetseg.cli.terminal import Terminal

    if quiet and verbose:
        raise click.UsageError("--quiet and --verbose: expected one of them, found both")
    for name, settings in stages.items():
        terminal = Terminal(quiet=quiet, verbose=verbose, as_json=as_json)
        terminal.begin(name, settings, one_of_several=len(stages) > 1)
        terminal.report(name, run_stage(name, settings, terminal))


def reporting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what it shows."""
    for flag, name, text in reversed(REPORTING):
        command = click.option(flag, name, is_flag=True, help=text)(command)
    return command


REPORTING = (
    ("--quiet", "quiet", "Show nothing but warnings and errors."),
    ("--verbose", "verbose", "Show all options in force, and the time and memory taken."),
    ("--json", "as_json", "Print the results as one line of JSON."),
)


@stage(options.SynthesizeOptions)
def synthesize() -> None:
    """Draw synthetic stacks with known labels."""


@stage(options.DownloadOptions)
def download() -> None:
    """Fetch the stacks of the ISBI 2012 challenge."""


@stage(options.AugmentOptions)
def augment() -> None:
    """Make altered copies of images and labels."""


@stage(options.GalleryOptions)
def gallery() -> None:
    """Show what augmentation does to IMAGE, ever stronger."""


@stage(options.PreprocessOptions)
def preprocess() -> None:
    """Set slices apart for scoring, weight pixels."""


@stage(options.TrainOptions)
def train() -> None:
    """Train a U-Net and predict the held-out slices."""


@stage(options.PredictOptions)
def predict() -> None:
    """Predict a stack: writes prediction.tif."""


@stage(options.SuggestOptions)
def suggest() -> None:
    """Say where to label next: where a model is unsure."""


@stage(options.SegmentOptions)
def segment() -> None:
    """Turn a prediction into labelled cells and a table."""


@stage(options.ViewOptions)
def view() -> None:
    """Show images, prediction and cells in napari."""


@stage(options.EvaluateOptions)
def evaluate() -> None:
    """Score a prediction as the ISBI 2012 challenge does, or numbered cells."""


@stage(options.ReportOptions)
def report() -> None:
    """Show all results as one page: report.html."""


@stage(options.ExportOptions)
def export() -> None:
    """Write a model in formats that other programs run."""


@stage(options.CrossvalidateOptions)
def crossvalidate() -> None:
    """Train once for every fold, and score every slice."""


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@reporting
def run(file: Path, quiet: bool, verbose: bool, as_json: bool) -> None:
    """Run the stages that FILE names, with its options."""
    from unetseg.cli.experiment import read_experiment

    run_stages(read_experiment(file), quiet=quiet, verbose=verbose, as_json=as_json)
