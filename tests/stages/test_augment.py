"""`unetseg augment` as a user runs it: again, in part, interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli

from unetseg.arrays.elastic import find_engine
from unetseg.stages import augment as augmenting


def test_one_slice_is_made_again_bit_for_bit(data: Path, cli: Cli):
    cli("augment", "--copies", 4, "--seed", 3)
    whole = [tifffile.imread(f"work/augmented/{name}.tif") for name in ("volume", "labels")]
    for number in (2, 5, 17):
        cli("augment", "--only", number)  # by the recipe in work/augmented, not these options
        for stack, name in zip(whole, ("volume", "labels"), strict=True):
            one = tifffile.imread(f"work/augmented-{number}/{name}.tif")
            np.testing.assert_array_equal(one, stack[number])
    recorded = json.loads(Path("work/augmented-5/manifest.json").read_text())["options"]
    assert (recorded["copies"], recorded["seed"], recorded["only"]) == (4, 3, 5)
    other = data / "test-volume.tif"
    tifffile.imwrite(other, whole[0][:5][::-1], metadata={"axes": "ZYX"})
    (line,) = cli("augment", "--only", 2, "--volume", other, code=1).stderr.splitlines()
    assert "expected the stack that work/augmented was made from, found another" in line
    (line,) = cli("augment", "--only", 25, code=1).stderr.splitlines()
    assert "found 25 slices, counted from 0" in line


def test_one_slice_without_the_whole(data: Path, cli: Cli):
    options = ("--copies", 2, "--seed", 3)
    cli("augment", "--only", 11, *options)
    cli("augment", *options)
    one = tifffile.imread("work/augmented-11/volume.tif")
    np.testing.assert_array_equal(one, tifffile.imread("work/augmented/volume.tif")[11])


def test_the_manifest_says_what_was_drawn(data: Path, cli: Cli):
    cli("augment", "--copies", 1, "--rotation", 3, "--crop", 0)
    details = json.loads(Path("work/augmented/manifest.json").read_text())["details"]
    assert details["sources"] == [0, 1, 2, 3, 4] * 2
    recipes = details["recipes"]
    assert [recipe["rotation"] for recipe in recipes[:5]] == [0] * 5
    assert all(0 < abs(recipe["rotation"]) <= 3 for recipe in recipes[5:])
    assert all(recipe["crop"] is None for recipe in recipes)
    assert np.shape(recipes[5]["displacement"]) == (2, 3, 3)


def test_images_that_were_drawn_are_called_synthetic(cli: Cli):
    def synthetic(stage: str) -> bool:
        return json.loads(Path(f"work/{stage}/manifest.json").read_text())["details"]["synthetic"]

    cli("synthesize", "--slices", 5, "--test-slices", 1, "--height", 64, "--width", 64)
    cli("augment", "--copies", 0)
    cli("preprocess")
    assert synthetic("augmented")
    assert synthetic("preprocessed")
    # A stack that somebody has put in their place is not.
    volume = tifffile.imread("data/train-volume.tif")
    tifffile.imwrite("data/train-volume.tif", volume[::-1], metadata={"axes": "ZYX"})
    cli("augment", "--copies", 0)
    assert not synthetic("augmented")


def test_a_rerun_has_nothing_to_do(data: Path, cli: Cli):
    cli("augment", "--copies", 1)
    before = Path("work/augmented/volume.tif").stat().st_mtime_ns
    assert "nothing to do" in cli("augment", "--copies", 1, "--jobs", 1).stdout
    assert Path("work/augmented/volume.tif").stat().st_mtime_ns == before
    for change in (("--force",), ("--seed", 1)):
        assert "nothing to do" not in cli("augment", "--copies", 1, *change).stdout
    volume = tifffile.imread(data / "train-volume.tif")
    tifffile.imwrite(data / "train-volume.tif", volume[::-1])
    assert "nothing to do" not in cli("augment", "--copies", 1).stdout
    Path("work/augmented/labels.tif").write_bytes(b"damaged")
    assert "nothing to do" not in cli("augment", "--copies", 1).stdout


def test_preview_and_gallery_are_pictures(data: Path, cli: Cli):
    cli("augment", "--copies", 1)
    assert Path("work/augmented/preview.png").read_bytes().startswith(b"\x89PNG")
    cli("augment", "--copies", 1, "--no-preview")
    assert not Path("work/augmented/preview.png").exists()
    cli("gallery", data)
    assert Path("work/gallery/gallery.png").read_bytes().startswith(b"\x89PNG")
    cli("gallery", data / "train-volume.tif", "--slice-number", 5, code=1)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is not a signal on Windows")
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_leaves_nothing_half_made_and_says_so(
    data: Path, tmp_path: Path, cli: Cli, jobs: int
):
    cli("augment", "--copies", 1)
    before = {path.name: path.read_bytes() for path in Path("work/augmented").iterdir()}
    process = subprocess.Popen(
        [sys.executable, "-m", "unetseg", "augment", "--copies", "2000", "--jobs", str(jobs)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that runs the tests in the background makes its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not Path("work/augmented/.unfinished").exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "unetseg: error: interrupted; what was there before is unchanged\n"
    after = {path.name: path.read_bytes() for path in Path("work/augmented").iterdir()}
    assert after == before


@pytest.mark.slow
def test_no_process_outlives_one_that_was_killed(data: Path, tmp_path: Path, cli: Cli):
    process = subprocess.Popen(
        [sys.executable, "-m", "unetseg", "augment", "--copies", "2000", "--jobs", "2"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    volume = Path("work/augmented/.unfinished/volume.tif")
    while not volume.exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(1)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.1)


def test_what_deformed_the_slices_is_recorded_and_another_does_them_again(
    data: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    def options() -> dict[str, Any]:
        return dict(json.loads(Path("work/augmented/manifest.json").read_text())["options"])

    monkeypatch.setattr(augmenting, "find_engine", lambda: "splines")
    assert "deformed by splines of unetseg" in cli("augment", "--copies", 1).output
    assert options()["elastic_engine"] == "splines"
    assert "up to date" in cli("augment", "--copies", 1).output

    if find_engine() == "splines":
        pytest.skip("elasticdeform cannot be imported here")
    monkeypatch.setattr(augmenting, "find_engine", lambda: "elasticdeform")
    assert "deformed by elasticdeform" in cli("augment", "--copies", 1).output
    assert options()["elastic_engine"] == "elasticdeform"
    # One slice is made by what made all; splines are always to be had, elasticdeform is not.
    monkeypatch.setattr(augmenting, "find_engine", lambda: "splines")
    result = cli("augment", "--only", 7, code=1)
    assert "expected the package elasticdeform, which made these slices" in result.output
