"""What another run publishes while a stage reads is noticed: nothing is made of both."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli, write_stage

from unetseg.artifacts.manifest import MANIFEST, Manifest, Seen, open_stage
from unetseg.artifacts.writer import StageWriter
from unetseg.errors import InputError
from unetseg.stages import predict, preprocess


def writer(folder: Path, given: Any) -> StageWriter:
    return StageWriter(folder, stage="segment", options={}, inputs=[given], names=["x"])


def test_a_manifest_stands_for_the_bytes_that_were_parsed(tmp_path: Path, source: Path):
    write_stage(tmp_path / "a", {"x": "1"}, source=source)
    manifest = open_stage(tmp_path / "a", stage="segment", fresh=True)
    write_stage(tmp_path / "a", {"x": "2"}, source=source)
    with (
        pytest.raises(
            InputError, match=r"a/manifest\.json: expected an unchanged file while it is re"
        ),
        writer(tmp_path / "b", manifest),
    ):
        pass
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("change", ["written", "replaced", "removed", "one more slice"])
def test_a_file_is_what_was_seen_before_it_was_opened(tmp_path: Path, change: str):
    stack = tmp_path / "stack"
    stack.mkdir()
    for number in range(2):
        (stack / f"{number}.tif").write_text("1")
    seen = Seen.of(stack)
    with writer(tmp_path / "same", seen) as same:
        same.path("x").write_text("x")
    if change == "written":
        (stack / "1.tif").write_text("2")
    elif change == "replaced":
        (tmp_path / "other").write_text("1")
        (tmp_path / "other").replace(stack / "1.tif")
    elif change == "removed":
        (stack / "1.tif").unlink()
    else:
        (stack / "2.tif").write_text("1")
    with (
        pytest.raises(InputError, match=r"found a changed one"),
        writer(tmp_path / "b", seen),
    ):
        pass


def test_what_changes_at_work_is_said_at_the_end(tmp_path: Path, source: Path):
    with writer(tmp_path / "a", source) as out:
        out.path("x").write_text("1")
        source.write_text("other")
        with pytest.raises(InputError, match="found a changed one"):
            out.check_inputs()
    (note,) = out.result([]).notes
    assert note.startswith(f"{source}: has changed meanwhile")
    with pytest.raises(InputError, match="made from an earlier one"):
        open_stage(tmp_path / "a", stage="segment", fresh=True)


def test_preprocess_does_not_split_slices_by_the_manifest_of_another_run(
    data: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    cli("augment", "--copies", 1, "--jobs", 1)
    find = preprocess.volumes_of

    def publish(manifest: Manifest) -> dict[str, range]:
        # Three slices where there were five: slice 3 is a copy of slice 0 now.
        for name in ("train-volume.tif", "train-labels.tif"):
            stack = tifffile.imread(data / name)[:3]
            tifffile.imwrite(data / name, stack, photometric="minisblack")
        cli("augment", "--copies", 3, "--jobs", 1)
        return find(manifest)

    with monkeypatch.context() as patch:
        patch.setattr(preprocess, "volumes_of", publish)
        (line,) = cli("preprocess", "--jobs", 1, code=1).stderr.splitlines()
    assert "work/augmented/manifest.json: expected an unchanged file while it is read" in line
    assert not Path("work/preprocessed").exists()
    cli("preprocess", "--jobs", 1)


def test_predict_does_not_take_the_weights_of_another_model(
    data: Path, model: Path, other_model: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(model, "m")
    load = predict.Member.load

    def train_again(folder: Path) -> predict.Member:
        shutil.rmtree("m")
        shutil.copytree(other_model, "m")
        return load(folder)

    command = ("predict", "--model", "m", "--volume", data, "--no-tta")
    with monkeypatch.context() as patch:
        patch.setattr(predict.Member, "load", train_again)
        (line,) = cli(*command, code=1).stderr.splitlines()
    assert "m/manifest.json: expected an unchanged file while it is read" in line
    assert not (Path("work/prediction") / MANIFEST).exists()
    cli(*command)


def test_evaluate_scores_what_it_has_opened(
    tiny: tuple[np.ndarray, np.ndarray], cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    from unetseg.stages import evaluate

    labels = tiny[1]
    tifffile.imwrite("p.tif", (labels / 255).astype(np.float32), metadata={"axes": "ZYX"})
    tifffile.imwrite("l.tif", labels, metadata={"axes": "ZYX"})
    check = evaluate.check_probabilities

    def publish(prediction: Any, **keywords: Any) -> None:
        check(prediction, **keywords)
        tifffile.imwrite("new.tif", np.zeros(labels.shape, np.float32), metadata={"axes": "ZYX"})
        Path("new.tif").replace("p.tif")

    monkeypatch.setattr(evaluate, "check_probabilities", publish)
    command = ("evaluate", "--prediction", "p.tif", "--labels", "l.tif", "--jobs", 1)
    (line,) = cli(*command, code=1).stderr.splitlines()
    assert "p.tif: expected an unchanged file while it is read" in line
