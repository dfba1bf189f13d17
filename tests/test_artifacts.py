"""Stage folders are complete, or say that they are not; nothing already made is lost."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from unetseg.artifacts import writer as writing
from unetseg.artifacts.manifest import MANIFEST, Manifest, open_stage
from unetseg.artifacts.writer import UNFINISHED, StageWriter
from unetseg.errors import InputError, OutputError


def run(folder: Path, contents: dict[str, str], *, stage: str = "segment", source: Path) -> None:
    """A stage that writes these files."""
    with StageWriter(
        folder, stage=stage, options={"seed": 1}, inputs=[source], names=contents
    ) as writer:
        for name, text in contents.items():
            writer.path(name).write_text(text)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "input.txt"
    path.write_text("input")
    return path


def everything(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_finished_stage_opens(tmp_path: Path, source: Path):
    run(tmp_path / "a", {"x": "1", "y": "2"}, source=source)
    manifest = open_stage(tmp_path / "a", stage="segment", fresh=True)
    assert [output.name for output in manifest.outputs] == ["x", "y"]
    assert manifest.inputs[0].path == "../input.txt"
    assert not (tmp_path / "a" / UNFINISHED).exists()


def test_a_manifest_says_nothing_of_time_and_place(tmp_path: Path, source: Path):
    run(tmp_path / "a", {"x": "1"}, source=source)
    run(tmp_path / "b", {"x": "1"}, source=source)
    assert (tmp_path / "a" / MANIFEST).read_bytes() == (tmp_path / "b" / MANIFEST).read_bytes()
    assert str(tmp_path) not in (tmp_path / "a" / MANIFEST).read_text()


def test_a_stage_that_fails_leaves_the_earlier_result(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    run(folder, {"x": "1"}, source=source)
    before = everything(folder)
    with (
        pytest.raises(OSError, match="disk"),
        StageWriter(folder, stage="segment", options={}, inputs=[source], names=["x"]) as writer,
    ):
        writer.path("x").write_text("2")
        raise OSError("disk full")
    assert everything(folder) == before


def test_a_first_run_that_fails_leaves_no_folder(tmp_path: Path, source: Path):
    with (
        pytest.raises(KeyboardInterrupt),
        StageWriter(tmp_path / "a", stage="segment", options={}, inputs=[source], names=["x"]),
    ):
        raise KeyboardInterrupt
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("moves", [0, 1, 2, 3])
def test_a_run_that_dies_between_moves_is_finished_by_the_next(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, moves: int
):
    folder = tmp_path / "a"
    run(folder, {"x": "old", "y": "old"}, source=source)
    real = Path.replace
    left = [moves + 2]  # the manifest's own draft moves first, then the old one out of the way

    def replace(path: Path, target: Path) -> Path:
        if left[0] == 0:
            raise SystemExit  # as if killed
        left[0] -= 1
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        patch.setattr(shutil, "rmtree", lambda *a, **k: None)
        patch.setattr(writing.shutil, "rmtree", lambda *a, **k: None)
        if moves < 3:
            with pytest.raises(SystemExit):
                run(folder, {"x": "new", "y": "new"}, source=source)
            with pytest.raises(InputError, match="run unetseg segment first"):
                open_stage(folder, stage="segment", fresh=True)
        else:
            run(folder, {"x": "new", "y": "new"}, source=source)
    with StageWriter(folder, stage="segment", options={}, inputs=[source], names=["x", "y"]):
        pass
    open_stage(folder, stage="segment", fresh=True)
    assert {p.name: p.read_text() for p in folder.glob("?")} == {"x": "new", "y": "new"}


def test_obsolete_outputs_go(tmp_path: Path, source: Path):
    run(tmp_path / "a", {"x": "1", "y": "2"}, source=source)
    run(tmp_path / "a", {"x": "1"}, source=source)
    assert sorted(everything(tmp_path / "a")) == [MANIFEST, "x"]


@pytest.mark.parametrize(("moment", "died_on"), [("_remove", "y"), ("flush", "")])
def test_obsolete_outputs_go_when_a_run_dies_on_the_way(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, moment: str, died_on: str
):
    folder = tmp_path / "a"
    run(folder, {"x": "1", "y": "2"}, source=source)

    def die(path: Path) -> None:
        if path == folder / died_on:
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(writing, moment, die)
        with pytest.raises(SystemExit):
            run(folder, {"x": "3"}, source=source)
    if moment == "_remove":
        with pytest.raises(InputError, match="found no manifest"):
            open_stage(folder, stage="segment", fresh=True)
    run(folder, {"x": "4", "y": "4"}, source=source)
    assert everything(folder)["y"] == "4"


def test_what_is_read_is_not_removed_as_obsolete(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    run(folder, {"x": "1"}, source=source)
    before = everything(folder)
    with pytest.raises(OutputError, match="other than that of the input"):
        run(folder, {"y": "2"}, source=folder / "x")
    assert everything(folder) == before


def test_files_of_others_are_never_touched(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    run(folder, {"x": "1"}, source=source)
    run(folder, {"x": "2"}, source=source)
    assert (folder / "notes.txt").read_text() == "mine"
    with pytest.raises(OutputError, match="did not write"):
        run(folder, {"notes.txt": "yours"}, source=source)
    with pytest.raises(OutputError, match="results of segment"):
        run(folder, {"z": "1"}, stage="evaluate", source=source)


def test_a_file_where_the_folder_should_be(source: Path):
    with pytest.raises(OutputError, match="found the name of a file"):
        run(source, {"x": "1"}, source=source)
    with pytest.raises(OutputError, match="found the name of a file"):
        run(source.with_name("prediction.tif"), {"x": "1"}, source=source)


@pytest.mark.parametrize("name", ["../input.txt", "/etc/passwd", "..", ""])
def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path, source: Path, name: str):
    run(tmp_path / "a", {"x": "1"}, source=source)
    manifest = tmp_path / "a" / MANIFEST
    manifest.write_text(manifest.read_text().replace('"name": "x"', f'"name": "{name}"'))
    with pytest.raises(InputError, match="expected a manifest"):
        run(tmp_path / "a", {"y": "1"}, source=source)
    assert source.exists()


def test_what_changed_since_is_noticed(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    with pytest.raises(InputError, match="no such folder; run unetseg segment first"):
        open_stage(folder, stage="segment", fresh=True)
    run(folder, {"x": "1"}, source=source)
    with pytest.raises(InputError, match="those of unetseg segment"):
        open_stage(folder, stage="train", fresh=True)
    source.write_text("other")
    with pytest.raises(InputError, match="made from an earlier one; run unetseg segment again"):
        open_stage(folder, stage="segment", fresh=True)
    open_stage(folder, stage="segment", fresh=False)
    (folder / "x").write_text("2")
    with pytest.raises(InputError, match=r"x: expected the file .* found another"):
        open_stage(folder, stage="segment", fresh=False)
    (folder / "x").unlink()
    with pytest.raises(InputError, match="found none"):
        open_stage(folder, stage="segment", fresh=False)


def test_a_change_two_stages_back_is_noticed(tmp_path: Path, source: Path):
    run(tmp_path / "a", {"x": "1"}, source=source)
    run(tmp_path / "b", {"y": "1"}, stage="evaluate", source=tmp_path / "a" / MANIFEST)
    source.write_text("other")
    with pytest.raises(InputError, match=r"input.txt.*run unetseg segment again"):
        open_stage(tmp_path / "b", stage="evaluate", fresh=True)


def test_an_error_comes_back_whole_from_another_process():
    error = InputError("a.tif", expected="this", found="that", remedy="do so")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.found) == (str(error), "that")


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"stage": 1}', "\x00\xff"])
def test_a_broken_manifest_is_one_line(tmp_path: Path, text: str):
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="expected a manifest"):
        Manifest.read(tmp_path / MANIFEST)


def test_a_second_run_in_a_folder_is_told_who_is_there(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    with StageWriter(folder, stage="segment", options={}, inputs=[source], names=["x"]) as writer:
        writer.path("x").write_text("first")
        with pytest.raises(
            OutputError, match=rf"found unetseg segment \(process {os.getpid()} on .*, since \d"
        ):
            run(folder, {"x": "second"}, source=source)
    assert everything(folder)["x"] == "first"
    run(folder, {"x": "third"}, source=source)
    assert sorted(everything(folder)) == [MANIFEST, "x"]


def test_a_killed_run_lets_go_of_its_folder(tmp_path: Path, source: Path):
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from unetseg.lock import FolderLock\n"
        "with FolderLock(Path(sys.argv[1]), holder='another'):\n"
        "    print('in', flush=True)\n"
        "    time.sleep(60)"
    )
    folder = tmp_path / "a"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(OutputError, match=rf"found another \(process {other.pid} on"):
            run(folder, {"x": "1"}, source=source)
        other.kill()
    run(folder, {"x": "1"}, source=source)
    assert sorted(everything(folder)) == [MANIFEST, "x"]


def test_what_can_be_gone_on_with_is_not_swept_away_by_another_stage(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    settings = {"options": {}, "inputs": [source], "names": ["x"]}
    with (
        pytest.raises(KeyboardInterrupt),
        StageWriter(folder, stage="predict", resumable=True, **settings) as writer,
    ):
        writer.path("x").write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(InputError, match="one that differs in stage"):
        run(folder, {"x": "1"}, source=source)
    with StageWriter(folder, stage="predict", resumable=True, **settings) as writer:
        assert writer.path("x").read_text() == "half"
    assert everything(folder)["x"] == "half"
