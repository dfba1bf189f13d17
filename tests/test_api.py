"""The stages as functions: of paths as the commands, of arrays without leaving anything behind."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
import tifffile
from conftest import Cli, coarse

import unetseg
from unetseg.errors import InputError, UsageError


def test_paths_give_what_the_command_gives(data: Path, cli: Cli):
    shown = cli("augment", "--copies", 1, "--jobs", 1).stdout
    result = unetseg.augment(data, str(data), output="again", copies=1, jobs=1)
    assert result.folder == Path("again")
    shown = shown.replace("data/", f"{data}/").replace("work/augmented", "again")
    shown = shown.replace("unetseg preprocess", "unetseg preprocess --input again")
    assert str(result) == shown.rstrip("\n")
    assert list(result) == ["labels.tif", "volume.tif"]
    for name in result:
        whole = tifffile.imread(f"work/augmented/{name}")
        np.testing.assert_array_equal(result[name], whole)
    assert result.manifest["options"]["copies"] == 1
    with pytest.raises(KeyError, match=r"there are labels\.tif, volume\.tif"):
        result["preview.png"]


def test_arrays_in_arrays_out_and_nothing_left(
    tiny: tuple[np.ndarray, np.ndarray], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    volume, labels = tiny
    result = unetseg.augment(volume, labels > 0, copies=1, jobs=1)
    np.testing.assert_array_equal(result["volume.tif"][: len(volume)], volume)
    np.testing.assert_array_equal(result["labels.tif"][: len(labels)], labels)
    assert "unetseg-augment" in str(result.folder)
    del result
    gc.collect()
    assert list(temporary.iterdir()) == []
    assert not Path("work").exists()


def test_scores_of_arrays(tiny: tuple[np.ndarray, np.ndarray]):
    _, labels = tiny
    result = unetseg.evaluate((labels / 255).astype(float), labels.astype(int), jobs=1)
    assert result.data["v_rand"] == result.data["v_info"] == 1


@pytest.mark.slow
def test_a_model_is_named_by_its_folder(data: Path, model: Path, cli: Cli):
    cli("predict", "--model", model, "--no-tta", "--volume", data)
    whole = tifffile.imread("work/prediction/prediction.tif")
    volume = tifffile.imread(data / "test-volume.tif")
    result = unetseg.predict(volume, model, tta=False)
    np.testing.assert_array_equal(result["prediction.tif"], whole)
    np.testing.assert_array_equal(
        unetseg.predict(volume[0], str(model), tta=False)["prediction.tif"], whole[:1]
    )
    arrays = unetseg.preprocess(model.parent / "augmented", output="arrays")
    assert arrays["train-images.npy"].dtype == np.uint8
    assert arrays["train-weights.h5"].dtype == np.float32


def test_faults_are_exceptions_with_the_same_line(data: Path, cli: Cli):
    line = cli("augment", "--volume", "nothing.tif", code=1).stderr
    with pytest.raises(InputError) as caught:
        unetseg.augment("nothing.tif", data)
    assert str(caught.value) in line
    with pytest.raises(UsageError, match="found copys; did you mean copies"):
        unetseg.augment(data, data, copys=3)
    with pytest.raises(UsageError, match="copies is -1, must be at least 0"):
        unetseg.augment(data, data, copies=-1)
    with pytest.raises(UsageError, match="copies: expected a whole number, found '3'"):
        unetseg.augment(data, data, copies="3")
    with pytest.raises(UsageError, match=r"^volume: expected a path, found .{,90}$"):
        unetseg.augment(np.zeros((3, 40, 40)).tolist(), data)
    with pytest.raises(UsageError, match="model is empty, must name at least one"):
        unetseg.predict(data, model=[])
    with pytest.raises(UsageError, match="found complex128 of shape"):
        unetseg.predict(np.zeros((3, 4, 5), complex))
    with pytest.raises(UsageError, match="found -1 to 0"):
        unetseg.predict(np.array([[[-1, 0]]]))


def test_results_are_passed_on(
    tiny: tuple[np.ndarray, np.ndarray], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copies = unetseg.augment(*tiny, copies=1, jobs=1)
    assert str(copies).startswith("read  volume: 5 slices of 64 x 96, uint8\nread  labels: ")
    arrays = unetseg.preprocess(copies, jobs=1)
    assert arrays.temporary
    assert not Path("work").exists()
    assert arrays["train-images.npy"].shape == (8, 64, 96)
    named = unetseg.preprocess(copies, jobs=1, output="mine")
    assert (named.folder, named.temporary) == (Path("mine"), False)


def test_the_same_arrays_are_up_to_date(tiny: tuple[np.ndarray, np.ndarray], cli: Cli):
    def copies(**options: Any) -> unetseg.Result:
        return unetseg.augment(*tiny, jobs=1, **{"copies": 1, **options})

    assert "nothing to do" not in str(copies(output="a"))
    assert "a is up to date: nothing to do" in str(copies(output="a"))
    assert "nothing to do" not in str(copies(output="a", copies=2))
    other = tiny[0].copy()
    other[0, 0, 0] ^= 1
    assert "nothing to do" not in str(unetseg.augment(other, tiny[1], output="a", jobs=1, copies=2))
    # Nor does it matter where a result on the way was.
    assert "nothing to do" not in str(unetseg.preprocess(copies(), output="b", jobs=1))
    assert "nothing to do" in str(unetseg.preprocess(copies(), output="b", jobs=1))
    assert "nothing to do" not in str(unetseg.preprocess(copies(copies=2), output="b", jobs=1))
    assert "unetseg-" not in Path("b/manifest.json").read_text()


KILLED = """
import sys, numpy as np, unetseg
from unetseg.stacks import pieces
pieces.SECONDS_BETWEEN_FLUSHES = 0  # a quick machine would have made all before the first
squares = np.random.default_rng(0).integers(256, size=(8, 50, 50))
volume = squares.repeat(4, 1).repeat(4, 2).astype("uint8")
print(unetseg.predict(volume, sys.argv[1], output="out", progress=True))
"""


@pytest.mark.slow
def test_a_killed_call_goes_on(model: Path, tmp_path: Path):
    command = [sys.executable, "-c", KILLED, model]
    journal = tmp_path / "out/.unfinished/.prediction.tif.journal"
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as run:
        while not (journal.exists() and journal.read_text().count("\n") > 1):
            assert run.poll() is None, run.stderr and run.stderr.read()
            time.sleep(0.01)
        run.kill()
    assert not (tmp_path / "out/manifest.json").exists()

    def again() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert re.search(r"resuming: \d+% is done", again().stderr)
    assert "nothing to do" in again().stdout
    volume = coarse(8, 200, 200)
    np.testing.assert_allclose(
        tifffile.imread(tmp_path / "out/prediction.tif"),
        unetseg.predict(volume, model)["prediction.tif"],
        atol=2e-6,
    )


@pytest.mark.slow
def test_the_lines_in_the_document_run(
    tiny: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for name, stack in zip(("images.tif", "labels.tif"), tiny, strict=True):
        tifffile.imwrite(name, stack, photometric="minisblack")
    tifffile.imwrite("new.tif", tiny[0][:2], photometric="minisblack")
    page = (Path(__file__).parents[1] / "docs/python.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    short = "epochs=1, epoch_size=8, batch_size=2, patch=64"
    names: dict[str, Any] = {}
    exec(lines.replace("minutes=5, progress=True", short), names)
    assert names["probability"].shape == names["numbers"].shape == (2, 64, 96)
    assert names["prediction"].temporary
    assert Path("model/manifest.json").exists()


def test_numbers_of_numpy_and_arrays_of_others(tiny: tuple[np.ndarray, np.ndarray]):
    volume, labels = (dask.array.from_array(stack) for stack in tiny)
    strange = unetseg.augment(
        volume, labels, copies=np.int64(1), rotation=np.float32(3), jobs=1, flips=np.True_
    )
    plain = unetseg.augment(*tiny, copies=1, rotation=3, jobs=1)
    np.testing.assert_array_equal(strange["volume.tif"], plain["volume.tif"])
    one = unetseg.augment(*tiny, copies=1, rotation=3, only=7)
    np.testing.assert_array_equal(one["volume.tif"][0], plain["volume.tif"][7])
    room = one.folder.parent
    del one
    gc.collect()
    assert not room.exists()


def test_faults_of_arrays_name_the_argument(tiny: tuple[np.ndarray, np.ndarray]):
    volume, labels = tiny
    with pytest.raises(InputError, match=r"^labels: expected 5 slices of 64 x 96, as in volume, f"):
        unetseg.augment(volume, labels[:3])
    with pytest.raises(UsageError, match=r"^input: expected a folder or a result, found"):
        unetseg.preprocess(volume)


@pytest.mark.slow
def test_a_plain_script_needs_no_guard(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np, unetseg\n"
        "squares = np.random.default_rng(0).integers(0, 255, (4, 16, 16), dtype='uint8')\n"
        "volume = squares.repeat(4, 1).repeat(4, 2)\n"
        "print(unetseg.augment(volume, volume > 100, copies=1, jobs=2).folder.name)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_warnings_are_those_of_python(tiny: tuple[np.ndarray, np.ndarray]):
    volume, labels = tiny
    with pytest.warns(UserWarning, match="^labels: labels may be inverted"):
        unetseg.augment(volume, 255 - labels, copies=0, jobs=1)


def test_importing_is_light():
    program = (
        "import sys, unetseg, json; unetseg.train; dir(unetseg)\n"
        "print(json.dumps([name for name in ('tensorflow', 'keras') if name in sys.modules]))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert json.loads(shown) == []


def test_labels_of_any_integers_are_taken(tiny: tuple[np.ndarray, np.ndarray], cli: Cli):
    volume, labels = tiny
    expected = unetseg.augment(volume, labels, copies=1, jobs=1)
    numbers = np.where(labels > 0, 2**63 + 1, 0).astype(np.uint64)
    found = unetseg.augment(volume, numbers, labels_as="cells", copies=1, jobs=1)
    np.testing.assert_array_equal(found["labels.tif"], expected["labels.tif"])
    numbers[:, :20] = 2**63 + 3
    said = {"labels_as": "cells", "unlabelled": 2**63 + 3}
    found = unetseg.augment(volume, numbers, **said, copies=1, jobs=1)
    assert (found["labels.tif"][:5, :20] == 127).all()
    signed = np.where(labels > 0, 1, 0)
    signed[:, :20] = -1
    found = unetseg.augment(volume, signed, unlabelled=-1, copies=1, jobs=1)
    assert (found["labels.tif"][:5, :20] == 127).all()
    assert found.manifest["options"]["unlabelled"] == -1
    with pytest.raises(InputError, match=r"^labels: expected the value -2"):
        unetseg.augment(volume, signed, unlabelled=-2, copies=1, jobs=1)
    with pytest.raises(UsageError, match="volume: expected whole numbers from 0 to 65535"):
        unetseg.augment(volume.astype(int) - 1, labels)


def test_several_volumes_are_lists(tiny: tuple[np.ndarray, np.ndarray], data: Path):
    volume, labels = tiny
    path, truth = data / "train-volume.tif", data / "train-labels.tif"
    options = {"copies": 0, "jobs": 1, "preview": False}
    result = unetseg.augment([volume[:2, :50], path], [labels[:2, :50], truth], **options)
    assert result["volume.tif"].shape == (7, 64, 96)
    np.testing.assert_array_equal(result["volume.tif"][:2, :50], volume[:2, :50])
    np.testing.assert_array_equal(result["volume.tif"][2:], volume)
    found = result.manifest["details"]["volumes"]
    assert [volume["name"] for volume in found] == ["volume_1", "train-volume"]
    with pytest.raises(UsageError, match="expected one for each --volume, found 1 for 2"):
        unetseg.augment([volume, path], [labels], **options)
