"""Folders of separate micrographs, each of a size of its own, from labels to scores and cells."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli, prepared, read
from PIL import Image

from unetseg import api
from unetseg.arrays.synthetic import synthesize
from unetseg.artifacts.finding import find_cells
from unetseg.engine.ensemble import Ensemble
from unetseg.stacks.opening import open_volume
from unetseg.stacks.pieces import Piece
from unetseg.stacks.volume import Volume
from unetseg.stacks.voxel import Voxel
from unetseg.stages import segment as stage

SIZES = {"cell 2": (90, 130), "cell 10": (140, 76), "Zelle": (64, 64)}
VOXELS = {"cell 2": 4.0, "cell 10": 8.0, "Zelle": 4.0}  # nm
PREDICT = ("predict", "--volume", "images", "--no-tta")


def nm(edge: float) -> dict[str, object]:
    return {"imagej": True, "resolution": (1 / edge, 1 / edge), "metadata": {"unit": "nm"}}


@pytest.fixture
def images(tmp_path: Path, cli: Cli) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Folders of images and of labels; what each of them holds."""
    made = {}
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for seed, (name, (height, width)) in enumerate(SIZES.items()):
        rng = np.random.default_rng(seed)
        image, label = (s[0] for s in synthesize(slices=1, height=height, width=width, rng=rng))
        made[name] = image, label
        tifffile.imwrite(tmp_path / f"images/{name}.tif", image, **nm(VOXELS[name]))
        # The higher value is interior, whatever both are: 0 does not occur.
        Image.fromarray((label // 255 + 1).astype(np.uint8)).save(tmp_path / f"labels/{name}.png")
    return made


def outputs(folder: str) -> dict[str, dict[str, object]]:
    manifest = json.loads((Path(folder) / "manifest.json").read_text())
    return {output["name"]: output for output in manifest["outputs"]}


@pytest.mark.parametrize("edge", [10_000, 60])
def test_each_is_predicted_as_if_it_were_alone(
    images: dict[str, tuple[np.ndarray, np.ndarray]],
    model: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    edge: int,
):
    # One has a border, and another is resampled.
    monkeypatch.setattr(Voxel, "recorded", lambda _: Voxel(1, 4, 4))
    image = np.pad(images["Zelle"][0], ((0, 20), (30, 0)))
    tifffile.imwrite("images/Zelle.tif", image, **nm(4.0))
    monkeypatch.setattr(Ensemble, "largest_box", lambda *_, **__: edge)
    shown = cli(*PREDICT, "--model", model)
    assert "from 84 x 94 (Zelle) to 90 x 130 (cell 2), are taken for separate" in shown.stderr
    assert "not all micrographs say the same of the size of a pixel" in shown.stderr
    assert re.search(r"[0-9.]+% of Zelle show no tissue", shown.stderr)
    names = sorted(f"{name}.tif" for name in SIZES)
    assert sorted(p.name for p in Path("work/prediction").iterdir()) == sorted(
        [*names, "manifest.json"]
    )
    assert sorted(outputs("work/prediction")) == names
    for name in SIZES:
        file = f"work/prediction/{name}.tif"
        assert file in shown.stdout
        common = ("--volume", f"images/{name}.tif", "--output", "alone", "--no-tta")
        said = cli("predict", "--model", model, *common).stderr
        assert ("slices are resampled to these" in said) == (VOXELS[name] == 8)
        here, alone = read(Path(file)), read(Path("alone/prediction.tif"))
        assert here.dtype == np.float32
        assert here.shape[1:] == tifffile.imread(f"images/{name}.tif").shape
        np.testing.assert_array_equal(here, alone)
        assert outputs("work/prediction")[f"{name}.tif"]["shape"] == list(alone.shape)
        with open_volume(Path(file)) as volume:
            assert volume.voxel is not None
            assert volume.voxel.x == VOXELS[name]
    assert "up to date" in cli(*PREDICT, "--model", model).stdout


@pytest.mark.parametrize("edge", [10_000, 60])
def test_a_stopped_prediction_goes_on(
    images: dict[str, tuple[np.ndarray, np.ndarray]],
    model: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    edge: int,
):
    monkeypatch.setattr(Ensemble, "largest_box", lambda *_, **__: edge)
    arguments = (*PREDICT, "--model", model)
    cli(*arguments, "--output", "whole")
    predict, done = Ensemble.predict, []

    def stop(self: Ensemble, volume: Volume, piece: Piece) -> np.ndarray:
        if len(done) == most:
            raise KeyboardInterrupt
        done.append((volume.path.stem, piece))
        return predict(self, volume, piece)

    monkeypatch.setattr(Ensemble, "predict", stop)
    most = 2
    shown = cli(*arguments, code=130).stderr
    assert "run the same command to resume" in shown
    assert not list(Path("work/prediction").glob("*.tif"))
    first, most = done.copy(), -1
    done.clear()
    assert re.search(r"resuming: \d+% is done", cli(*arguments).stderr)
    assert done
    assert not set(first) & set(done)
    if edge == 10_000:
        assert [name for name, _ in first + done] == list(SIZES)
    assert outputs("work/prediction") == outputs("whole")


def test_options_of_one_result_are_refused(
    images: dict[str, tuple[np.ndarray, np.ndarray]], model: Path, cli: Cli
):
    for arguments in (("--name", "p.ome.tif"), ("--scheduler", "tcp://127.0.0.1:1")):
        (line,) = cli(*PREDICT, "--model", model, *arguments, code=2).stderr.splitlines()
        assert f"{arguments[0]}: expected one stack, found separate micrographs in images" in line
    assert not Path("work").exists()


def test_training_on_micrographs(images: dict[str, tuple[np.ndarray, np.ndarray]], cli: Cli):
    augment = ("augment", "--volume", "images", "--labels", "labels", "--copies", 1)
    shown = cli(*augment).stderr.splitlines()
    assert not [line for line in shown if "no tissue" in line or "order" in line]
    stacks = read(Path("work/augmented/volume.tif")), read(Path("work/augmented/labels.tif"))
    assert stacks[0].shape == (6, 140, 130)
    for index, (name, (height, width)) in enumerate(SIZES.items()):
        image, label = images[name]
        padding = np.pad(
            np.zeros((height, width), bool),
            ((0, 140 - height), (0, 130 - width)),
            constant_values=True,
        )
        assert ((stacks[1][index] == 127) == padding).all()
        np.testing.assert_array_equal(stacks[1][index][~padding], label.ravel())
        np.testing.assert_array_equal(stacks[0][index][~padding], image.ravel())
    cli("preprocess", "--held-out", "2-2")
    weights = prepared("held-out").weights
    assert not weights[0, 64:].any()
    assert not weights[0, :, 64:].any()
    cli("train", "--epochs", 1, "--epoch-size", 4, "--batch-size", 2, "--patch", 64)
    turned = {name: 255 - image for name, (image, _) in images.items()}
    for name, image in turned.items():
        tifffile.imwrite(f"images/{name}.tif", image)
    cli(*augment, "--invert", "--output", "turned")
    np.testing.assert_array_equal(read(Path("turned/labels.tif")), stacks[1])
    np.testing.assert_array_equal(read(Path("turned/volume.tif"))[:3], stacks[0][:3])


def test_images_and_labels_that_do_not_pair(
    images: dict[str, tuple[np.ndarray, np.ndarray]], cli: Cli
):
    augment = ("augment", "--volume", "images", "--labels", "labels", "--quiet")
    Path("labels/cell 2.png").rename("labels/cell 3.png")
    (line,) = cli(*augment, code=1).stderr.splitlines()
    assert "labels: expected cell 2, as in images, found no file of that name" in line
    Image.fromarray(np.eye(9, dtype=np.uint8) + np.uint8(1)).save("labels/cell 2.png")
    Path("labels/cell 3.png").unlink()
    (line,) = cli(*augment, code=1).stderr.splitlines()
    assert "labels: expected labels of 90 x 130 for cell 2, as its image, found 9 x 9" in line
    assert not Path("work").exists()


@pytest.fixture
def predicted(images: dict[str, tuple[np.ndarray, np.ndarray]], model: Path, cli: Cli) -> Path:
    cli(*PREDICT, "--model", model)
    return Path("work/prediction")


def rows(folder: str) -> list[dict[str, str]]:
    with (Path(folder) / "cells.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_cells_of_each_are_those_of_it_alone(
    predicted: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    settings = ("--seed-threshold", 0.4, "--smallest", 1, "--smoothing", 0)
    shown = cli("segment", *settings).stdout
    table = rows("work/cells")
    assert f"{len(table)} cells" in shown
    names = [f"{name}.tif" for name in SIZES]
    assert sorted(outputs("work/cells")) == sorted([*names, "cells.csv"])
    assert sorted(p.name for p in Path("work/cells").iterdir()) == sorted(
        [*names, "cells.csv", "manifest.json"]
    )
    assert "up to date" in cli("segment", *settings).stdout
    for name in SIZES:
        cli("segment", *settings, "--prediction", predicted / f"{name}.tif", "--output", "alone")
        cells = read(Path(f"work/cells/{name}.tif"))
        assert cells.max() > 0
        np.testing.assert_array_equal(cells, read(Path("alone/labels.tif")))
        mine = [row for row in table if row["name"] == name]
        assert [{**row, "slice": "0"} for row in rows("alone")] == [
            {"slice": "0", **{key: row[key] for key in row if key != "name"}} for row in mine
        ]
    (line,) = cli("segment", "--link", code=2).stderr.splitlines()
    assert "--link: expected slices of one stack, found separate micrographs" in line
    with open_volume(Path("work/cells")) as volume:
        assert volume.names == tuple(SIZES)
    # More cells in one than the smaller type counts: all are of the larger, and open as before.
    counts = sorted(int(read(Path(f"work/cells/{name}.tif")).max()) for name in SIZES)
    assert counts[-2] < counts[-1]
    monkeypatch.setattr(
        stage, "label_dtype", lambda highest: np.uint32 if highest == counts[-1] else np.uint16
    )
    cli("segment", *settings, "--jobs", 1, "--force")
    for name in SIZES:
        assert tifffile.imread(f"work/cells/{name}.tif").dtype == np.uint32


def test_binary_micrographs_are_named_as_their_labels(predicted: Path, cli: Cli):
    # A name that is that of the binary stack where there is one stack.
    names = ["binary", *list(SIZES)[1:]]
    shutil.copytree(predicted, "renamed")
    Path("renamed/manifest.json").unlink()
    Path(f"renamed/{next(iter(SIZES))}.tif").rename("renamed/binary.tif")
    settings = ("--seed-threshold", 0.4, "--smallest", 1, "--binary")
    cli("segment", "--prediction", "renamed", *settings)
    assert sorted(p.name for p in Path("work/cells/binary").iterdir()) == sorted(
        f"{name}.tif" for name in names
    )
    for name in names:
        with open_volume(Path(f"work/cells/binary/{name}.tif")) as binary:
            assert binary.voxel is not None
            pixels = binary[0]
        assert pixels.dtype == np.uint8
        cells = read(Path(f"work/cells/{name}.tif"))[0]
        np.testing.assert_array_equal(pixels, np.where(cells > 0, 255, 0))
    # Both are folders of micrographs.
    for folder in (find_cells(Path("work/cells")), Path("work/cells/binary")):
        with open_volume(folder) as volume:
            assert sorted(volume.names) == sorted(names)
    cli("segment", "--prediction", "renamed", *settings[:-1])
    assert not Path("work/cells/binary").exists()


def test_scores_count_what_each_micrograph_has(predicted: Path, cli: Cli):
    evaluate = ("evaluate", "--prediction", predicted)
    cli(*evaluate, "--labels", "labels")
    scores = json.loads(Path("work/evaluation/scores.json").read_text())
    assert scores["names"] == list(SIZES)
    for name, row in zip(SIZES, scores["slices"], strict=True):
        one = ("--prediction", predicted / f"{name}.tif", "--labels", f"labels/{name}.png")
        cli("evaluate", *one, "--output", "alone")
        alone = json.loads(Path("alone/scores.json").read_text())
        at = scores["curves"]["threshold"].index(scores["v_rand_threshold"])
        assert row["v_rand"] == pytest.approx(alone["curves"]["v_rand"][at], abs=1e-12)
    Path("labels/Zelle.png").unlink()
    line = cli(*evaluate, "--labels", "labels", code=1).stderr.splitlines()[-1]
    assert "expected Zelle, as in" in line


def test_what_shows_one_stack_says_so(predicted: Path, model: Path, cli: Cli):
    tifffile.imwrite(predicted / "other.tif", np.zeros((5, 6), np.float32))
    (line,) = cli("segment", code=1).stderr.splitlines()
    assert "no images but those that unetseg predict wrote, found other.tif; move" in line
    (predicted / "other.tif").unlink()
    for arguments in ((), ("--volume", "images")):
        (line,) = cli("view", *arguments, code=1).stderr.splitlines()
        assert "expected one stack, found separate micrographs" in line
    # A later run of one stack takes the place of all of them.
    shown = cli("predict", "--model", model, "--volume", "images/Zelle.tif", "--no-tta").stderr
    assert shown.count("result of an earlier run, removed") == 3
    assert list(outputs("work/prediction")) == ["prediction.tif"]
    assert sorted(p.name for p in predicted.iterdir()) == ["manifest.json", "prediction.tif"]


def test_the_size_of_a_pixel_that_is_given_counts_for_all(
    images: dict[str, tuple[np.ndarray, np.ndarray]],
    model: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(Voxel, "recorded", lambda _: Voxel(50, 4, 4))
    settings = ("--model", model, "--no-tta", "--voxel", "50 6 6", "--invert")
    assert "slices are resampled to these" in cli("predict", "--volume", "images", *settings).stderr
    cli("predict", "--volume", "images/cell 10.tif", *settings, "--output", "alone")
    np.testing.assert_array_equal(
        read(Path("work/prediction/cell 10.tif")), read(Path("alone/prediction.tif"))
    )


def test_a_report_says_that_it_shows_none(
    images: dict[str, tuple[np.ndarray, np.ndarray]], model: Path, cli: Cli
):
    shutil.copytree(model, "work/model")
    cli(*PREDICT)
    cli("segment")
    cli("report")
    text = Path("work/report/report.html").read_text(encoding="utf-8")
    assert "Separate micrographs have been predicted" in text


def test_python_gives_them_by_their_names(
    images: dict[str, tuple[np.ndarray, np.ndarray]], model: Path
):
    with pytest.warns(UserWarning, match="micrographs"):
        predicted = api.predict("images", model, tta=False)
    assert sorted(predicted) == sorted(f"{name}.tif" for name in SIZES)
    cells = api.segment(predicted)
    assert cells["Zelle.tif"].shape == (1, 64, 64)


def test_a_damaged_micrograph_is_named(
    images: dict[str, tuple[np.ndarray, np.ndarray]], model: Path, cli: Cli
):
    path = Path("images/cell 10.tif")
    path.write_bytes(path.read_bytes()[:3000])
    line = cli(*PREDICT, "--model", model, code=1).stderr.splitlines()[-1]
    assert "cell 10.tif: expected" in line
    image = images["cell 10"][0].astype(np.float32)
    image[50, 30] = np.nan
    for name, (other, _) in images.items():
        tifffile.imwrite(f"images/{name}.tif", other.astype(np.float32))
    tifffile.imwrite(path, image)
    line = cli(*PREDICT, "--model", model, code=1).stderr.splitlines()[-1]
    assert "found NaN or infinity in cell 10; replace" in line
