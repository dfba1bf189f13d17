"""Labels that leave something out, or number cells, from the command to the scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli, Stacks, prepared, read
from scipy import ndimage


def write(name: str, stack: np.ndarray) -> None:
    tifffile.imwrite(name, stack, photometric="minisblack", metadata={"axes": "ZYX"})


def augment(cli: Cli, labels: str, *options: object, output: str = "work/augmented") -> str:
    """Augment the images with these labels; return what was printed."""
    command = ("augment", "--volume", "volume.tif", "--labels", labels, "--output", output)
    return str(cli(*command, "--copies", 1, "--no-preview", *options).output)


@pytest.fixture
def marked(tiny: Stacks, cli: Cli) -> np.ndarray:
    """Which pixels nobody has labelled; the images are in place, and labels that say so by 127."""
    mask = np.zeros(tiny[1].shape, bool)
    mask[:, 10:35, 30:70] = mask[1, 50:] = mask[3] = True
    write("volume.tif", tiny[0])
    write("127.tif", np.where(mask, np.uint8(127), tiny[1]))
    return mask


def manifest(folder: str) -> dict[str, Any]:
    return dict(json.loads(Path(folder, "manifest.json").read_text()))


@pytest.mark.parametrize(
    ("kind", "values", "unlabelled"),
    [("u2", (0, 1), 65535), ("i4", (0, 1), -1), ("u1", (1, 2), 0), ("f4", (0, 1), 0.5)],
)
def test_what_does_not_count_stays_so_in_every_copy(
    marked: np.ndarray,
    tiny: Stacks,
    cli: Cli,
    kind: str,
    values: tuple[int, int],
    unlabelled: float,
):
    stack = np.where(tiny[1] > 0, values[1], values[0]).astype(kind)
    stack[marked] = unlabelled
    stack[3] = values[0]
    write("labels.tif", stack)
    augment(cli, "127.tif", output="expected")
    said = ("--unlabelled", unlabelled, "--unlabelled-slices", "3")
    augment(cli, "labels.tif", *said)
    for name in ("labels.tif", "volume.tif"):
        expected = read(Path("expected") / name)
        np.testing.assert_array_equal(read(Path("work/augmented") / name), expected)
    assert (read(Path("work/augmented/labels.tif"))[5:] == 127).any((1, 2)).all()
    recorded = manifest("work/augmented")["options"]
    assert (recorded["unlabelled"], recorded["unlabelled_slices"]) == (unlabelled, "3")
    assert "up to date" in augment(cli, "labels.tif", *said)
    # One slice is made again as the labels were understood then.
    cli("augment", "--volume", "volume.tif", "--labels", "labels.tif", "--only", 7)
    np.testing.assert_array_equal(
        read(Path("work/augmented-7/labels.tif"))[0], read(Path("work/augmented/labels.tif"))[7]
    )


def test_it_has_no_weight_and_slices_without_labels_are_left_out(
    marked: np.ndarray, tiny: Stacks, cli: Cli
):
    stack = tiny[1].astype(np.int16)
    stack[marked] = -1
    write("labels.tif", stack)
    augment(cli, "labels.tif", "--unlabelled", -1)
    images = read(Path("work/augmented/volume.tif"))
    alike = [bool((images[5 + i] == images[i]).all()) for i in range(5)]
    assert alike == [False, False, False, True, False]  # no work is spent on it
    said = cli("preprocess", "--held-out", "4-4").stdout
    assert "nothing counts in source slice 3: left out" in said
    weights = prepared("train").weights
    np.testing.assert_array_equal(weights[:3] == 0, marked[:3])
    details = manifest("work/preprocessed")["details"]
    assert 3 not in details["train_sources"]
    copies = read(Path("work/augmented/labels.tif"))
    counted = [i for i in range(len(copies)) if i % 5 not in (3, 4)]
    share = (copies[counted] == 255).sum() / (copies[counted] != 127).sum()
    assert details["interior_share"] == pytest.approx(share)


def test_membranes_between_numbers_are_as_wide_as_said(tiny: Stacks, cli: Cli):
    write("volume.tif", tiny[0])
    numbers = np.zeros(tiny[1].shape, np.uint16)
    numbers[:, 5:, :48], numbers[:, 5:, 48:] = 4, 9
    write("labels.tif", numbers)

    def drawn(*options: object) -> tuple[list[int], str]:
        said = augment(cli, "labels.tif", "--labels-as", "cells", *options)
        label = read(Path("work/augmented/labels.tif"))[0]
        assert (label[20] == 0).tolist() == (label[40] == 0).tolist()
        return np.flatnonzero(label[20] == 0).tolist(), said

    columns, said = drawn()
    assert columns == list(range(45, 51))
    assert "labels number 2 cells: membrane is 0 and where numbers meet, 5 px wide" in said
    assert drawn("--membrane", "3 px")[0] == [46, 47, 48, 49]
    # 20 nm, where a pixel is known to be 10 nm; and 40 nm.
    assert drawn("--voxel", "50 10 10")[0] == [47, 48]
    assert drawn("--voxel", "50 10 10", "--membrane", "40 nm")[0] == [46, 47, 48, 49]
    assert manifest("work/augmented")["options"]["membrane"] == "40 nm"
    command = ("augment", "--volume", "volume.tif", "--labels", "labels.tif")
    cli(*command, "--only", 6)
    np.testing.assert_array_equal(
        read(Path("work/augmented-6/labels.tif"))[0], read(Path("work/augmented/labels.tif"))[6]
    )
    shown = cli(*command, "--labels-as", "cells", "--membrane", "40 nm", code=2).stderr
    assert "--membrane: expected a width in pixels such as '5 px'" in shown


def test_0_may_be_what_nobody_has_labelled(tiny: Stacks, cli: Cli):
    write("volume.tif", tiny[0])
    numbers = np.zeros(tiny[1].shape, np.uint64)
    numbers[:, 20:, :48], numbers[:, 20:, 48:] = 2**63, 2**63 + 1
    np.save("labels.npy", numbers)
    augment(cli, "labels.npy", "--labels-as", "cells", "--background", "unlabelled")
    label = read(Path("work/augmented/labels.tif"))
    assert ((label[:5] == 127) == (numbers == 0)).all()
    assert (label[:5, 20:, 45:51] == 0).all()
    assert (label[5:] == 0).any((1, 2)).all()


def scores(cli: Cli, labels: str, *options: object, **settings: int) -> dict[str, Any]:
    command = ("evaluate", "--prediction", "prediction.tif", "--labels", labels, *options)
    cli(*command, **settings)
    return dict(json.loads(Path("work/evaluation/scores.json").read_text()))


def test_what_does_not_count_is_left_out_of_scores(marked: np.ndarray, tiny: Stacks, cli: Cli):
    prediction = ndimage.gaussian_filter((tiny[1] > 0).astype(np.float32), (0, 2, 2))
    write("prediction.tif", prediction)
    expected = scores(cli, "127.tif")
    assert expected["slices"][3] is None
    stack = (tiny[1] > 0).astype(np.uint16)
    stack[marked] = 65535
    stack[3] = 1
    write("labels.tif", stack)
    said = ("--unlabelled", 65535, "--unlabelled-slices", "3-3")
    assert scores(cli, "labels.tif", *said) == expected
    recorded = manifest("work/evaluation")["options"]
    assert (recorded["unlabelled"], recorded["unlabelled_slices"]) == (65535, "3-3")


def test_numbered_cells_are_the_truth_as_the_label_drawn_of_them(tiny: Stacks, cli: Cli):
    prediction = ndimage.gaussian_filter((tiny[1] > 0).astype(np.float32), (0, 2, 2))
    write("prediction.tif", prediction)
    numbers = np.zeros(tiny[1].shape, np.uint16)
    numbers[:, 5:, :48], numbers[:, 5:, 48:] = 1, 2
    write("numbers.tif", numbers)
    drawn = np.where(numbers > 0, np.uint8(255), np.uint8(0))
    drawn[:, :, 45:51] = 0
    write("drawn.tif", drawn)
    expected = scores(cli, "drawn.tif")
    assert scores(cli, "numbers.tif", "--labels-as", "cells") == expected
    assert scores(cli, "numbers.tif", "--labels-as", "cells", "--membrane", "1 px") != expected


def test_what_is_said_of_labels_that_were_understood_is_refused(model: Path, cli: Cli):
    (line,) = cli("evaluate", "--prediction", model, "--unlabelled", 3, code=2).stderr.splitlines()
    assert "--unlabelled: " in line
    assert "holds its own labels, as unetseg augment has understood them; leave it out" in line


def test_numbers_keep_all_their_digits_on_the_command_line(data: Path, cli: Cli):
    shown = cli("augment", "--unlabelled", 2**64 - 1, code=1).stderr
    assert (
        "expected the value 18446744073709551615, which --unlabelled names, found 0, 255" in shown
    )
    for word in ("x", "nan", "1e30"):
        assert "unlabelled" in cli("augment", "--unlabelled", word, code=2).stderr


def test_a_damaged_manifest_is_one_line(marked: np.ndarray, cli: Cli):
    augment(cli, "127.tif")
    path = Path("work/augmented/manifest.json")
    path.write_text(path.read_text().replace('"membrane": null', '"membrane": 5'))
    command = ("augment", "--volume", "volume.tif", "--labels", "127.tif", "--only", 1)
    (line,) = cli(*command, code=2).stderr.splitlines()
    assert "work/augmented/manifest.json: membrane: expected a text, found 5" in line


@pytest.mark.parametrize(
    ("labelled", "held_out"), [([1], []), ([0, 2], [2]), ([0, 1, 2, 3, 4], [4])]
)
def test_only_slices_with_labels_are_held_out(
    tiny: Stacks, cli: Cli, labelled: list[int], held_out: list[int]
):
    """The command that `augment` names next works, however few slices are labelled."""
    numbers = np.stack([ndimage.label(label > 0)[0] for label in tiny[1]]).astype(np.uint16)
    write("volume.tif", tiny[0])
    write("cells.tif", numbers)
    others = ",".join(str(index) for index in range(5) if index not in labelled)
    said = ("--labels-as", "cells", "--unlabelled-slices", others) if others else ()
    printed = augment(cli, "cells.tif", *said)
    # The type is that of the file.
    assert "cells.tif: 5 slices of 64 x 96, uint16" in printed
    cli("preprocess")
    details = manifest("work/preprocessed")["details"]
    assert details["held_out"] == held_out
    assert set(details["train_sources"]) == set(labelled) - set(held_out)
