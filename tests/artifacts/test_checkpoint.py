"""What an unfinished training has come to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unetseg.artifacts.checkpoint import load_checkpoint, save_checkpoint
from unetseg.errors import InputError


def test_a_checkpoint_returns_what_was_saved(tmp_path: Path):
    path = tmp_path / "state.npz"
    assert load_checkpoint(path) is None
    many = [np.full(i, i, np.float32) for i in range(12)]
    save_checkpoint(path, {"state": many, "best": []}, [{"epoch": 1, "loss": 0.1}])
    arrays, record = load_checkpoint(path) or ({}, None)
    assert record == [{"epoch": 1, "loss": 0.1}]
    assert list(arrays) == ["state"]
    assert [a.tolist() for a in arrays["state"]] == [a.tolist() for a in many]
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_checkpoint_is_refused(tmp_path: Path):
    path = tmp_path / "state.npz"
    save_checkpoint(path, {}, None)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="start over with --force"):
        load_checkpoint(path)
