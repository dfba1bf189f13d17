"""Arrays for training: what is read of them, and how little of the disk they take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli, prepared

from unetseg.arrays.intensity import Percentiles
from unetseg.arrays.labelling import INTERIOR
from unetseg.arrays.weights import class_weights, weight_map
from unetseg.artifacts.manifest import Manifest, fingerprint
from unetseg.artifacts.prepared import open_slices
from unetseg.errors import InputError
from unetseg.network.batches import Patches, Slices

FOLDER = Path("work/preprocessed")


@pytest.fixture(params=[("uint8", 1), ("uint16", 200), ("float32", 1 / 3)])
def augmented(request: pytest.FixtureRequest, data: Path, cli: Cli) -> tuple[np.ndarray, ...]:
    """Images and labels of `unetseg augment`; a part of them counts nowhere."""
    dtype, factor = request.param
    volume = (tifffile.imread(data / "train-volume.tif") * np.float64(factor)).astype(dtype)
    labels = tifffile.imread(data / "train-labels.tif")
    labels[:2, :30] = 127
    for name, stack in (("volume", volume), ("labels", labels)):
        tifffile.imwrite(data / f"train-{name}.tif", stack, metadata={"axes": "ZYX"})
    cli("augment", "--copies", 2)
    cli("preprocess", "--held-out", "3-4")
    return tuple(tifffile.imread(f"work/augmented/{name}.tif") for name in ("volume", "labels"))


def earlier(folder: Path, augmented: tuple[np.ndarray, ...]) -> None:
    """Write a folder as it was made when everything in it was float32 or uint8 pixels."""
    folder.mkdir()
    record = json.loads((FOLDER / "manifest.json").read_text())
    details = record["details"]
    ranges = json.loads(Path("work/augmented/manifest.json").read_text())["details"]["grey_ranges"]
    membrane, interior = class_weights(details["interior_share"])
    record["outputs"] = []
    for part, indices in (("train", (0, 1, 2, 5, 6, 7, 10, 11, 12)), ("held-out", (3, 4))):
        arrays: dict[str, list[np.ndarray]] = {"images": [], "labels": [], "weights": []}
        for index in indices:
            image, label = (stack[index] for stack in augmented)
            arrays["images"].append(Percentiles(*ranges[index])(image))
            arrays["labels"].append((label == INTERIOR).astype(np.uint8))
            settings = {"membrane": membrane, "interior": interior, "w0": 10, "sigma": 5}
            arrays["weights"].append(weight_map(label, **settings))
        for kind, stack in arrays.items():
            path = folder / f"{part}-{kind}.npy"
            np.save(path, np.stack(stack))
            size, digest = fingerprint(path)
            record["outputs"].append({"name": path.name, "bytes": size, "sha256": digest})
    for name in ("train_grey_ranges", "held_out_grey_ranges"):
        del details[name]
    (folder / "manifest.json").write_text(json.dumps(record))


def batches(slices: Slices) -> list[tuple[np.ndarray, ...]]:
    patches = Patches(slices, shape=(48, 48), count=18, batch_size=3, overhang=16, seed=1)
    return [patches.batch(1, index) for index in range(len(patches))]


def test_batches_are_those_of_arrays_that_were_normalised_before(
    augmented: tuple[np.ndarray, ...], tmp_path: Path
):
    earlier(tmp_path / "earlier", augmented)
    for part in ("train", "held-out"):
        now, before = (
            open_slices(folder, Manifest.read(folder / "manifest.json"), part)
            for folder in (FOLDER, tmp_path / "earlier")
        )
        assert now.images.shape == before.images.shape
        for left, right in zip(batches(now), batches(before), strict=True):
            for one, other in zip(left, right, strict=True):
                np.testing.assert_array_equal(one, other)
                assert one.dtype == other.dtype == np.float32
        for name in ("images", "labels", "weights"):
            stacks = [getattr(slices, name) for slices in (now, before)]
            assert len(stacks[0]) == len(stacks[1])
            np.testing.assert_array_equal(*(np.stack(list(stack)) for stack in stacks))


def test_images_are_kept_in_the_pixels_of_the_stack(augmented: tuple[np.ndarray, ...]):
    volume, labels = augmented
    images = np.load(FOLDER / "held-out-images.npy", mmap_mode="r")
    assert images.dtype == volume.dtype
    np.testing.assert_array_equal(images, volume[3:5])
    # Hardly larger than their headers, which are what there is of slices as small as these.
    assert (FOLDER / "train-labels.h5").stat().st_size < labels.size


def test_a_folder_of_an_earlier_version_is_trained_on(
    data: Path, cli: Cli, tmp_path: Path, augmented: tuple[np.ndarray, ...]
):
    if augmented[0].dtype != np.uint8:
        pytest.skip("it is float32 whatever the stack was")
    earlier(tmp_path / "earlier", augmented)
    course = ("--epochs", 1, "--epoch-size", 4, "--batch-size", 2, "--patch", 64)
    for folder in ("earlier", FOLDER):
        cli("train", "--input", folder, "--output", f"{folder}-model", *course)
    found = [
        json.loads(Path(f"{folder}-model", "manifest.json").read_text())["details"]
        for folder in ("earlier", FOLDER)
    ]
    assert found[0]["weights_sha256"] == found[1]["weights_sha256"]
    assert found[0]["scores"] == found[1]["scores"]


@pytest.mark.parametrize(
    ("ranges", "found"),
    [([[0.0, 1.0]], "found 1"), ([[0.0]] * 9, "found 9")],
)
def test_ranges_that_do_not_fit_are_refused(data: Path, cli: Cli, ranges: list[Any], found: str):
    cli("augment", "--copies", 2)
    cli("preprocess", "--held-out", "3-4")
    path = FOLDER / "manifest.json"
    record = json.loads(path.read_text())
    record["details"]["train_grey_ranges"] = ranges
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=rf"of 9 slices in the manifest, {found}"):
        prepared("train")
