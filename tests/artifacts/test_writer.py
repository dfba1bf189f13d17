"""Stage folders are complete, or say that they are not; nothing already made is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import write_stage

from unetseg.artifacts import staging
from unetseg.artifacts.manifest import MANIFEST, open_stage
from unetseg.artifacts.writer import StageWriter
from unetseg.errors import InputError, OutputError


def everything(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_stage_that_fails_leaves_the_earlier_result(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    write_stage(folder, {"x": "1"}, source=source)
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
    write_stage(folder, {"x": "old", "y": "old"}, source=source)
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
        patch.setattr(staging.shutil, "rmtree", lambda *a, **k: None)
        if moves < 3:
            with pytest.raises(SystemExit):
                write_stage(folder, {"x": "new", "y": "new"}, source=source)
            with pytest.raises(InputError, match="run unetseg segment first"):
                open_stage(folder, stage="segment", fresh=True)
        else:
            write_stage(folder, {"x": "new", "y": "new"}, source=source)
    with StageWriter(folder, stage="segment", options={}, inputs=[source], names=["x", "y"]):
        pass
    open_stage(folder, stage="segment", fresh=True)
    assert {p.name: p.read_text() for p in folder.glob("?")} == {"x": "new", "y": "new"}


def test_obsolete_outputs_go(tmp_path: Path, source: Path):
    write_stage(tmp_path / "a", {"x": "1", "y": "2"}, source=source)
    write_stage(tmp_path / "a", {"x": "1"}, source=source)
    assert sorted(everything(tmp_path / "a")) == [MANIFEST, "x"]


@pytest.mark.parametrize(("moment", "died_on"), [("_remove", "y"), ("flush_names", "")])
def test_obsolete_outputs_go_when_a_run_dies_on_the_way(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, moment: str, died_on: str
):
    folder = tmp_path / "a"
    write_stage(folder, {"x": "1", "y": "2"}, source=source)

    def die(path: Path) -> None:
        if path == folder / died_on:
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(staging, moment, die)
        with pytest.raises(SystemExit):
            write_stage(folder, {"x": "3"}, source=source)
    if moment == "_remove":
        with pytest.raises(InputError, match="found no manifest"):
            open_stage(folder, stage="segment", fresh=True)
    write_stage(folder, {"x": "4", "y": "4"}, source=source)
    assert everything(folder)["y"] == "4"


def test_what_is_read_is_not_removed_as_obsolete(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    write_stage(folder, {"x": "1"}, source=source)
    before = everything(folder)
    with pytest.raises(OutputError, match="in which nothing is read"):
        write_stage(folder, {"y": "2"}, source=folder / "x")
    assert everything(folder) == before


def test_files_of_others_are_never_touched(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    write_stage(folder, {"x": "1"}, source=source)
    write_stage(folder, {"x": "2"}, source=source)
    assert (folder / "notes.txt").read_text() == "mine"
    with pytest.raises(OutputError, match="did not write"):
        write_stage(folder, {"notes.txt": "yours"}, source=source)
    with pytest.raises(OutputError, match="results of segment"):
        write_stage(folder, {"z": "1"}, stage="evaluate", source=source)


def test_a_file_where_the_folder_should_be(source: Path):
    with pytest.raises(OutputError, match="found the name of a file"):
        write_stage(source, {"x": "1"}, source=source)
    with pytest.raises(OutputError, match="found the name of a file"):
        write_stage(source.with_name("prediction.tif"), {"x": "1"}, source=source)


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
        write_stage(folder, {"x": "1"}, source=source)
    with StageWriter(folder, stage="predict", resumable=True, **settings) as writer:
        assert writer.path("x").read_text() == "half"
    assert everything(folder)["x"] == "half"


def test_a_run_that_came_to_nothing_does_not_stand_in_the_way(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    settings = {"inputs": [source], "names": ["x"], "resumable": True}
    with (
        pytest.raises(KeyboardInterrupt),
        StageWriter(folder, stage="train", options={"epochs": 3}, **settings) as writer,
    ):
        writer.path("x")
        raise KeyboardInterrupt
    with StageWriter(folder, stage="train", options={"epochs": 4}, **settings) as writer:
        writer.path("x").write_text("whole")
    assert everything(folder)["x"] == "whole"


def test_a_run_goes_on_under_the_same_conditions_only(tmp_path: Path, source: Path):
    def run(options: dict[str, int], **conditions: str) -> StageWriter:
        folder = tmp_path / "a"
        return StageWriter(
            folder,
            stage="train",
            options=options,
            inputs=[source],
            names=["x"],
            resumable=True,
            conditions=conditions,
        )

    with pytest.raises(KeyboardInterrupt), run({"epochs": 3}, keras="3.14") as writer:
        writer.path("x").write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(InputError, match=r"one that differs in epochs \(3\), keras \(3.14\);"):
        run({"epochs": 4}, keras="3.15").__enter__().path("x")


def test_what_else_lies_in_the_folder_is_neither_opened_nor_flushed(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / ".#x").symlink_to("user@machine.123:456")  # the lock of an Emacs, which dangles
    os.mkfifo(folder / "pipe")  # to open it would take for ever
    write_stage(folder, {"x": "1"}, source=source)
    assert (folder / "x").read_text() == "1"
    assert (folder / ".#x").is_symlink()


FOREIGN = ('{"manifest_version": 3, "name": "an extension"}', "[]", '"text"')


@pytest.mark.parametrize("text", [*FOREIGN, "no JSON", '{"stage": "train"}', None])
def test_a_manifest_of_another_program_is_left_alone(
    tmp_path: Path, source: Path, text: str | None
):
    path = tmp_path / "site" / MANIFEST
    path.parent.mkdir()
    if text is None:
        path.mkdir()
    else:
        path.write_text(text)
    with pytest.raises(InputError, match=r"move it away, or choose another --output$") as caught:
        write_stage(path.parent, {"x": "1"}, source=source)
    assert "delete" not in str(caught.value)
    assert list(path.parent.iterdir()) == [path]


def test_results_of_another_stage_are_never_to_be_deleted(tmp_path: Path, source: Path):
    write_stage(tmp_path / "a", {"x": "1"}, source=source)
    with pytest.raises(OutputError, match=r"results of segment; choose another --output$"):
        write_stage(tmp_path / "a", {"x": "1"}, stage="evaluate", source=source)
