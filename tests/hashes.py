"""The hash of a folder, computed slowly, and what is read and synced for it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from unetseg.stacks import hashing


def slowly(folder: Path) -> tuple[int, str]:
    """As it was computed when manifests were first written."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = [
        (
            path.relative_to(folder).as_posix(),
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in files
    ]
    return sum(part[1] for part in parts), hashlib.sha256(repr(parts).encode()).hexdigest()


def watch(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Which files are read to be hashed, from now on."""
    hashed: list[Path] = []
    hash_file = hashing.hash_file

    def note(path: Path) -> str:
        hashed.append(path)
        return hash_file(path)

    monkeypatch.setattr(hashing, "hash_file", note)
    return hashed


def watch_syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is synced, from now on."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    return synced
