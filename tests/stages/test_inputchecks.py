"""What may be wrong with images and labels is said before it ruins a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import SHARED, Cli

from unetseg.progress import Silent
from unetseg.stacks.volume import ArrayVolume
from unetseg.stages.inputchecks import warn_of_axes


def change(path: Path, how: object) -> None:
    stack = how(tifffile.imread(path))
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"})


def invert(stack: np.ndarray) -> np.ndarray:
    return 255 - stack


def move(stack: np.ndarray) -> np.ndarray:
    return np.roll(stack, (6, 9), (1, 2))


def keep_odd(stack: np.ndarray) -> np.ndarray:
    stack[::2] = 0
    return stack


def flatten_one(stack: np.ndarray) -> np.ndarray:
    stack[3] = 9
    return stack


@pytest.mark.parametrize(
    ("file", "how", "warning"),
    [
        (
            "train-labels.tif",
            invert,
            "labels may be inverted: interior, the higher value, is",
        ),
        (
            "train-labels.tif",
            move,
            "labels may be out of register: they fit better 6 pixels up and 9",
        ),
        ("train-volume.tif", flatten_one, "slice 3 is missing: no tissue"),
        ("train-labels.tif", keep_odd, "one value everywhere in slices 0, 2, 4; if nobody has"),
    ],
)
def test_augment_warns(data: Path, cli: Cli, file: str, how: object, warning: str):
    assert "warning" not in cli("augment", "--copies", 0, "--jobs", 1).stderr
    change(data / file, how)
    (line,) = cli("augment", "--copies", 0, "--jobs", 1).stderr.splitlines()
    assert line.startswith(f"warning: data/{file}: {warning}")


def test_stacks_that_are_exchanged_are_told_apart(data: Path, cli: Cli):
    swapped = ("--volume", data / "train-labels.tif", "--labels", data / "train-volume.tif")
    line = cli("augment", *swapped, "--jobs", 1, code=1).stderr
    assert "train-volume.tif: expected labels, of two values, found" in line
    assert line.endswith("exchange --volume and --labels\n")


def test_slices_whose_numbers_differ_are_told(data: Path, cli: Cli):
    for kind in ("volume", "labels"):
        (data / kind).mkdir()
        for index, image in enumerate(tifffile.imread(data / f"train-{kind}.tif")):
            tifffile.imwrite(data / kind / f"s{index + 1}.tif", image)
    stacks = ("--volume", data / "volume", "--labels", data / "labels", "--jobs", 1)
    assert "warning" not in cli("augment", *stacks, "--copies", 0).stderr
    (data / "labels/s3.tif").rename(data / "labels/s9.tif")
    shown = cli("augment", *stacks, "--copies", 0).stderr
    assert "labels: the label at place 3 has number 4, its image in" in shown
    assert "volume number 3; see that no slice is missing" in shown


def test_slices_that_nobody_has_labelled_cannot_be_scored(data: Path, cli: Cli):
    labels = data / "train-labels.tif"
    probabilities = tifffile.imread(labels) / np.float32(255)
    tifffile.imwrite(data / "p.tif", probabilities, metadata={"axes": "ZYX"})
    change(labels, keep_odd)
    cli("augment", "--copies", 0, "--jobs", 1)
    (line,) = cli("preprocess", "--jobs", 1, code=1).stderr.splitlines()
    assert "expected cells in every held-out slice, found only membrane in slice 4; " in line
    cli("preprocess", "--jobs", 1, "--held-out", "3-3")
    arguments = ("--prediction", data / "p.tif", "--labels", labels)
    (line,) = cli("evaluate", *arguments, code=1).stderr.splitlines()
    assert "labels.tif: expected cells in every slice that is scored, found only membrane" in line
    assert "in slice 0;" in line


def test_preprocess_warns_of_slices_that_are_in_both_parts(data: Path, cli: Cli):
    for name in ("train-volume.tif", "train-labels.tif"):
        stack = tifffile.imread(data / name)
        stack[4] = stack[1]
        tifffile.imwrite(data / name, stack, metadata={"axes": "ZYX"})
    cli("augment", "--copies", 0, "--jobs", 1)
    shown = cli("preprocess", "--jobs", 1).stderr
    assert "warning: held-out slice 4 is the same as slice 1" in shown
    assert "warning" not in cli("preprocess", "--jobs", 1, "--held-out", "2-2").stderr


@pytest.mark.skipif(not SHARED.is_dir(), reason="the ISBI 2012 stacks are not on this machine")
def test_real_stacks_cause_no_warning(cli: Cli):
    real = SHARED / "data/isbi2012"
    shown = cli("augment", "--volume", real, "--labels", real, "--copies", 0, "--no-preview").stderr
    assert "warning" not in shown


@pytest.mark.parametrize(
    ("shape", "warned"),
    [
        ((64, 64, 6), True),
        ((512, 400, 30), True),
        ((6, 64, 64), False),
        ((30, 512, 512), False),
        ((60, 100, 40), False),  # narrow, but not that narrow
        ((2000, 100, 20), False),  # a strip, cut for many slices
        ((1, 1, 1), False),
    ],
)
def test_slices_along_the_last_axis_are_told(shape: tuple[int, int, int], warned: bool):
    lines: list[str] = []
    progress = Silent()
    progress.warn = lines.append  # type: ignore[method-assign]
    warn_of_axes(ArrayVolume("volume.tif", np.zeros(shape, np.uint8)), progress)
    assert bool(lines) == warned
    if warned:
        depth, height, width = shape
        assert f"look like {width} slices of {depth} x {height}" in lines[0]
