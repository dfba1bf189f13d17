"""Separate micrographs as slices of one size: what is theirs, and what only pads them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from unetseg.arrays.synthetic import synthesize
from unetseg.errors import InputError
from unetseg.stacks.labels import open_labels
from unetseg.stacks.micrographs import Micrographs
from unetseg.stacks.opening import open_numbers, open_volume
from unetseg.stacks.views import Inverted
from unetseg.stacks.volume import Volume, check_same_shape

SIZES = [(50, 90), (70, 40), (64, 64)]  # in the order in which they are
NAMES = ("m2", "m10", "x")
SHAPE = (70, 90)
WHOLE = slice(0, 70), slice(0, 90)


def write(folder: Path, images: dict[str, np.ndarray]) -> Path:
    folder.mkdir()
    for name, image in images.items():
        tifffile.imwrite(folder / f"{name}.tif", image)
    return folder


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    stack = synthesize(slices=3, height=70, width=90, rng=np.random.default_rng(0))[0]
    found = zip(NAMES, SIZES, stack, strict=True)
    return {name: image[:height, :width] for name, (height, width), image in found}


def own(size: tuple[int, int]) -> np.ndarray:
    return np.pad(np.ones(size, bool), [(0, n - m) for n, m in zip(SHAPE, size, strict=True)])


def test_what_pads_a_micrograph_is_missing(tmp_path: Path, images: dict[str, np.ndarray]):
    images["m10"] = np.pad(images["m10"][12:], ((12, 0), (0, 0)))  # a border of its own
    with open_volume(write(tmp_path / "i", images)) as volume:
        assert isinstance(volume, Micrographs)
        assert volume.names == NAMES
        assert volume.shape == (3, *SHAPE)
        assert "from 70 x 40 (m10) to 50 x 90 (m2)" in volume.remarks[0]
        for index, (name, size) in enumerate(zip(NAMES, SIZES, strict=True)):
            mine, image = own(size), images[name]
            np.testing.assert_array_equal(volume.own(index), image)
            np.testing.assert_array_equal(volume[index][mine], image.ravel())
            assert not volume[index][~mine].any()
            tissue = mine.copy()
            tissue[:12] &= name != "m10"
            np.testing.assert_array_equal(volume.missing(index, WHOLE), ~tissue)
            box = slice(45, 66), slice(30, 80)
            np.testing.assert_array_equal(volume.read(index, box), volume[index][box])
            np.testing.assert_array_equal(volume.missing(index, box), ~tissue[box])
            assert volume.tissue(index).share_missing == pytest.approx(1 - tissue.mean())
            share = 12 / 70 if name == "m10" else 0
            assert volume.own_share_missing(index) == pytest.approx(share)
            low, high = np.percentile(image[12:] if name == "m10" else image, (5, 95))
            assert (volume.tissue(index).low, volume.tissue(index).high) == (low, high)
            turned = Inverted(volume)
            assert (turned.tissue(index).low, turned.tissue(index).high) == (255 - high, 255 - low)
            np.testing.assert_array_equal(turned.missing(index, WHOLE), ~tissue)


def test_a_micrograph_without_tissue_is_lost(tmp_path: Path, images: dict[str, np.ndarray]):
    images["x"] = np.full_like(images["x"], 7)
    with open_volume(write(tmp_path / "i", images)) as volume:
        assert [volume.tissue(index).lost for index in range(3)] == [False, False, True]
        assert volume.missing(2, WHOLE).all()


@pytest.mark.parametrize("form", ["of two values", "numbered"])
def test_labels_count_where_there_is_an_image(tmp_path: Path, form: str):
    labels = {}
    for name, (height, width) in zip(NAMES, SIZES, strict=True):
        rows, columns = np.indices((height, width)) // 16
        squares = rows * 8 + columns
        labels[name] = (squares + 1 if form == "numbered" else squares % 2 + 1).astype(np.uint8)
    with open_labels(write(tmp_path / "l", labels)) as volume:
        assert volume.names == NAMES
        for index, (name, size) in enumerate(zip(NAMES, SIZES, strict=True)):
            np.testing.assert_array_equal(volume[index] == 127, ~own(size))
            with open_labels(tmp_path / "l" / f"{name}.tif") as alone:
                np.testing.assert_array_equal(volume[index][own(size)], alone[0].ravel())
            for box in ((slice(48, 70), slice(0, 90)), (slice(0, 9), slice(70, 75))):
                np.testing.assert_array_equal(volume.part(index, box), volume[index][box])


def test_sizes_of_voxels_that_differ_are_said(tmp_path: Path, images: dict[str, np.ndarray]):
    for name, image in images.items():
        sizes = {f"PhysicalSize{axis}": 4.0 for axis in "XYZ"}
        units = {f"PhysicalSize{axis}Unit": "nm" for axis in "XYZ"}
        settings = {"metadata": {"axes": "YX", **sizes, **units}}
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", image, **settings)
    with open_volume(tmp_path) as volume:
        assert volume.names == NAMES
        assert volume.voxel is not None
        assert volume.voxel.x == 4
        assert len(volume.remarks) == 1
    Image.fromarray(images["x"]).save(tmp_path / "y.png")
    with open_volume(tmp_path) as volume:
        assert volume.voxel is None
        assert "not all micrographs say the same" in volume.remarks[1]


def refused(volume: Volume, labels: Volume) -> str:
    with pytest.raises(InputError) as caught:
        check_same_shape(volume, labels)
    return str(caught.value)


def test_images_and_labels_belong_together_by_their_names(
    tmp_path: Path, images: dict[str, np.ndarray]
):
    volume = open_volume(write(tmp_path / "i", images))
    labels = {name: (image > 99).astype(np.uint8) for name, image in images.items()}
    with open_labels(write(tmp_path / "good", labels)) as good:
        check_same_shape(volume, good)
    fewer = {name: label for name, label in labels.items() if name != "m10"}
    for other, found in {
        "fewer": (fewer, "expected m10, as in .*i, found no file of that name; give"),
        "renamed": (
            {f"{name}b": label for name, label in labels.items()},
            "expected m2, as in .*i, found no file of that name, nor of 2 others; give",
        ),
        "more": ({**labels, "z": labels["x"]}, "i: expected z, as in .*more, found no file"),
        "larger": (
            {**labels, "x": np.pad(labels["x"], 1)},
            "labels of 64 x 64 for x, as its image, found 66 x 66",
        ),
        "equal": (dict.fromkeys(labels, labels["x"]), "labels of 50 x 90 for m2"),
    }.items():
        with open_numbers(write(tmp_path / other, found[0])) as source:
            text = refused(volume, source)
            assert "\n" not in text
            assert re.search(found[1], text), text
    tifffile.imwrite(
        tmp_path / "stack.tif", np.zeros(volume.shape, np.uint8), photometric="minisblack"
    )
    with open_numbers(tmp_path / "stack.tif") as stack:
        text = refused(volume, stack)
    assert "stack.tif: expected a folder with a file for each image" in text
