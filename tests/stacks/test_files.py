"""Files that are replaced whole, and the names of those in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unetseg.stacks.files import files_under, replacing


def test_a_draft_that_fails_leaves_the_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_names_are_sorted_by_their_parts(tmp_path: Path):
    for name in ("b/1", "b/0/x", "b.txt", "b-1", "a"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "to-a").symlink_to("a")
    (tmp_path / "to-b").symlink_to("b")  # a folder that lies elsewhere is no part of this one
    (tmp_path / "to-nowhere").symlink_to("none")
    os.mkfifo(tmp_path / "pipe")
    assert list(files_under(tmp_path)) == ["a", "b/0/x", "b/1", "b-1", "b.txt", "to-a"]
