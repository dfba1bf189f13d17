"""`unetseg synthesize`: what is in the files, and in the manifest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli

from unetseg.arrays.synthetic import synthesize
from unetseg.stacks.opening import open_volume

SMALL = ("--slices", 3, "--test-slices", 2, "--height", 64, "--width", 96)
PARTS = (("train", 3), ("test", 2))
KINDS = ("volume", "labels", "cells")


def manifest(folder: str = "data") -> dict:
    return json.loads(Path(folder, "manifest.json").read_text())


def test_without_variety_the_stacks_are_what_they_always_were(cli: Cli):
    cli("synthesize", *SMALL, "--seed", 7)
    for number, (part, slices) in enumerate(PARTS):
        rng = np.random.default_rng([7, number])
        stacks = synthesize(slices=slices, height=64, width=96, rng=rng)
        for kind, expected in zip(KINDS, stacks, strict=False):
            path = Path(f"data/{part}-{kind}.tif")
            np.testing.assert_array_equal(tifffile.imread(path), expected)
            with open_volume(path) as volume:
                assert volume.voxel is None


@pytest.mark.parametrize("seed", [0, 1])
def test_the_files_say_the_voxel_that_was_drawn(cli: Cli, seed: int):
    cli("synthesize", *SMALL, "--variety", 1, "--seed", seed)
    looks = manifest()["details"]["looks"]
    assert looks["train"]["pixel"] != looks["test"]["pixel"]
    for part, _ in PARTS:
        look = looks[part]
        for kind in KINDS[:2]:
            with open_volume(Path(f"data/{part}-{kind}.tif")) as volume:
                assert volume.voxel is not None
                assert volume.voxel.edges == (look["section"], look["pixel"], look["pixel"])
        with tifffile.TiffFile(f"data/{part}-cells.tif") as file:
            assert file.imagej_metadata["spacing"] == look["section"]
            numerator, denominator = file.pages[0].tags["XResolution"].value
            assert denominator / numerator == pytest.approx(look["pixel"])


def test_a_pixel_size_can_be_asked_for(cli: Cli):
    shown = cli("synthesize", *SMALL, "--pixel-size", 6.5).stdout
    assert "train: pixels of 6.5 x 6.5 nm, sections of 50 nm" in shown
    with open_volume(Path("data/test-volume.tif")) as volume:
        assert volume.voxel is not None
        assert volume.voxel.edges == (50, 6.5, 6.5)


def test_seeds_decide_all(cli: Cli):
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        cli("synthesize", *SMALL, "--variety", 0.7, "--seed", seed, "--output", folder)
    assert manifest("a") == manifest("b")
    assert manifest("a")["details"]["looks"]["train"] != manifest("c")["details"]["looks"]["train"]


def test_cells_are_numbered_for_imagej(cli: Cli):
    cli("synthesize", *SMALL)
    for part, slices in PARTS:
        with tifffile.TiffFile(f"data/{part}-cells.tif") as file:
            assert file.is_imagej
            assert file.imagej_metadata["slices"] == slices
            cells = file.asarray()
            assert file.imagej_metadata["max"] == cells.max()
        labels = tifffile.imread(f"data/{part}-labels.tif")
        assert cells.dtype == np.uint16
        np.testing.assert_array_equal(cells > 0, labels == 255)


def test_cells_are_labels_of_augment_too(cli: Cli):
    cli("synthesize", *SMALL)
    cli("augment", "--copies", 0, "--jobs", 1, "--labels", "data/train-cells.tif")
    expected = tifffile.imread("data/train-labels.tif")
    np.testing.assert_array_equal(tifffile.imread("work/augmented/labels.tif"), expected)


def test_a_folder_of_an_older_version_is_read_and_written_again(cli: Cli):
    cli("synthesize", *SMALL)
    older = manifest()
    older["outputs"] = [o for o in older["outputs"] if not o["name"].endswith("cells.tif")]
    del older["options"]["variety"], older["details"]["looks"]
    Path("data/manifest.json").write_text(json.dumps(older))
    for part, _ in PARTS:
        Path(f"data/{part}-cells.tif").unlink()
    cli("augment", "--copies", 0, "--jobs", 1)
    assert json.loads(Path("work/augmented/manifest.json").read_text())["details"]["synthetic"]
    assert "wrote data/train-cells.tif" in cli("synthesize", *SMALL).stdout
    assert "nothing to do" in cli("synthesize", *SMALL).stdout
