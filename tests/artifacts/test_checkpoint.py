"""What an unfinished training has come to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unetseg.artifacts.checkpoint import Checkpoint
from unetseg.errors import InputError


def test_a_checkpoint_returns_what_was_saved(tmp_path: Path):
    path = tmp_path / "state.npz"
    run = {"options": {"epochs": 3, "shape": (1, 2)}, "version": "1"}
    assert Checkpoint(path, run=run).load() is None
    many = [np.full(i, i, np.float32) for i in range(12)]
    Checkpoint(path, run=run).save({"state": many, "best": []}, [{"epoch": 1, "loss": 0.1}])
    arrays, record = Checkpoint(path, run=run).load() or ({}, None)
    assert record == [{"epoch": 1, "loss": 0.1}]
    assert list(arrays) == ["state"]
    assert [a.tolist() for a in arrays["state"]] == [a.tolist() for a in many]
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path):
    path = tmp_path / "state.npz"
    Checkpoint(path, run={"options": {"epochs": 3, "seed": 0}}).save({}, None)
    with pytest.raises(InputError, match=r"one that differs in epochs \(3\);"):
        Checkpoint(path, run={"options": {"epochs": 4, "seed": 0}}).load()
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="begin anew with --force"):
        Checkpoint(path, run={"options": {"epochs": 3, "seed": 0}}).load()
