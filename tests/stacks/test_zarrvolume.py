"""Zarrs of every layout that programs write: read, or refused with the path to give."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from unetseg.errors import InputError
from unetseg.stacks.opening import files_of, find_stack, open_volume
from unetseg.stacks.voxel import Voxel

BOX = (slice(17, 65), slice(31, 66))


def add_image(
    group: Any, pixels: np.ndarray, *, axes: Any, version: int, scale: list[float] | None = None
) -> None:
    """An OME-Zarr image; axes as its version has them."""
    chunks = (1,) * (pixels.ndim - 2) + (32, 32)
    group.create_array("0", data=pixels, chunks=chunks)
    half = pixels[..., ::2, ::2]
    group.create_array("1", data=half, chunks=chunks)
    datasets: list[dict[str, Any]] = [{"path": "0"}, {"path": "1"}]
    if scale:
        datasets[0]["coordinateTransformations"] = [{"type": "scale", "scale": scale}]
    image = {"datasets": datasets, **({} if axes is None else {"axes": axes})}
    if version == 3:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    else:
        group.attrs["multiscales"] = [image]


def named(axes: str) -> list[dict[str, str]]:
    return [{"name": axis, "type": "space", "unit": "nanometer"} for axis in axes]


def check(path: Path, stack: np.ndarray) -> None:
    assert find_stack(path, "test-volume.tif") == path
    with open_volume(path) as volume:
        assert (volume.shape, volume.dtype) == (stack.shape, stack.dtype)
        np.testing.assert_array_equal(list(volume), stack)
        np.testing.assert_array_equal(volume.part(7, BOX), stack[(7, *BOX)])


@pytest.mark.parametrize("version", [2, 3])
def test_plain_arrays(tmp_path: Path, stack: np.ndarray, version: int):
    zarr.create_array(tmp_path / "a.zarr", data=stack, chunks=(5, 32, 32), zarr_format=version)
    check(tmp_path / "a.zarr", stack)
    (tmp_path / "a.zarr").rename(tmp_path / "named otherwise")
    check(tmp_path / "named otherwise", stack)


@pytest.mark.parametrize("version", [2, 3])
def test_an_array_in_a_group(tmp_path: Path, stack: np.ndarray, version: int):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    group.create_array("volumes/raw", data=stack)
    group.create_array("offsets", data=np.arange(7))
    for inside in ("", "/volumes", "/volumes/raw", ":/volumes/raw"):
        check(Path(f"{tmp_path / 'a.zarr'}{inside}"), stack)
    group.create_array("volumes/labels", data=stack)
    with pytest.raises(InputError) as error:
        open_volume(tmp_path / "a.zarr")
    assert "found 2 (volumes/labels, volumes/raw); give one of them" in str(error.value)
    check(Path(str(error.value).split("such as ")[1]), stack)
    with pytest.raises(InputError, match="no such folder"):
        open_volume(tmp_path / "a.zarr/volumes/nothing")


@pytest.mark.parametrize("version", [2, 3])
def test_what_bioformats2raw_writes(tmp_path: Path, stack: np.ndarray, version: int):
    path = tmp_path / "a.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=version)
    layout = {"bioformats2raw.layout": 3}
    root.attrs.update(layout if version == 2 else {"ome": layout})
    root.create_group("OME").attrs["series"] = ["0"]
    scale = [1, 1, 50, 4, 4]
    image = {"axes": named("tczyx"), "version": version, "scale": scale}
    add_image(root.create_group("0"), stack[None, None], **image)
    check(path, stack)
    with open_volume(path) as volume:
        assert volume.voxel == Voxel(50, 4, 4)
    check(path / "0", stack)
    check(path / "0/0", stack)
    with open_volume(path / "0/1") as volume:
        np.testing.assert_array_equal(list(volume), stack[:, ::2, ::2])
    add_image(root.create_group("1"), stack[None, None], **image)
    with pytest.raises(InputError, match=r"found 2 \(0, 1\); give one of them, such as .*/0$"):
        open_volume(path)


@pytest.mark.parametrize(
    ("pixels", "axes"),
    [
        ("zyx", list("zyx")),  # 0.3
        ("tczyx", list("tczyx")),
        ("tczyx", None),  # 0.1 and 0.2
        ("zyx", None),
        ("zyxc", named("zyxc")),
    ],
)
def test_older_versions(tmp_path: Path, stack: np.ndarray, pixels: str, axes: Any):
    shaped = stack.reshape([dict(zip("zyx", stack.shape, strict=True)).get(a, 1) for a in pixels])
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    add_image(group, shaped, axes=axes, version=2)
    check(tmp_path / "a.zarr", stack)


def test_axes_in_another_order_are_refused(tmp_path: Path, stack: np.ndarray):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    add_image(group, stack, axes=named("xyz"), version=2)
    with pytest.raises(InputError, match=r"found x 12, y 70, z 90; .* axes in that order"):
        open_volume(tmp_path / "a.zarr")


def test_a_plate_and_an_empty_group(tmp_path: Path):
    plate = zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "A/1"}, {"path": "B/2"}]}
    with pytest.raises(InputError, match=r"a plate of wells; give .* such as .*plate.zarr/A/1/0"):
        open_volume(tmp_path / "plate.zarr")
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    with pytest.raises(InputError, match=r"one array of two or three axes, found none"):
        open_volume(tmp_path / "empty.zarr")


def pack(folder: Path, to: Path, *, top: str = "") -> None:
    with zipfile.ZipFile(to, "w") as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, top + file.relative_to(folder).as_posix())


@pytest.mark.parametrize(
    ("name", "top"), [("a.zarr.zip", ""), ("a.ozx", ""), ("a.ome.zarr.zip", "a.ome.zarr/")]
)
def test_zipped(tmp_path: Path, stack: np.ndarray, name: str, top: str):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    add_image(group, stack, axes=named("zyx"), version=3, scale=[50, 4, 4])
    path = tmp_path / name
    pack(tmp_path / "a.zarr", path, top=top)
    check(path, stack)
    check(Path(f"{path}:/0"), stack)
    assert files_of(path) == files_of(Path(f"{path}:/0")) == [path]


def test_a_zip_of_something_else(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("notes.txt", "nothing")
    with pytest.raises(InputError, match=r"found a ZIP file without a Zarr in it \(notes.txt\)"):
        open_volume(tmp_path / "a.zip")


def test_chunks_that_would_decode_to_gigabytes_are_refused(tmp_path: Path):
    size = (1000, 1000, 1000)
    zarr.create_array(tmp_path / "a.zarr", shape=size, dtype="u1", chunks=size)
    with pytest.raises(InputError, match="found some of 1000 MB"):
        open_volume(tmp_path / "a.zarr")
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("zarr.json", bytes(600 * 10**6))
    with pytest.raises(InputError, match="found some of 600 MB"):
        open_volume(tmp_path / "a.zarr.zip")


def test_metadata_of_another_form(tmp_path: Path, stack: np.ndarray):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    add_image(group, stack, axes=named("zyx"), version=2)
    path = tmp_path / "a.zarr/.zattrs"
    for attributes in (
        {"multiscales": []},
        {"multiscales": [{}]},
        {"multiscales": 7},
        {"multiscales": [{"datasets": [{"path": "none"}], "axes": []}]},
        {"multiscales": [{"datasets": [{"path": "0"}], "axes": [{}]}]},
        {"multiscales": [{"datasets": [{"path": "0"}], "axes": named("yx")}]},
        {"plate": {}},
    ):
        path.write_text(json.dumps(attributes))
        with pytest.raises(InputError, match="expected a Zarr that can be read, found damage"):
            open_volume(tmp_path / "a.zarr")
