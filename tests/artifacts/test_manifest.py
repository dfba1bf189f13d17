"""What a finished stage says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import write_stage

from unetseg.artifacts.manifest import MANIFEST, Manifest, open_stage
from unetseg.artifacts.writer import UNFINISHED
from unetseg.errors import InputError


def test_a_finished_stage_opens(tmp_path: Path, source: Path):
    write_stage(tmp_path / "a", {"x": "1", "y": "2"}, source=source)
    manifest = open_stage(tmp_path / "a", stage="segment", fresh=True)
    assert [output.name for output in manifest.outputs] == ["x", "y"]
    assert manifest.inputs[0].path == "../input.txt"
    assert not (tmp_path / "a" / UNFINISHED).exists()


def test_a_manifest_says_nothing_of_time_and_place(tmp_path: Path, source: Path):
    write_stage(tmp_path / "a", {"x": "1"}, source=source)
    write_stage(tmp_path / "b", {"x": "1"}, source=source)
    assert (tmp_path / "a" / MANIFEST).read_bytes() == (tmp_path / "b" / MANIFEST).read_bytes()
    assert str(tmp_path) not in (tmp_path / "a" / MANIFEST).read_text()


@pytest.mark.parametrize("name", ["../input.txt", "/etc/passwd", "..", ""])
def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path, source: Path, name: str):
    write_stage(tmp_path / "a", {"x": "1"}, source=source)
    manifest = tmp_path / "a" / MANIFEST
    manifest.write_text(manifest.read_text().replace('"name": "x"', f'"name": "{name}"'))
    with pytest.raises(InputError, match="expected a manifest"):
        write_stage(tmp_path / "a", {"y": "1"}, source=source)
    assert source.exists()


def test_what_changed_since_is_noticed(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    with pytest.raises(InputError, match="no such folder; run unetseg segment first"):
        open_stage(folder, stage="segment", fresh=True)
    write_stage(folder, {"x": "1"}, source=source)
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
    write_stage(tmp_path / "a", {"x": "1"}, source=source)
    write_stage(tmp_path / "b", {"y": "1"}, stage="evaluate", source=tmp_path / "a" / MANIFEST)
    source.write_text("other")
    with pytest.raises(InputError, match=r"input.txt.*run unetseg segment again"):
        open_stage(tmp_path / "b", stage="evaluate", fresh=True)


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"stage": 1}', "\x00\xff"])
def test_a_broken_manifest_is_one_line(tmp_path: Path, text: str):
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="expected a manifest"):
        Manifest.read(tmp_path / MANIFEST)
