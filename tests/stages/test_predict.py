"""Prediction: of any size, in any form, by several models, interrupted and gone on with."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import SHARED, Cli, read
from hashes import slowly, watch
from scipy import ndimage

from unetseg import stacks
from unetseg.artifacts.manifest import Manifest
from unetseg.engine import prediction
from unetseg.engine.ensemble import Ensemble, Member, Treatment
from unetseg.stacks.hashing import Hashed
from unetseg.stacks.omezarr import ZarrPieces
from unetseg.stacks.opening import open_volume
from unetseg.stacks.pieces import Piece
from unetseg.stacks.volume import Volume

# Some processors add up a convolution in another order for images of another size. A halo that is
# 8 pixels too narrow changes probabilities by up to 0.1.
ROUNDING = 2e-6

AS_IT_IS = Treatment(tta=False, invert=False, rescale=False, voxel=None)


def write_volume(path: Path, *shape: int) -> Path:
    noise = np.random.default_rng(0).normal(size=shape)
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2))  # else it were no tissue
    image = np.clip(128 + 200 * smooth + 10 * noise, 0, 255).astype(np.uint8)
    tifffile.imwrite(path, image, photometric="minisblack")
    return path


@pytest.mark.slow
def test_tiles_equal_the_whole_slice(
    model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    volume = write_volume(tmp_path / "v.tif", 1, 301, 423)
    common = ("predict", "--model", model, "--volume", volume, "--no-tta")
    cli(*common, "--output", "whole")
    for edge in (128, 200):
        monkeypatch.setattr(prediction, "longest_edge", lambda edge=edge, **_: edge + 2 * 120)
        cli(*common, "--output", f"tiles-{edge}")
        np.testing.assert_allclose(
            read(tmp_path / f"tiles-{edge}/prediction.tif"),
            read(tmp_path / "whole/prediction.tif"),
            atol=ROUNDING,
        )


def test_a_slice_measured_in_parts_changes_nothing_else(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_volume(tmp_path / "v.tif", 1, 100, 90)
    piece = Piece(0, 10, 40, 20, 60)
    with open_volume(path) as volume:
        whole = Ensemble([Member.load(model)], AS_IT_IS).predict(volume, piece)
    monkeypatch.setattr(stacks.volume, "READ_AT_ONCE", 8 * 90)
    with open_volume(path) as volume:
        np.testing.assert_array_equal(
            Ensemble([Member.load(model)], AS_IT_IS).predict(volume, piece), whole
        )


@pytest.mark.slow
def test_results_in_every_form_are_the_same(model: Path, tmp_path: Path, cli: Cli):
    volume = write_volume(tmp_path / "v.tif", 2, 70, 90)
    common = ("predict", "--model", model, "--volume", volume, "--no-tta")
    cli(*common)
    expected = read(tmp_path / "work/prediction/prediction.tif")
    for name in ("p.ome.tif", "p.ome.zarr"):
        (line,) = cli(*common, "--name", name, "--quiet").stderr.splitlines()
        assert ": result of an earlier run, removed when" in line
        assert sorted(path.name for path in Path("work/prediction").iterdir()) == [
            "manifest.json",
            name,
        ]
        np.testing.assert_array_equal(read(tmp_path / "work/prediction" / name), expected)
        assert "up to date" in cli(*common, "--name", name).stdout
    with tifffile.TiffFile(next(iter(cli_outputs(cli, common, "q.ome.tif")))) as file:
        assert file.is_ome
    labels = write_volume(tmp_path / "labels.tif", 2, 70, 90)
    tifffile.imwrite(labels, (read(labels) > 99).astype(np.uint8), photometric="minisblack")
    cli(*common, "--name", "p.ome.zarr")
    cli("evaluate", "--prediction", "work/prediction", "--labels", labels)


def cli_outputs(cli: Cli, common: tuple[object, ...], name: str) -> list[Path]:
    cli(*common, "--name", name, "--output", "q")
    return [Path("q") / name]


@pytest.mark.slow
def test_several_models_are_averaged(model: Path, other_model: Path, tmp_path: Path, cli: Cli):
    volume = write_volume(tmp_path / "v.tif", 1, 70, 90)
    common = ("predict", "--volume", volume, "--no-tta")
    cli(*common, "--model", model, "--output", "a")
    cli(*common, "--model", other_model, "--output", "b")
    shown = cli(*common, "--model", model, "--model", other_model, "--output", "both").stdout
    assert f"{model}: compact network" in shown
    assert f"{other_model}: compact network" in shown
    a, b, both = (read(tmp_path / folder / "prediction.tif") for folder in ("a", "b", "both"))
    assert np.abs(a - b).max() > 0.01
    np.testing.assert_allclose(both, (a + b) / 2, atol=1e-7)


def test_how_fast_it_was_stands_in_the_manifest(model: Path, tmp_path: Path, cli: Cli):
    volume = write_volume(tmp_path / "v.tif", 1, 70, 90)
    cli("predict", "--model", model, "--volume", volume)
    details = json.loads(Path("work/prediction/manifest.json").read_text())["details"]
    assert details["pixels_per_second"] > 0
    assert 1e8 < details["peak_memory_bytes"] < 1e11


# Flushed after every piece: a quick machine would have made all before the first flush.
PREDICT = """
from unetseg.cli.commands import main
from unetseg.stacks import pieces
pieces.SECONDS_BETWEEN_FLUSHES = 0
main()
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", PREDICT, "predict", *map(str, arguments)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prediction.tif", "prediction.ome.zarr"])
def test_killed_prediction_goes_on_to_the_same_bytes(
    model: Path, tmp_path: Path, cli: Cli, name: str
):
    volume = write_volume(tmp_path / "v.tif", 8, 200, 200)
    arguments = ("--model", model, "--volume", volume, "--name", name)
    cli("predict", *arguments, "--output", "undisturbed")
    unfinished = tmp_path / "killed" / ".unfinished"

    def is_begun() -> bool:
        journal = unfinished / f".{name}.journal"
        if journal.exists():
            return journal.read_text().count("\n") > 1
        return len(list(unfinished.glob(f"{name}/0/c/*"))) > 2

    with subprocess.Popen(
        command(*arguments, "--output", "killed"), cwd=tmp_path, stderr=subprocess.PIPE
    ) as run:
        while not is_begun():
            assert run.poll() is None, run.stderr and run.stderr.read()
            time.sleep(0.01)
        run.kill()
    assert not (tmp_path / "killed" / "manifest.json").exists()
    assert not (tmp_path / "killed" / name).exists()

    (line,) = cli(
        "predict", *arguments, "--output", "killed", "--no-tta", code=1
    ).stderr.splitlines()
    assert "found one that differs in tta (True)" in line
    again = cli("predict", *arguments, "--output", "killed").stderr
    assert re.search(r"resuming: \d+% is done", again)
    outputs = [
        json.loads((tmp_path / folder / "manifest.json").read_text())["outputs"]
        for folder in ("killed", "undisturbed")
    ]
    assert outputs[0] == outputs[1]
    assert not unfinished.exists()


