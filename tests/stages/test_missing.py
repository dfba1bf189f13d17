"""Pixels without tissue, from the stack to the scores; contrast and pixel size on the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli, Stacks, prepared, read

from unetseg.arrays.synthetic import synthesize
from unetseg.progress import Silent
from unetseg.stacks.volume import ArrayVolume
from unetseg.stages.stackchecks import dark_lines, warn_of_contrast

PAD = ((0, 0), (24, 16), (40, 0))
TRAIN = ("train", "--epochs", 1, "--epoch-size", 8, "--batch-size", 2, "--patch", 64)


def inside(shape: tuple[int, ...]) -> np.ndarray:
    return np.pad(np.ones(shape, bool), PAD)


def write(name: str, stack: np.ndarray, **settings: object) -> None:
    tifffile.imwrite(name, stack, photometric="minisblack", **settings)


@pytest.fixture
def padded(tmp_path: Path, tiny: Stacks, cli: Cli) -> np.ndarray:
    """Stacks in a border of black, which somebody has labelled all the same; where it is not."""
    volume, labels = tiny
    write("volume.tif", np.pad(volume, PAD))
    write("labels.tif", np.pad(labels, PAD, constant_values=255))
    return inside(volume.shape)


AUGMENT = ("augment", "--volume", "volume.tif", "--labels", "labels.tif", "--copies", 2)


def test_a_border_counts_nowhere(padded: np.ndarray, tiny: Stacks, cli: Cli):
    assert "of slices 0-4 show no tissue" in cli(*AUGMENT).stderr
    labels, volume = (
        read(Path("work/augmented/labels.tif")),
        read(Path("work/augmented/volume.tif")),
    )
    assert (labels[:5][~padded] == 127).all()
    np.testing.assert_array_equal(labels[:5][padded], tiny[1].ravel())
    np.testing.assert_array_equal(volume[:5][padded], tiny[0].ravel())
    assert (labels[5:] == 127).any((1, 2)).all()
    details = json.loads(Path("work/augmented/manifest.json").read_text())["details"]
    np.testing.assert_allclose(
        details["grey_ranges"][:5], np.percentile(tiny[0], (5, 95), axis=(1, 2)).T
    )

    cli("preprocess", "--held-out", "4-4")
    held_out = prepared("held-out")
    images, weights = held_out.images, held_out.weights
    assert (weights[0] == 0).tolist() == (~padded[4]).tolist()
    assert np.abs(images[0][~padded[4]]).max() < 0.02  # half a grey level of 8 bits
    training = prepared("train")
    assert np.isfinite(training.images).all()
    assert np.isfinite(training.weights).all()
    cli(*TRAIN)

    cli("predict", "--volume", "volume.tif", "--no-tta")
    prediction = read(Path("work/prediction/prediction.tif"))
    assert ((prediction == 0) == ~padded).all()
    cli("evaluate", "--prediction", "work/prediction", "--labels", "labels.tif")
    scores = json.loads(Path("work/evaluation/scores.json").read_text())
    write("p.tif", prediction[padded].reshape(tiny[0].shape))
    write("l.tif", tiny[1])
    cli("evaluate", "--prediction", "p.tif", "--labels", "l.tif", "--output", "alone")
    alone = json.loads(Path("alone/scores.json").read_text())
    for name in ("v_rand", "v_info", "pixel_error"):
        assert scores[name] == pytest.approx(alone[name], abs=0.02), name

    cli("segment", "--seed-threshold", 0.01, "--smallest", 0)
    cells = read(Path("work/cells/labels.tif"))
    assert (cells[~padded] == 0).all()
    assert cells.any()


def test_a_lost_section_counts_nowhere(tiny: Stacks, cli: Cli):
    volume, labels = tiny[0].copy(), tiny[1]
    volume[1] = np.random.default_rng(0).integers(126, 130, volume[1].shape)
    write("volume.tif", volume)
    write("labels.tif", labels)
    assert "volume.tif: slice 1 is missing: no tissue" in cli(*AUGMENT).stderr
    written = read(Path("work/augmented/labels.tif"))
    assert [bool((label == 127).all()) for label in written] == [False, True, *[False] * 3] * 3
    cli("preprocess", "--held-out", "4-4")
    details = json.loads(Path("work/preprocessed/manifest.json").read_text())["details"]
    assert sorted(set(details["train_sources"])) == [0, 2, 3]
    cli(*TRAIN)
    assert "slice 1 is missing" in cli("predict", "--volume", "volume.tif", "--no-tta").stderr
    prediction = read(Path("work/prediction/prediction.tif"))
    assert [bool((slice_ == 0).all()) for slice_ in prediction] == [False, True, *[False] * 3]
    shown = cli("evaluate", "--prediction", "work/prediction", "--labels", "labels.tif").stdout
    assert "nothing counts in slice 1" in shown


def test_a_stack_without_tissue_is_refused(model: Path, cli: Cli):
    write("noise.tif", np.random.default_rng(0).integers(99, 102, (2, 96, 96)).astype(np.uint8))
    (line,) = cli("predict", "--model", model, "--volume", "noise.tif", code=1).stderr.splitlines()
    assert "noise.tif: expected an image with contrast, found no tissue in any slice" in line


def test_turned_contrast_is_augmented_as_the_right_one_is(tiny: Stacks, cli: Cli):
    write("labels.tif", tiny[1])
    write("volume.tif", tiny[0])
    cli(*AUGMENT, "--output", "right")
    write("volume.tif", 255 - tiny[0])
    cli(*AUGMENT, "--output", "turned", "--invert")
    np.testing.assert_array_equal(read(Path("turned/volume.tif")), read(Path("right/volume.tif")))
    np.testing.assert_array_equal(read(Path("turned/labels.tif")), read(Path("right/labels.tif")))
    # The folder knows how it was made.
    cli(*AUGMENT, "--output", "turned", "--only", 7)
    np.testing.assert_array_equal(
        read(Path("turned-7/volume.tif"))[0], read(Path("turned/volume.tif"))[7]
    )


def test_pixel_size_goes_from_the_stack_to_the_model(tiny: Stacks, cli: Cli):
    write("labels.tif", tiny[1])
    write("volume.tif", tiny[0])
    cli(*AUGMENT, "--voxel", "50 4 4")
    cli("preprocess")
    cli(*TRAIN)
    details = json.loads(Path("work/model/manifest.json").read_text())["details"]
    assert details["voxel"] == [50, 4, 4]
    shown = cli("predict", "--volume", "volume.tif", "--no-tta", "--voxel", "50 8 8")
    assert "pixels of 8 x 8 nm; work/model knows 4 x 4 nm: slices are resampled" in shown.stderr
    settings = {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 50, "unit": "nm"}}
    tifffile.imwrite("mine.tif", tiny[0], resolution=(1 / 8, 1 / 8), **settings)
    shown = cli("predict", "--volume", "mine.tif", "--no-tta", "--no-rescale", "--output", "as-is")
    assert "mine.tif: pixels of 8 x 8 nm; work/model knows 4 x 4 nm; leave out" in shown.stderr
    resampled, as_it_is = (read(Path(f"{p}/prediction.tif")) for p in ("work/prediction", "as-is"))
    assert np.abs(resampled - as_it_is).max() > 0.01
    shown = cli("predict", "--volume", "mine.tif", "--voxel", "4", code=2).stderr
    assert "--voxel: expected depth, height and width" in shown


def test_turned_contrast_is_noticed():
    volume, _ = synthesize(slices=6, height=128, width=128, rng=np.random.default_rng(3))
    right = ArrayVolume("right", volume)
    turned = ArrayVolume("turned", 255 - volume)
    assert dark_lines(right) > 0.06
    assert dark_lines(turned) == pytest.approx(-dark_lines(right), abs=1e-6)

    class Listener(Silent):
        lines: tuple[str, ...] = ()

        def warn(self, text: str) -> None:
            self.lines += (text,)

    listener = Listener()
    warn_of_contrast(right, dark_lines(right), listener)
    warn_of_contrast(turned, None, listener)  # a model of an earlier version
    assert listener.lines == ()
    warn_of_contrast(turned, dark_lines(right), listener)
    (line,) = listener.lines
    assert "the contrast looks inverted: thin lines, such as membranes, are brighter" in line
