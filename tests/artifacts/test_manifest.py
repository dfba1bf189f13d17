"""What a finished stage says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import write_stage
from hashes import slowly

from unetseg.artifacts.finding import find_prediction
from unetseg.artifacts.manifest import MANIFEST, Manifest, find_manifest, open_stage
from unetseg.artifacts.writer import UNFINISHED, StageWriter
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


def test_a_model_to_begin_with_may_have_changed_since(tmp_path: Path, source: Path):
    other = tmp_path / "other.txt"
    other.write_text("other")
    before = tmp_path / "before" / MANIFEST
    write_stage(before.parent, {"x": "1"}, stage="train", source=source)
    after = tmp_path / "after" / MANIFEST
    with StageWriter(
        after.parent, stage="train", options={}, inputs=[other, before], names=["x"]
    ) as writer:
        writer.path("x").write_text("2")
    write_stage(tmp_path / "p", {"y": "1"}, stage="evaluate", source=after)
    source.write_text("more labels")
    open_stage(tmp_path / "p", stage="evaluate", fresh=True)
    write_stage(before.parent, {"x": "3"}, stage="train", source=source)
    open_stage(tmp_path / "p", stage="evaluate", fresh=True)
    # But not what it was trained on.
    other.write_text("more labels")
    with pytest.raises(InputError, match="run unetseg train again"):
        open_stage(tmp_path / "p", stage="evaluate", fresh=True)


def test_a_stack_beside_a_manifest_of_another_program_is_a_stack(tmp_path: Path, source: Path):
    folder = tmp_path / "slices"
    folder.mkdir()
    (folder / MANIFEST).write_text('{"name": "exported by another program"}')
    assert find_prediction(folder) == folder
    assert find_manifest(folder) is None
    write_stage(tmp_path / "a", {"x": "1"}, source=source)
    assert find_manifest(tmp_path / "a") == Manifest.read(tmp_path / "a" / MANIFEST)
    with pytest.raises(InputError, match="found that of another program; check the path"):
        open_stage(folder, stage="train", fresh=False)


DETAILS = {
    "network": {},
    "normalisation": "slice-standard",
    "held_out": [4],
    "train_slices": [0, 1],
    "epochs_run": 2,
    "keras": "3",
    "data": [{"name": "a.tif"}],
    "scores": {"v_rand": 1, "v_info": 0.5},
}


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw["details"].pop(name)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        *((without(name), f"{name} is missing") for name in DETAILS if name != "scores"),
        (lambda raw: raw["details"]["scores"].pop("v_info"), "v_info is missing"),
        (lambda raw: raw["details"]["data"][0].pop("name"), "name is missing"),
        (lambda raw: raw["options"].pop("network"), "network is missing"),
        (lambda raw: raw["inputs"].clear(), "inputs or outputs are missing"),
    ],
)
def test_what_predict_says_of_a_model_is_asked_for_first(
    tmp_path: Path, source: Path, change: Callable[[dict[str, Any]], None], found: str
):
    folder = tmp_path / "model"
    options = {"network": "compact"}
    with StageWriter(
        folder, stage="train", options=options, inputs=[source], names=["x"]
    ) as writer:
        writer.path("x").write_text("x")
        writer.details.update(DETAILS)
    open_stage(folder, stage="train", fresh=False)
    raw = json.loads((folder / MANIFEST).read_text())
    raw["details"].pop("scores")  # of a model without held-out slices
    (folder / MANIFEST).write_text(json.dumps(raw))
    open_stage(folder, stage="train", fresh=False)
    raw["details"]["scores"] = {"v_rand": 1, "v_info": 0.5}
    change(raw)
    (folder / MANIFEST).write_text(json.dumps(raw))
    with pytest.raises(InputError, match=rf"{found}\); run unetseg train again"):
        open_stage(folder, stage="train", fresh=False)


def test_a_folder_of_chunks_is_what_manifests_have_always_said(tmp_path: Path, source: Path):
    folder = tmp_path / "a"
    with StageWriter(
        folder, stage="segment", options={}, inputs=[source], names=["x.zarr"]
    ) as writer:
        for name in ("0/c/10", "0/c/9", "0.txt", "zarr.json"):
            path = writer.path("x.zarr") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    (output,) = Manifest.read(folder / MANIFEST).outputs
    assert (output.bytes, output.sha256) == slowly(folder / "x.zarr")
    open_stage(folder, stage="segment", fresh=True)
    chunk = folder / "x.zarr/0/c/9"
    chunk.write_text("0/c/8")
    with pytest.raises(InputError, match=r"x\.zarr: expected the file .* found another"):
        open_stage(folder, stage="segment", fresh=False)
    chunk.unlink()
    with pytest.raises(InputError, match=r"x\.zarr: expected the file .* found another"):
        open_stage(folder, stage="segment", fresh=False)


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"stage": 1}', "\x00\xff"])
def test_a_broken_manifest_is_one_line(tmp_path: Path, text: str):
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="expected a manifest"):
        Manifest.read(tmp_path / MANIFEST)
