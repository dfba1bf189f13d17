"""Several stacks trained on at once: of other sizes and grey levels, each known by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli, details_of, prepared

from unetseg.artifacts.ancestry import slices_seen
from unetseg.errors import UsageError
from unetseg.stacks.joined import Joined
from unetseg.stacks.location import distinct_names
from unetseg.stacks.volume import ArrayVolume
from unetseg.stages.preprocess import parse_held_out

Stacks = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def two(tmp_path: Path, tiny: Stacks) -> tuple[str, ...]:
    """Five slices of 64 x 96, and three of them as 16 bits, 48 x 80, in another folder."""
    volume, labels = tiny
    (tmp_path / "small").mkdir()
    tifffile.imwrite(tmp_path / "A.tif", volume, photometric="minisblack", metadata={"axes": "ZYX"})
    tifffile.imwrite(
        tmp_path / "LA.tif", labels, photometric="minisblack", metadata={"axes": "ZYX"}
    )
    other = 1000 + 20 * volume[:3, :48, :80].astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "small/B.tif", other, photometric="minisblack", metadata={"axes": "ZYX"}
    )
    tifffile.imwrite(
        tmp_path / "small/LB.tif",
        labels[:3, :48, :80],
        photometric="minisblack",
        metadata={"axes": "ZYX"},
    )
    return (
        *("--volume", "A.tif", "--labels", "LA.tif"),
        *("--volume", "small/B.tif", "--labels", "small/LB.tif"),
    )


def test_slices_keep_their_stack_and_number(two: tuple[str, ...], tiny: Stacks, cli: Cli):
    cli("augment", *two, "--copies", 1)
    volume, labels = (
        tifffile.imread(f"work/augmented/{name}.tif") for name in ("volume", "labels")
    )
    assert (volume.shape, volume.dtype) == ((16, 64, 96), np.uint16)
    np.testing.assert_array_equal(volume[:5], tiny[0])
    np.testing.assert_array_equal(
        volume[5:8, :48, :80], 1000 + 20 * tiny[0][:3, :48, :80].astype(int)
    )
    np.testing.assert_array_equal(labels[:5], tiny[1])
    np.testing.assert_array_equal(labels[5:8, :48, :80], tiny[1][:3, :48, :80])
    assert (labels[5:8, 48:] == 127).all()
    assert (labels[5:8, :, 80:] == 127).all()
    found = details_of("work/augmented")
    assert found["sources"] == 2 * list(range(8))
    assert found["volumes"] == [
        {"name": "A", "first": 0, "slices": 5},
        {"name": "B", "first": 5, "slices": 3},
    ]


def test_each_has_its_own_grey_range(two: tuple[str, ...], tiny: Stacks, cli: Cli):
    # As a copy of A alone, whatever lies beside it: noise of B's range would drown it.
    noise = ("--copies", 1, "--elastic-sigma", 0, "--rotation", 0, "--scaling", 0, "--crop", 0)
    cli("augment", *two, *noise)
    cli("augment", *two[:4], *noise, "--output", "alone")
    both = tifffile.imread("work/augmented/volume.tif")
    for index in range(5):
        alone = tifffile.imread("alone/volume.tif")[5 + index].astype(int)
        assert np.abs(both[8 + index].astype(int)).max() < 400
        assert abs(both[8 + index].std() - alone.std()) < 0.5 * alone.std()
    assert both[13:, :48, :80].min() > 500


@pytest.mark.parametrize(
    ("held_out", "numbers"),
    [
        ("B", [5, 6, 7]),
        ("A:1-2", [1, 2]),
        ("A:0,B:2-2", [0, 7]),
        ("3", [3]),
        ("3-5", [3, 4, 5]),
        ("last-fifth", [4, 7]),
    ],
)
def test_blocks_and_volumes_are_held_out(
    two: tuple[str, ...], cli: Cli, held_out: str, numbers: list[int]
):
    cli("augment", *two, "--copies", 1)
    cli("preprocess", "--held-out", held_out)
    found = details_of("work/preprocessed")
    assert found["held_out"] == numbers
    assert set(found["train_sources"]) == set(range(8)) - set(numbers)
    shape = prepared("held-out").images.shape
    assert shape == (len(numbers), 64, 96)
    # What pads a slice of B teaches nothing.
    weights = prepared("train").weights
    padded = [i for i, source in enumerate(found["train_sources"]) if source >= 5][:1]
    assert not weights[padded, 48:].any()


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ("C", "expected a block such as 24-29, A or B, 'last-fifth' or 'none', found C"),
        ("A:2-1", "expected a block such as 24-29, A or B"),
        ("C:1", "expected a block such as 24-29, A or B"),
        ("B:2-3", "expected slices of the 3 of B, found B:2-3"),
        ("A,", "expected a block such as 24-29, A or B"),
    ],
)
def test_what_is_no_block_is_refused(held_out: str, message: str):
    volumes = {"A": range(5), "B": range(5, 8)}
    with pytest.raises(UsageError, match="--held-out") as caught:
        parse_held_out(held_out, volumes, Path("work"))
    assert message in str(caught.value)


def test_nothing_left_to_train_on_is_refused(two: tuple[str, ...], cli: Cli):
    cli("augment", *two, "--copies", 0)
    (line,) = cli("preprocess", "--held-out", "A,B", code=1).stderr.splitlines()
    assert "expected more source slices than --held-out A,B takes, found 8" in line


def test_images_without_labels_are_refused(two: tuple[str, ...], cli: Cli):
    (line,) = cli("augment", *two[:-2], code=2).stderr.splitlines()
    assert "--labels: expected one for each --volume, found 1 for 2" in line
    (line,) = cli("augment", *two[:4], *two[:4], code=2).stderr.splitlines()
    assert "--volume: expected each stack once, found one twice" in line


def test_one_slice_is_made_again(two: tuple[str, ...], cli: Cli):
    cli("augment", *two, "--copies", 1)
    cli("augment", *two, "--only", 14)
    again = tifffile.imread("work/augmented-14/volume.tif")
    np.testing.assert_array_equal(again, tifffile.imread("work/augmented/volume.tif")[14])
    (line,) = cli("augment", *two[:4], "--only", 14, code=1).stderr.splitlines()
    assert "expected the stack that work/augmented was made from, found another number" in line


def test_slices_without_labels_are_counted_through(two: tuple[str, ...], cli: Cli):
    cli("augment", *two, "--copies", 0, "--unlabelled-slices", "1,6-7")
    labels = tifffile.imread("work/augmented/labels.tif")
    counted = [bool((label != 127).any()) for label in labels]
    assert counted == [True, False, True, True, True, True, False, False]
    (line,) = cli("augment", *two, "--unlabelled-slices", "8", code=1).stderr.splitlines()
    assert "expected a slice 3, which --unlabelled-slices names" in line


@pytest.mark.parametrize("which", ["LA.tif", "small/LB.tif"])
def test_one_of_them_may_be_labelled_in_part(two: tuple[str, ...], cli: Cli, which: str):
    labels = tifffile.imread(which)
    labels[:, :20] = 77
    tifffile.imwrite(which, labels, photometric="minisblack", metadata={"axes": "ZYX"})
    cli("augment", *two, "--copies", 0, "--unlabelled", 77)
    found = (tifffile.imread("work/augmented/labels.tif")[:, :20] == 127).all(axis=(1, 2))
    assert found.tolist() == 5 * [which == "LA.tif"] + 3 * [which != "LA.tif"]
    (line,) = cli("augment", *two, "--copies", 0, "--unlabelled", 78, code=1).stderr.splitlines()
    assert "labels, of two values" in line or "the value 78, which --unlabelled names" in line


def test_a_value_that_is_in_none_is_refused(two: tuple[str, ...], cli: Cli):
    (line,) = cli("augment", *two, "--copies", 0, "--unlabelled", 78, code=1).stderr.splitlines()
    assert "small/LB.tif: expected the value 78, which --unlabelled names" in line


@pytest.mark.slow
def test_volumes_are_left_out_in_turn(two: tuple[str, ...], cli: Cli):
    cli("augment", *two, "--copies", 1)
    short = ("--epochs", 1, "--epoch-size", 4, "--batch-size", 2, "--patch", 48)
    cli("crossvalidate", *short, "--leave-out", "volumes")
    table = Path("work/crossvalidation/table.md").read_text()
    assert "| 0-4 | " in table
    assert "| 5-7 | " in table
    model = "work/crossvalidation/held-out-5-7/model"
    assert details_of(model)["train_slices"] == [0, 1, 2, 3, 4]
    assert tifffile.imread(f"{model}/held-out-prediction.tif").shape == (3, 64, 96)
    line = [{**details_of(model), "fitted_on": []}]
    first, _, second, _ = details_of(model)["data"]
    assert slices_seen(line, first["sha256"]) == {0, 1, 2, 3, 4}
    assert slices_seen(line, second["sha256"]) == set()
    cli("augment", *two[:4], "--copies", 0, "--output", "one")
    (message,) = cli(
        "crossvalidate", *short, "--input", "one", "--leave-out", "volumes", code=1
    ).stderr.splitlines()
    assert "expected several volumes, for --leave-out volumes, found one" in message


def test_pixels_of_different_sizes_are_said(two: tuple[str, ...], tiny: Stacks, cli: Cli):
    for name, edge in (("A.tif", 4.0), ("small/B.tif", 6.0)):
        stack = tifffile.imread(name)
        resolution = (1000 / edge, 1000 / edge)
        meta = {"axes": "ZYX", "spacing": 0.05, "unit": "um"}
        tifffile.imwrite(name, stack, imagej=True, resolution=resolution, metadata=meta)
    shown = cli("augment", *two, "--copies", 0).stderr
    assert "small/B.tif: pixels of 6 x 6 nm, and of 4 x 4 nm in A.tif" in shown
    assert details_of("work/augmented")["voxel"] is None


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["data/train-volume.tif"], ["train-volume"]),
        (["a/one.tif", "a/two.tif"], ["one", "two"]),
        (["a/v.tif", "b/v.tif"], ["a/v", "b/v"]),
        (["v.tif", "b/v.tif"], ["v", "b/v"]),
        (["v.tif", "v.png"], ["v.tif", "v.png"]),
        (["A", "x/B"], ["A", "B"]),
        (["x.h5:/raw", "x.h5:/more/raw"], ["x.h5:/raw", "x.h5:/more/raw"]),
    ],
)
def test_names_are_as_short_as_they_can_be(paths: list[str], names: list[str]):
    assert distinct_names([Path(path) for path in paths]) == names


def test_a_joined_stack_reads_as_its_parts():
    rng = np.random.default_rng(0)
    parts = [rng.integers(255, size=shape).astype(np.uint8) for shape in ((2, 9, 5), (3, 4, 7))]
    joined = Joined([ArrayVolume("a", parts[0]), ArrayVolume("b", parts[1])], padding=9)
    expected = np.full((5, 9, 7), 9)
    expected[:2, :, :5], expected[2:, :4] = parts
    np.testing.assert_array_equal([joined[index] for index in range(5)], expected)
    for index in range(5):
        for box in ((slice(2, 8), slice(3, 7)), (slice(5, 9), slice(5, 7))):
            np.testing.assert_array_equal(joined.read(index, box), expected[index][box])
