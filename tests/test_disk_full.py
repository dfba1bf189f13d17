"""Each stage on a disk that is too small: one line, nothing lost, success when there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Cli, Stacks

from unetseg.stacks.npy import create_npy

pytestmark = pytest.mark.slow

Resize = Callable[[str], None]


def mount(*options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["mount", "-t", "tmpfs", *map(str, options)], capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Resize]]:
    """A file system of its own, and how to change its size."""
    path = tmp_path / "disk"
    path.mkdir()
    try:
        done = mount("-o", "size=4k", "tmpfs", path)
    except FileNotFoundError:
        pytest.skip("there is no mount on this machine")
    if done.returncode:
        pytest.skip("mounting a small disk is not allowed here")

    def resize(size: str) -> None:
        again = mount("-o", f"remount,size={size}", "tmpfs", path)
        assert again.returncode == 0, again.stderr

    yield path, resize
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.mark.parametrize(
    ("command", "size"),
    [
        ("synthesize", "40k"),
        ("augment", "40k"),
        ("preprocess", "100k"),
        ("train", "200k"),
        ("predict", "40k"),
        ("predict --name p.ome.zarr", "40k"),
        ("suggest", "40k"),
        ("segment", "20k"),
        ("evaluate", "4k"),
        ("gallery", "20k"),
        ("report", "40k"),
        ("crossvalidate", "80k"),
        ("export --format onnx", "1m"),
        ("export --format savedmodel", "1m"),
    ],
)
def test_a_full_disk(
    data: Path, model: Path, cli: Cli, disk: tuple[Path, Resize], command: str, size: str
):
    folder, resize = disk
    if "onnx" in command:
        pytest.importorskip("onnx", reason="needs unetseg[export]")
        pytest.importorskip("onnxruntime", reason="needs unetseg[export]")
    labels = tifffile.imread(data / "train-labels.tif")
    tifffile.imwrite("p.tif", (labels / 255).astype(np.float32), metadata={"axes": "ZYX"})
    if command in ("preprocess", "train", "crossvalidate"):
        cli("augment", "--copies", 2, "--jobs", 1)
    if command == "train":
        cli("preprocess", "--jobs", 1)
    arguments: dict[str, tuple[object, ...]] = {
        "synthesize": ("--height", 64, "--width", 96),
        "augment": ("--copies", 2, "--jobs", 1),
        "preprocess": ("--jobs", 1),
        "train": ("--epochs", 1, "--epoch-size", 4, "--batch-size", 2, "--patch", 64),
        "predict": ("--model", model),
        "suggest": ("--model", model),
        "segment": ("--prediction", "p.tif", "--jobs", 1),
        "export": ("--model", model),
        "report": ("--work", model.parent),
        "gallery": (),
        "crossvalidate": (
            "--folds",
            2,
            "--epochs",
            1,
            "--epoch-size",
            4,
            "--batch-size",
            2,
            "--patch",
            64,
        ),
        "evaluate": ("--prediction", "p.tif", "--labels", data / "train-labels.tif", "--jobs", 1),
    }
    words = command.split()
    whole = (*words, *arguments[words[0]], "--output", folder / "out")
    resize(size)
    (folder / "other").write_bytes(b"mine")
    *_, line = cli(*whole, code=1).stderr.splitlines()
    assert "the disk is full; make room and run the command again" in line
    assert not (folder / "out" / "manifest.json").exists()
    assert (folder / "other").read_bytes() == b"mine"
    visible = [p.name for p in folder.glob("out/*") if not p.name.startswith(".")]
    assert visible == []
    resize("100m")
    cli(*whole)
    assert (folder / "out" / "manifest.json").exists()


def test_room_is_checked_where_it_cannot_be_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(OSError, match="No space left"):
        create_npy(tmp_path / "a.npy", shape=(free // 10_000, 100, 200), dtype=np.uint8)
    create_npy(tmp_path / "b.npy", shape=(1, 100, 200), dtype=np.uint8).close()


def test_room_for_an_ome_zarr(tmp_path: Path):
    omezarr = pytest.importorskip("unetseg.stacks.omezarr")
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(OSError, match="No space left"):
        omezarr.ZarrPieces(tmp_path / "a.zarr", shape=(free // 10**6, 1000, 1000))
    assert not (tmp_path / "a.zarr").exists()
    # Numbers of cells are a small part of that when they are compressed.
    shape = (free // 10**7, 1000, 1000)
    omezarr.ZarrPieces(tmp_path / "b.zarr", shape=shape, dtype=np.uint32).close()


@pytest.mark.parametrize(("bytes_a_pixel", "fits"), [(3, False), (5, True)])
def test_room_for_cells_is_checked_before_they_are_looked_for(
    tmp_path: Path,
    tiny: Stacks,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    bytes_a_pixel: int,
    fits: bool,
):
    """Two bytes of drafts alone would fit, with two of labels they do not."""
    np.save("p.npy", (tiny[1] / 255).astype(np.float32))
    usage = shutil.disk_usage(tmp_path)._replace(free=bytes_a_pixel * tiny[1].size)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    shown = cli("segment", "--prediction", "p.npy", "--output", "out", code=0 if fits else 1)
    if not fits:
        assert "the disk is full" in shown.stderr
        assert "segment 1/" not in shown.stderr
        assert not list(Path("out").rglob("labels-*.npy"))
