"""Paths that are easy to get wrong: each does the right thing, or says why not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli

from unetseg.stacks.hashing import fingerprint
from unetseg.stacks.omezarr import ZarrPieces
from unetseg.stacks.pieces import Piece


@pytest.mark.parametrize("name", ["with space", "größe 細胞", "-dash", "a'b\"c;d"])
def test_odd_names_work_as_any_other(data: Path, cli: Cli, name: str):
    data.rename(name)
    cli("augment", f"--volume={name}", f"--labels={name}", f"--output={name}/out", "--copies", 0)
    assert (Path(name) / "out" / "volume.tif").exists()
    cli("preprocess", f"--input={name}/out", f"--output={name}/pre", "--jobs", 1)


def test_results_never_replace_what_was_read(model: Path, tmp_path: Path, cli: Cli):
    volume = np.random.default_rng(0).integers(256, size=(1, 40, 40)).astype(np.uint8)
    tifffile.imwrite("v.tif", volume, photometric="minisblack")
    common = ("predict", "--model", model, "--no-tta")
    cli(*common, "--volume", "v.tif", "--output", "p")
    before = Path("p/prediction.tif").read_bytes()
    (line,) = cli(
        *common, "--volume", "p/prediction.tif", "--output", "p", code=1
    ).stderr.splitlines()
    assert "expected a folder in which nothing is read" in line
    assert Path("p/prediction.tif").read_bytes() == before
    slices = tmp_path / "slices"
    slices.mkdir()
    tifffile.imwrite(slices / "1.tif", volume[0])
    (line,) = cli(*common, "--volume", slices, "--output", slices, code=1).stderr.splitlines()
    assert "choose another --output" in line
    assert [path.name for path in slices.iterdir()] == ["1.tif"]


def test_a_result_that_is_a_link_is_replaced_not_followed(data: Path, cli: Cli, tmp_path: Path):
    cli("augment", "--copies", 0)
    elsewhere = tmp_path / "elsewhere.tif"
    Path("work/augmented/volume.tif").rename(elsewhere)
    Path("work/augmented/volume.tif").symlink_to(elsewhere)
    kept = elsewhere.read_bytes()
    cli("augment", "--copies", 1)
    assert elsewhere.read_bytes() == kept
    assert not Path("work/augmented/volume.tif").is_symlink()


def test_a_folder_that_is_a_link_works(data: Path, cli: Cli, tmp_path: Path):
    (tmp_path / "big disk" / "mine").mkdir(parents=True)
    Path("work").symlink_to(tmp_path / "big disk" / "mine")
    cli("augment", "--copies", 0)
    cli("preprocess", "--jobs", 1)
    assert (tmp_path / "big disk" / "mine" / "preprocessed" / "manifest.json").exists()
    # What was read is found through the link, too.
    volume = tifffile.imread(data / "train-volume.tif")
    tifffile.imwrite(data / "train-volume.tif", volume[::-1], metadata={"axes": "ZYX"})
    assert "made from an earlier one" in cli("preprocess", "--jobs", 1, code=1).stderr


def test_what_lies_beside_slices_changes_nothing(model: Path, tmp_path: Path, cli: Cli):
    slices = tmp_path / "slices"
    slices.mkdir()
    image = np.random.default_rng(0).integers(256, size=(40, 40)).astype(np.uint8)
    tifffile.imwrite(slices / "1.tif", image)
    output = slices / "prediction"
    cli("predict", "--model", model, "--volume", slices, "--output", output, "--no-tta")
    (slices / ".DS_Store").write_bytes(b"of a file manager")
    (slices / "notes.txt").write_text("mine")
    cli("segment", "--prediction", output, "--jobs", 1)
    # A picture beside the pixels of a Zarr is not taken for them.
    image_of(tmp_path / "a.ome.zarr", 1)
    before = fingerprint(tmp_path / "a.ome.zarr")
    tifffile.imwrite(tmp_path / "a.ome.zarr" / "thumbnail.tif", image)
    beside = fingerprint(tmp_path / "a.ome.zarr")
    image_of(tmp_path / "a.ome.zarr", 2)
    assert len({before, beside, fingerprint(tmp_path / "a.ome.zarr")}) == 3
    tifffile.imwrite(slices / "2.tif", image)
    shown = cli("segment", "--prediction", output, "--jobs", 1, code=1).stderr
    assert "made from an earlier one" in shown


def image_of(path: Path, value: float) -> None:
    piece = Piece(0, 0, 8, 0, 8)
    ZarrPieces(path, shape=(1, 8, 8)).write(piece, np.full((8, 8), value, np.float32))


def test_a_path_too_long_is_one_line(data: Path, cli: Cli):
    (line,) = cli("augment", "--output", "x" * 300, code=1).stderr.splitlines()
    assert "File name too long" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder_is_one_line(data: Path, cli: Cli, tmp_path: Path):
    (tmp_path / "work").mkdir(mode=0o500)
    (line,) = cli("augment", code=1).stderr.splitlines()
    assert "Permission denied" in line


def test_an_output_that_is_a_file_is_one_line(data: Path, cli: Cli):
    Path("out").write_text("mine")
    (line,) = cli("augment", "--output", "out", code=1).stderr.splitlines()
    assert "expected a folder to write into" in line
    assert Path("out").read_text() == "mine"
