"""The commands as a user meets them: help, and one line for everything that goes wrong."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
import tifffile
from conftest import Cli

from unetseg.cli.commands import main
from unetseg.running import path_flags


def test_every_command_and_option_has_help():
    for name, command in main.commands.items():
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.name}"


def test_commands_come_in_the_order_they_run(cli: Cli):
    lines = cli("--help").output.split("Commands:")[1].splitlines()
    assert [line.split()[0] for line in lines if line] == [
        "synthesize",
        "download",
        "augment",
        "gallery",
        "preprocess",
        "train",
        "predict",
        "suggest",
        "segment",
        "view",
        "evaluate",
        "report",
        "export",
        "crossvalidate",
        "run",
    ]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["augment", "--copies", "0"], ["preprocess"]]
)
def test_tensorflow_is_imported_only_by_who_needs_it(
    data: Path, tmp_path: Path, cli: Cli, arguments: list[str]
):
    if arguments[0] == "preprocess":
        cli("augment", "--copies", 0, "--jobs", 1)
    program = (
        "import sys; from unetseg.cli.commands import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code\n"
        "heavy = {'tensorflow', 'keras', 'torch'} & set(sys.modules)\n"
        "sys.exit(code or str(heavy or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.strip() == ""
    assert done.stdout


def break_nothing(data: Path) -> None:
    """The stacks are fine."""


def remove_labels(data: Path) -> None:
    (data / "train-labels.tif").unlink()


def drop_a_label(data: Path) -> None:
    labels = tifffile.imread(data / "train-labels.tif")
    tifffile.imwrite(data / "train-labels.tif", labels[:-1], photometric="minisblack")


def shrink_labels(data: Path) -> None:
    labels = tifffile.imread(data / "train-labels.tif")
    tifffile.imwrite(data / "train-labels.tif", labels[:, :-1])


def paint_labels(data: Path) -> None:
    labels = tifffile.imread(data / "train-labels.tif")
    labels[1, 2, 3] = 100
    tifffile.imwrite(data / "train-labels.tif", labels)


def truncate(data: Path) -> None:
    path = data / "train-volume.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def colour(data: Path) -> None:
    tifffile.imwrite(data / "train-volume.tif", np.zeros((64, 96, 3), np.uint8), photometric="rgb")


def poison(data: Path) -> None:
    volume = tifffile.imread(data / "train-volume.tif").astype(np.float32)
    volume[3, 4, 5] = np.nan
    tifffile.imwrite(data / "train-volume.tif", volume)


def empty(data: Path) -> None:
    (data / "train-volume.tif").write_bytes(b"")


def flatten(data: Path) -> None:
    tifffile.imwrite(data / "train-volume.tif", np.full((5, 64, 96), 9, np.uint8))


@pytest.mark.parametrize(
    ("damage", "file", "found"),
    [
        (remove_labels, "train-labels.tif", "found no such file"),
        (drop_a_label, "train-labels.tif", "found 4 slices"),
        (shrink_labels, "train-labels.tif", "found 5 slices of 63 x 96"),
        (paint_labels, "train-labels.tif", "found 3 (0, 100, 255); give 0 on membrane"),
        (truncate, "train-volume.tif", "of 30992 bytes"),
        (colour, "train-volume.tif", "found colours"),
        (poison, "train-volume.tif", "found NaN or infinity in slice 3"),
        (empty, "train-volume.tif", "found an empty file"),
        (flatten, "train-volume.tif", "found no tissue in any slice: one value, or noise"),
    ],
)
def test_bad_stacks_are_one_line(data: Path, cli: Cli, damage: object, file: str, found: str):
    damage(data)
    lines = cli("augment", code=1).stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"unetseg: error: data/{file}: expected ")
    assert found in lines[0]
    assert "; " in lines[0]
    assert not Path("work").exists() or not list(Path("work").rglob("*"))


@pytest.mark.parametrize(
    ("command", "first"),
    [
        ("preprocess", "work/augmented: expected the finished results of unetseg augment"),
        ("train", "work/preprocessed: expected the finished results of unetseg preprocess"),
        ("predict", "work/model: expected the finished results of unetseg train"),
        ("evaluate", "work/model: expected the finished results of unetseg train"),
        ("report", "work/model: expected the finished results of unetseg train"),
        ("export", "work/model: expected the finished results of unetseg train"),
    ],
)
def test_a_stage_before_its_predecessor_is_one_line(data: Path, cli: Cli, command: str, first: str):
    (line,) = cli(command, code=1).stderr.splitlines()
    assert line.startswith(f"unetseg: error: {first}")
    assert "run unetseg" in line


def test_other_inputs_since_are_one_line(data: Path, cli: Cli):
    cli("augment", "--copies", 0, "--jobs", 1)
    cli("preprocess", "--jobs", 1)
    volume = tifffile.imread(data / "train-volume.tif")
    tifffile.imwrite(data / "train-volume.tif", volume[::-1])
    for command in ("preprocess", "train"):
        (line,) = cli(command, code=1).stderr.splitlines()
        assert "data/train-volume.tif" in line
        assert line.endswith("run unetseg augment again")


def test_usage_errors_exit_with_2(data: Path, cli: Cli):
    cli("augment", "--copies", -1, code=2)
    cli("augment", "--no-such-option", code=2)
    cli("train", "--network", "huge", code=2)
    cli("evaluate", "--prediction", "data/train-volume.tif", code=2)
    cli("augment", "--copies", 0, "--jobs", 1)
    cli("preprocess", "--held-out", "first", code=2)
    (line,) = cli("augment", "--rotation", "nan", code=2).stderr.splitlines()
    assert line == "unetseg: error: rotation is nan, must be a finite number"
    cli("preprocess", "--border-weight", "inf", code=2)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("predict", "--volume", "A", "--volume", "B"), "--volume: expected once, found 2 times"),
        (("augment", "--copies=1", "--copies=1", "--copies=3"), "--copies: expected once, found 3"),
        (("predict", "--tta", "--no-tta"), "--tta/--no-tta: expected once"),
        (("run", "--quiet", "--quiet", "file.toml"), "--quiet: expected once"),
    ],
)
def test_an_option_given_twice_is_refused(cli: Cli, arguments: tuple[str, ...], found: str):
    (line,) = cli(*arguments, code=2).stderr.splitlines()
    assert line.startswith(f"unetseg: error: {found}")


def test_an_option_of_several_values_is_given_several_times(cli: Cli):
    (line,) = cli("predict", "--model", "A", "--model", "B", code=1).stderr.splitlines()
    assert "error: A: expected the finished results" in line


def test_the_environment_does_not_move_folders():
    # On many clusters WORK is all that a user has.
    shown = subprocess.run(
        ["make", "--dry-run", "clean", "pipeline"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "WORK": "/nowhere", "DATA": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert 'rm -rf "work"' in shown
    assert "/nowhere" not in shown


def test_a_gallery_of_nothing_is_one_line(cli: Cli):
    for image in (np.full((40, 40), 7, np.uint8), np.array([[0, 1]], np.uint8)):
        tifffile.imwrite("image.tif", image)
        (line,) = cli("gallery", "image.tif", code=1).stderr.splitlines()
        assert "image.tif: expected an image with contrast, of at least 16 x 16" in line


@pytest.mark.parametrize("block", ["3-7", "0-4"])
def test_holding_out_too_much_is_one_line(data: Path, cli: Cli, block: str):
    cli("augment", "--copies", 0, "--jobs", 1)
    (line,) = cli("preprocess", "--held-out", block, code=1).stderr.splitlines()
    assert f"--held-out {block} takes, found 5" in line


def test_synthesize_never_replaces_a_users_stack(data: Path, cli: Cli):
    before = (data / "train-volume.tif").read_bytes()
    (line,) = cli("synthesize", code=1).stderr.splitlines()
    assert "train-volume.tif: expected no such file" in line
    assert (data / "train-volume.tif").read_bytes() == before


def test_a_bug_is_one_line_too(data: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unetseg.stages.augment.draw_recipe", lambda *a, **k: 1 / 0)
    (line,) = cli("augment", code=1).stderr.splitlines()
    assert "ZeroDivisionError" in line
    monkeypatch.setenv("UNETSEG_DEBUG", "1")
    with pytest.raises(AssertionError):
        cli("augment", code=0)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("ResourceExhaustedError", "give less to do at once"),
        ("OutOfMemoryError", "give less to do at once"),
        ("BrokenProcessPool", "give --jobs 1"),
    ],
)
def test_what_the_surroundings_do_is_not_called_a_bug(
    data: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str, remedy: str
):
    def fail(*arguments: object, **settings: object) -> None:
        raise type(name, (Exception,), {})("a page of text")

    monkeypatch.setattr("unetseg.stages.augment.draw_recipe", fail)
    (line,) = cli("augment", code=1).stderr.splitlines()
    assert remedy in line
    assert "a bug" not in line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_offered_and_documented(shell: str):
    page = (Path(__file__).parents[2] / "docs/experiments.md").read_text(encoding="utf-8")
    assert f"_UNETSEG_COMPLETE={shell}_source unetseg" in page
    program = [
        sys.executable,
        "-c",
        "from unetseg.cli.commands import main; main(prog_name='unetseg')",
    ]

    def complete(**environment: str) -> str:
        environment["_UNETSEG_COMPLETE"] = f"{shell}_{environment.pop('what')}"
        done = subprocess.run(
            program, env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )
        return done.stdout

    if shell != "bash" or shutil.which("bash"):  # whose version click asks for
        assert "unetseg" in complete(what="source")
    words = "unetseg train --ep"
    shown = complete(
        what="complete", COMP_WORDS=words, COMP_CWORD="2" if shell != "fish" else "--ep"
    )
    assert "--epochs" in shown


def test_the_next_command_goes_on_from_where_the_results_are(cli: Cli):
    small = ("--slices", 2, "--test-slices", 1, "--height", 64, "--width", 64)
    *_, here = cli("synthesize", *small).stdout.splitlines()
    assert here == "next  unetseg augment"
    *_, there = cli("synthesize", *small, "--output", "my data").stdout.splitlines()
    command = "augment --volume 'my data/train-volume.tif' --labels 'my data/train-labels.tif'"
    assert there == f"next  unetseg {command}"
    *_, last = cli(*shlex.split(command), "--copies", 1, "--jobs", 1).stdout.splitlines()
    assert last == "next  unetseg preprocess"


def test_a_default_is_left_out_where_it_is_alone():
    both = [("model", "work/a"), ("model", "work/model")]
    assert path_flags("predict", both[1:]) == []
    assert path_flags("predict", both) == ["--model", "work/a", "--model", "work/model"]


def test_a_terminal_that_cannot_show_a_name_is_no_bug(tmp_path: Path):
    tifffile.imwrite(tmp_path / "細胞.tif", np.arange(1024, dtype=np.uint8).reshape(32, 32))
    done = subprocess.run(
        [sys.executable, "-m", "unetseg", "gallery", "細胞.tif", "--output", "out"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert rb"\u7d30\u80de.tif: 1 slice of 32 x 32" in done.stdout
