"""Files that are replaced whole, and brought to the disk."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from unetseg.stacks.files import flush, replacing


def test_a_draft_that_fails_leaves_the_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_flush_folders_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    flushed: list[int] = []

    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        flushed.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", sync)
    flush(tmp_path / "a")
    assert flushed == [(tmp_path / "a/x").stat().st_ino]


def test_a_file_that_cannot_be_flushed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    (tmp_path / "x").write_text("1")
    with pytest.raises(OSError, match="Input/output"):
        flush(tmp_path / "x")
