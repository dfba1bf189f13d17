"""Paths that lead into files."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetseg.stacks.location import is_there, locate, name_of


@pytest.mark.parametrize(
    ("given", "file", "inside"),
    [
        ("a.h5", "a.h5", ""),
        ("a.h5:", "a.h5", ""),
        ("a.h5:/raw", "a.h5", "raw"),
        ("a.h5:raw", "a.h5", "raw"),
        ("a.h5:/volumes/raw", "a.h5", "volumes/raw"),
        ("a.h5/volumes/raw", "a.h5", "volumes/raw"),
        ("b.zarr/0", "b.zarr/0", ""),
        ("b.zarr:/0", "b.zarr", "0"),
        ("odd:name.tif", "odd:name.tif", ""),
        ("folder: x/a.h5:/raw", "folder: x/a.h5", "raw"),
    ],
)
def test_what_is_on_disk_and_what_is_inside(tmp_path: Path, given: str, file: str, inside: str):
    (tmp_path / "b.zarr/0").mkdir(parents=True)
    (tmp_path / "folder: x").mkdir()
    for name in ("a.h5", "odd:name.tif", "folder: x/a.h5"):
        (tmp_path / name).touch()
    assert locate(tmp_path / given) == (tmp_path / file, inside)
    assert is_there(tmp_path / given)


@pytest.mark.parametrize("given", ["none.h5", "none.h5:/raw", "none/raw"])
def test_what_is_not_there(tmp_path: Path, given: str):
    assert locate(tmp_path / given) == (tmp_path / given, "")
    assert not is_there(tmp_path / given)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("../data/v.tif", "v.tif"),
        ("../data/v.h5:/volumes/raw", "v.h5:/volumes/raw"),
        ("v.zarr/0", "0"),
        ("C:/data/v.tif", "v.tif"),
        ("folder", "folder"),
    ],
)
def test_what_a_stack_is_called(given: str, name: str):
    assert name_of(Path(given)) == name