def test_what_was_hashed_before_a_kill_is_not_read_again(
    model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    volume = write_volume(tmp_path / "v.tif", 5, 60, 60)
    common = ("predict", "--model", model, "--volume", volume, "--no-tta")
    common = (*common, "--name", "p.ome.zarr")
    with monkeypatch.context() as patch:
        interrupt_after(3, patch)
        cli(*common, code=130)
    unfinished = Path("work/prediction/.unfinished")
    journal = unfinished / ".p.ome.zarr.hashes"
    journal.write_bytes(journal.read_bytes()[:-9])  # as a kill cuts off a line
    hashed = watch(monkeypatch)
    assert "resuming: 60% is done" in cli(*common).stderr
    # The chunk of that line alone.
    assert [path for path in hashed if unfinished in path.parents] == [
        unfinished / "p.ome.zarr/0/c/2/0/0"
    ]
    (output,) = Manifest.read(Path("work/prediction/manifest.json")).outputs
    assert (output.bytes, output.sha256) == slowly(Path("work/prediction/p.ome.zarr"))
    assert sorted(path.name for path in Path("work/prediction").iterdir()) == [
        "manifest.json",
        "p.ome.zarr",
    ]
    cli(*common, "--output", "undisturbed")
    assert Manifest.read(Path("undisturbed/manifest.json")).outputs == [output]
    assert "up to date" in cli(*common).stdout
    chunk = Path("work/prediction/p.ome.zarr/0/c/0/0/0")
    chunk.write_bytes(chunk.read_bytes()[::-1])
    assert "up to date" not in cli(*common).stdout


def interrupt_after(pieces: int, patch: pytest.MonkeyPatch) -> None:
    predict, done = Ensemble.predict, []

    def count(self: Ensemble, volume: Volume, piece: Piece) -> np.ndarray:
        if len(done) == pieces:
            raise KeyboardInterrupt
        done.append(piece)
        return predict(self, volume, piece)

    patch.setattr(Ensemble, "predict", count)


def test_a_result_that_lost_a_chunk_is_not_published(
    model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    volume = write_volume(tmp_path / "v.tif", 3, 60, 60)
    common = ("predict", "--model", model, "--volume", volume, "--no-tta", "--name", "p.zarr")
    put = ZarrPieces.put

    def put_and_lose(self: ZarrPieces, piece: Piece, pixels: np.ndarray) -> list[Hashed]:
        written = put(self, piece, pixels)
        if piece.index == 1:
            Path("work/prediction/.unfinished/p.zarr/0/c/0/0/0").unlink()
        return written

    with monkeypatch.context() as patch:
        patch.setattr(ZarrPieces, "put", put_and_lose)
        *_, line = cli(*common, code=1).stderr.splitlines()
    assert re.search(
        r"p\.zarr: expected all of the 3 pieces that were written, found 2; run the same", line
    )
    assert [path.name for path in Path("work/prediction").iterdir()] == [".unfinished"]
    assert "resuming: 67% is done" in cli(*common).stderr
    assert len(read(Path("work/prediction/p.zarr"))) == 3


# Pieces of the first run are at most 150 px long: four to a slice.
@pytest.mark.parametrize(
    ("edge", "left"),
    # Where more fits, the pieces stay as they are. Where less does, those of the new plan that lie
    # in finished ones count: of nine a slice, all of the first, and one of the second.
    [(300, 3), (150, 3), (130, 8)],
)
def test_another_memory_does_not_begin_anew(
    model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, edge: int, left: int
):
    volume = write_volume(tmp_path / "v.tif", 2, 300, 300)
    common = ("predict", "--model", model, "--volume", volume, "--no-tta")
    cli(*common, "--output", "whole")
    predict = Ensemble.predict
    done: list[Piece] = []

    def count(self: Ensemble, volume: Volume, piece: Piece) -> np.ndarray:
        if len(done) == most:
            raise KeyboardInterrupt
        done.append(piece)
        return predict(self, volume, piece)

    monkeypatch.setattr(Ensemble, "predict", count)
    most = 5
    monkeypatch.setattr(Ensemble, "largest_box", lambda *_, **__: 150)
    cli(*common, "--memory", "1.2GB", code=130)
    most = -1
    done.clear()
    monkeypatch.setattr(Ensemble, "largest_box", lambda *_, **__: edge)
    shown = cli(*common, "--memory", "3GB").stderr
    assert re.search(r"resuming: \d+% is done", shown)
    assert len(done) == left
    np.testing.assert_allclose(
        read(tmp_path / "work/prediction/prediction.tif"),
        read(tmp_path / "whole/prediction.tif"),
        atol=ROUNDING,
    )
    assert sorted(path.name for path in Path("work/prediction").iterdir()) == [
        "manifest.json",
        "prediction.tif",
    ]


@pytest.mark.parametrize("name", ["model.h5", "model.keras"])
def test_a_model_file_alone_is_refused(model: Path, data: Path, cli: Cli, name: str):
    (data / name).write_bytes((model / "model.keras").read_bytes())
    (line,) = cli("predict", "--model", data / name, code=1).stderr.splitlines()
    assert "found a model file alone, which may carry code" in line


@pytest.mark.slow
def test_results_are_not_taken_for_images(model: Path, data: Path, cli: Cli):
    cli("predict", "--model", model, "--volume", data / "train-volume.tif", "--no-tta")
    cli("segment")
    labels = ("--labels", data / "train-labels.tif")
    for stage, name in (("predict", "prediction/prediction.tif"), ("segment", "cells/labels.tif")):
        result = ("--volume", f"work/{name}")
        for again in (("augment", *labels), ("predict", "--model", model)):
            (line,) = cli(*again, *result, "--output", "again", code=1).stderr.splitlines()
            assert f"{name}: expected an image of tissue, found the" in line
            assert f"of unetseg {stage}; give the stack that they were made from" in line
            assert not Path("again").exists()


def test_usage_errors_of_prediction(model: Path, tmp_path: Path, cli: Cli):
    volume = write_volume(tmp_path / "v.tif", 1, 20, 20)
    common = ("predict", "--model", model, "--volume", volume)
    for arguments, found in (
        (("--memory", "much"), "--memory: expected a size such as 2GB or 800MB, found 'much'"),
        (("--memory", "100MB"), "--memory: expected more than 0.1GB"),
        (("--name", "a/b.tif"), "--name: expected a file name"),
        (("--name", "p.png"), "--name: expected a file name"),
        (("--name", ".p.tif"), "--name: expected a file name"),
        (("--scheduler", "tcp://127.0.0.1:1", "--name", "p.tif"), "--scheduler: expected --name"),
    ):
        (line,) = cli(*common, *arguments, code=2).stderr.splitlines()
        assert found in line
    assert not Path("work").exists()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the ISBI 2012 stacks are not on this machine")
def test_tiles_of_a_real_slice(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with open_volume(SHARED / "data/isbi2012/test-volume.tif") as volume:
        ensemble = Ensemble([Member.load(model)], dataclasses.replace(AS_IT_IS, tta=True))
        whole = ensemble.predict(volume, Piece(0, 0, 512, 0, 512))
        for piece in (Piece(0, 0, 200, 0, 512), Piece(0, 250, 301, 33, 404)):
            np.testing.assert_allclose(
                ensemble.predict(volume, piece), whole[piece.box], atol=ROUNDING
            )
