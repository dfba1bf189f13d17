"""What may be wrong with images and labels is said before it ruins a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import SHARED, Cli
from scipy import ndimage

from unetseg.arrays.synthetic import synthesize
from unetseg.progress import Silent
from unetseg.stacks.volume import ArrayVolume
from unetseg.stages.stackchecks import warn_of_axes


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


def test_strokes_are_not_looked_at_for_register(data: Path, cli: Cli):
    labels = np.full((5, 64, 96), 127, np.uint8)
    labels[1, 17:23, 10:80], labels[1, 42:48, 10:80] = 0, 255
    tifffile.imwrite(data / "train-labels.tif", labels, metadata={"axes": "ZYX"})
    # Alone, they would fit better 8 pixels up.
    assert "warning" not in cli("augment", "--copies", 0, "--jobs", 1).stderr


def label_a_corner(stack: np.ndarray) -> np.ndarray:
    stack[:, 32:], stack[:, :, 48:] = 0, 0
    return stack


@pytest.fixture(scope="module")
def dozen() -> tuple[np.ndarray, np.ndarray]:
    """A dozen slices and their labels, so that there is an order to lose."""
    return synthesize(slices=12, height=128, width=128, rng=np.random.default_rng(1))


AS_TEXT = sorted(range(12), key=str)


@pytest.mark.parametrize(
    ("order", "warning"),
    [
        (range(11, -1, -1), "label 0 fits image 11 better, label 1 fits image 10 better, label 2 "),
        (range(11, -1, -1), ", ...; they look reversed"),
        (AS_TEXT, "label 2 fits image 10 better, label 3 fits image 11 better, label 4 fits "),
        (AS_TEXT, "; they look sorted as text (0, 1, 10, 11, ..., 2): number their files with"),
        ([10, 11, *range(10)], "; they look 2 slices late"),
        ([*range(1, 12), 11], "; they look 1 slice early"),
        ([0, 1, 2, 6, 4, 5, 3, *range(7, 12)], "label 3 fits image 6 better, label 6 fits image 3"),
        (
            [7, 3, 11, 0, 9, 4, 1, 10, 2, 6, 5, 8],
            "label 0 fits image 7 better, label 1 fits image 3",
        ),
        (range(12), None),
    ],
)
def test_labels_in_another_order_are_told(
    cli: Cli, dozen: tuple[np.ndarray, np.ndarray], order: list[int], warning: str | None
):
    volume, labels = dozen
    tifffile.imwrite("v.tif", volume, metadata={"axes": "ZYX"})
    tifffile.imwrite("l.tif", labels[list(order)], metadata={"axes": "ZYX"})
    shown = cli("augment", "--volume", "v.tif", "--labels", "l.tif", "--copies", 0, "--jobs", 1)
    if warning is None:
        assert shown.stderr == ""
        return
    (line,) = shown.stderr.splitlines()
    assert line.startswith("warning: l.tif: labels may be in another order than images: label ")
    assert warning in line


def test_a_blurred_image_does_not_put_its_label_elsewhere(
    cli: Cli, dozen: tuple[np.ndarray, np.ndarray]
):
    volume, labels = dozen
    volume = volume.copy()
    for index in (3, 7):
        volume[index] = ndimage.gaussian_filter(volume[index].astype(float), 12)
    tifffile.imwrite("v.tif", volume, metadata={"axes": "ZYX"})
    tifffile.imwrite("l.tif", labels, metadata={"axes": "ZYX"})
    shown = cli("augment", "--volume", "v.tif", "--labels", "l.tif", "--copies", 0, "--jobs", 1)
    assert shown.stderr == ""


def test_a_corner_alone_that_is_labelled_is_told(data: Path, cli: Cli):
    labels = data / "train-labels.tif"
    stack = label_a_corner(tifffile.imread(labels))
    tifffile.imwrite(labels, stack, metadata={"axes": "ZYX"})
    (line,) = cli("augment", "--copies", 0, "--jobs", 1).stderr.splitlines()
    assert "% of slices 0-4 is membrane wider than cells are; what nobody has labelled" in line
    assert "needs the value 127 (0 membrane, 255 interior)" in line
    stack[:, 32:], stack[:, :, 48:] = 127, 127
    tifffile.imwrite(labels, stack, metadata={"axes": "ZYX"})
    assert cli("augment", "--copies", 0, "--jobs", 1).stderr == ""


def test_stacks_that_are_exchanged_are_told_apart(data: Path, cli: Cli):
    swapped = ("--volume", data / "train-labels.tif", "--labels", data / "train-volume.tif")
    line = cli("augment", *swapped, "--jobs", 1, code=1).stderr
    assert "train-volume.tif: expected labels, of two values, found" in line
    assert line.endswith("swap --volume and --labels\n")


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
    assert "expected cells in every slice that is scored, found only membrane in slice 4; " in line
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
