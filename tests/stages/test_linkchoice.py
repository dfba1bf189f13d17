"""Whether slices are linked where nobody has said it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import Cli
from scipy import ndimage

from unetseg.stages import linkchoice
from unetseg.stages import segment as stage

LINKED = ["cells-3d.csv", "links.csv"]
SEGMENT = ("segment", "--prediction", "p.tif", "--jobs", 1)


def manifest() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path("work/cells/manifest.json").read_text())
    return read


def outputs() -> dict[str, str]:
    return {output["name"]: output["sha256"] for output in manifest()["outputs"]}


@pytest.fixture
def drifting(tmp_path: Path) -> np.ndarray:
    """A prediction of crooked cells that slide by three pixels a slice; (6, 180, 200)."""
    noise = np.random.default_rng(1).normal(size=(180, 200))
    smooth = np.abs(ndimage.gaussian_filter(noise, 5, mode="wrap"))
    whole = np.clip(1.5 * smooth / smooth.std(), 0, 1).astype(np.float32)
    stack = np.stack([np.roll(whole, 3 * z, axis=1) for z in range(6)])
    tifffile.imwrite(tmp_path / "p.tif", stack, photometric="minisblack")
    return stack


def test_a_stack_is_linked_unless_it_is_said(drifting: np.ndarray, cli: Cli):
    shown = cli(*SEGMENT).stdout
    assert "sections of one cell have one number in all slices; --no-link gives each its" in shown
    assert manifest()["options"]["link"] is True
    assert sorted(outputs()) == sorted(["cells.csv", "labels.tif", *LINKED])
    linked = outputs()
    assert "up to date" in cli(*SEGMENT, "--link").stdout
    assert "--no-link" not in cli(*SEGMENT, "--no-link").stdout
    assert manifest()["options"]["link"] is False
    assert sorted(outputs()) == ["cells.csv", "labels.tif"]
    cli(*SEGMENT)
    assert outputs() == linked


def test_images_that_are_no_stack_are_not_linked_unless_it_is_said(drifting: np.ndarray, cli: Cli):
    # Each 50 or 60 pixels from where the one before would have it.
    images = np.stack([np.roll(one, (50 * z, 60 * z), (0, 1)) for z, one in enumerate(drifting)])
    tifffile.imwrite("p.tif", images, photometric="minisblack")
    shown = cli(*SEGMENT).stdout
    assert "slices are not linked: they do not look like neighbours in a stack; --link" in shown
    assert sorted(outputs()) == ["cells.csv", "labels.tif"]
    assert "not linked" not in cli(*SEGMENT, "--link").stdout
    assert manifest()["options"]["link"] is True
    tifffile.imwrite("p.tif", images[:1], metadata={"axes": "ZYX"})
    assert "linked" not in cli(*SEGMENT).stdout


def test_what_stands_against_linking_is_said(
    drifting: np.ndarray, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    # 150 bytes for each of 36,000 pixels, beside 150 MB of Python: linked, or nothing is done.
    (line,) = cli(*SEGMENT, "--memory", "155MB", code=2).stderr.splitlines()
    assert line.endswith("give 0.2GB, or --no-link")
    assert not Path("work/cells").exists()
    monkeypatch.setattr(linkchoice, "LARGEST", 36_000 - 1)
    assert "slices are not linked: they are larger than" in cli(*SEGMENT).stdout
    monkeypatch.setattr(linkchoice, "LARGEST", 36_000)
    monkeypatch.setitem(sys.modules, "bioimage_cpp.graph.multicut", None)
    shown = cli(*SEGMENT, "--force").stdout
    assert "slices are not linked: the package bioimage-cpp is not installed" in shown


def test_lost_slices_do_not_speak_against_linking(
    drifting: np.ndarray, cli: Cli, monkeypatch: pytest.MonkeyPatch
):
    drifting[[1, 4]] = 0
    tifffile.imwrite("p.tif", drifting, photometric="minisblack")
    assert "slices are not linked" in cli(*SEGMENT).stdout
    monkeypatch.setattr(stage, "zero_is_missing", lambda _: True)
    assert "have one number in all slices" in cli(*SEGMENT, "--force").stdout
