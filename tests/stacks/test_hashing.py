"""The hash of many files: what it is made of, who computes it, and what need not be read for it."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hashes import slowly, watch, watch_syncs

from unetseg.stacks import hashing
from unetseg.stacks.hashing import (
    Hashed,
    Hashes,
    fingerprint,
    hash_each,
    in_threads,
    journal_of,
    read_journal,
    record,
    seal,
)

# Sorted as text, "c-0" and "c.txt" would come before what is in "c".
NAMES = ["c.txt", "c/1", "c/0/x", "c/0/é", "c/10", "c-0", "zarr.json", ".zattrs"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "a.zarr"
    for number, name in enumerate(NAMES):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(bytes([number]) * number * 1000)
    return path


def as_written(folder: Path, name: str) -> Hashed:
    state = (folder / name).stat()
    sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    return Hashed(name, state.st_size, state.st_mtime_ns, sha256)


@pytest.mark.parametrize("files", [1, 3, 256])
@pytest.mark.parametrize("ahead", [1, 256])
@pytest.mark.parametrize("known", [[], NAMES[:3], NAMES])
def test_it_is_the_same_whoever_hashes_what(
    folder: Path, monkeypatch: pytest.MonkeyPatch, files: int, ahead: int, known: list[str]
):
    monkeypatch.setattr(hashing, "FILES_IN_A_BATCH", files)
    monkeypatch.setattr(hashing, "BATCHES_AHEAD", ahead)
    record(folder, [as_written(folder, name) for name in reversed(known)])
    hashed = watch(monkeypatch)
    assert fingerprint(folder, known=read_journal(folder)) == slowly(folder)
    assert sorted(hashed) == sorted(folder / name for name in {*NAMES} - {*known})


def test_it_is_what_manifests_have_always_had(tmp_path: Path):
    (tmp_path / "a.zarr/0").mkdir(parents=True)
    (tmp_path / "a.zarr/0/1").write_bytes(b"chunk")
    (tmp_path / "a.zarr/zarr.json").write_bytes(b"{}")
    sha256 = "e7a90634419226816c97910b193e0d682fe41094d24d10080e302e2ed46d7660"
    assert fingerprint(tmp_path / "a.zarr") == (7, sha256)
    (tmp_path / "empty").mkdir()
    assert fingerprint(tmp_path / "empty") == (0, hashlib.sha256(b"[]").hexdigest())
    with pytest.raises(FileNotFoundError):
        fingerprint(tmp_path / "none")


def test_large_files_are_batches_of_their_own(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hashing, "BYTES_IN_A_BATCH", 3000)
    batches: list[list[str]] = []

    @contextmanager
    def hasher() -> Iterator[Callable[[list[Path]], Hashes]]:
        def submit(paths: list[Path]) -> Hashes:
            batches.append([path.relative_to(folder).as_posix() for path in paths])
            return really(paths)

        with in_threads() as really:
            yield submit

    assert fingerprint(folder, hasher=hasher) == slowly(folder)
    assert batches == [
        [".zattrs"],
        ["c/0/x", "c/0/é"],
        ["c/1", "c/10"],
        ["c-0"],
        ["c.txt", "zarr.json"],
    ]


def test_a_line_that_was_cut_off_counts_for_none(folder: Path):
    first, second, third = (as_written(folder, name) for name in NAMES[1:4])
    record(folder, [first, second])
    journal = journal_of(folder)
    journal.write_bytes(journal.read_bytes()[:-1])
    assert [*read_journal(folder).values()] == [first.sha256]
    record(folder, [third])
    assert [*read_journal(folder).values()] == [first.sha256, third.sha256]
    with journal.open("ab") as file:
        file.write(b"\n\0\0\xff\n\n[1]\n7\n")
    assert [*read_journal(folder).values()] == [first.sha256, third.sha256]
    assert fingerprint(folder, known=read_journal(folder)) == slowly(folder)


@pytest.mark.parametrize("change", ["longer", "later", "by two"])
def test_what_is_not_as_its_writer_left_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: str
):
    record(folder, [as_written(folder, name) for name in NAMES])
    path = folder / "c/1"
    state = path.stat()
    if change == "longer":
        path.write_bytes(path.read_bytes() + b"!")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    elif change == "later":
        path.write_bytes(b"?" * state.st_size)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    else:
        record(folder, [as_written(folder, "c/1")._replace(sha256="f" * 64)])
    hashed = watch(monkeypatch)
    assert fingerprint(folder, known=read_journal(folder)) == slowly(folder)
    assert hashed == [path]


def test_what_the_journal_vouches_for_is_not_synced_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    record(folder, [as_written(folder, name) for name in NAMES[1:]])
    synced = watch_syncs(monkeypatch)
    assert seal(folder) == slowly(folder)
    folders = [folder, folder / "c", folder / "c/0"]
    assert sorted(synced) == sorted(path.stat().st_ino for path in [folder / NAMES[0], *folders])
    synced.clear()
    assert seal(folder / "c/1") == (1000, hashlib.sha256(b"\1" * 1000).hexdigest())
    assert synced == [(folder / "c/1").stat().st_ino]


def test_what_lies_beside_slices_is_synced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tifffile.imwrite(tmp_path / "0.tif", np.zeros((4, 4), np.uint8))
    (tmp_path / "weights").write_bytes(b"1")
    synced = watch_syncs(monkeypatch)
    seal(tmp_path)
    assert Counter(synced) == Counter(
        path.stat().st_ino for path in (tmp_path, *tmp_path.iterdir())
    )


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_flush_folders_will_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int
):
    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", sync)
    assert seal(folder) == slowly(folder)


def test_what_cannot_be_flushed_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(kind: Callable[[int], bool], descriptor: int) -> None:
        if kind(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    for kind in (stat.S_ISREG, stat.S_ISDIR):
        monkeypatch.setattr(os, "fsync", partial(fail, kind))
        with pytest.raises(OSError, match="Input/output"):
            seal(folder)


def test_a_batch_is_hashed_in_order(folder: Path):
    paths = [folder / name for name in NAMES]
    assert hash_each(paths) == [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
