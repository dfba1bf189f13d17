"""Slices written one after another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unetseg.stacks.tiffwriter import create_stack


def example(dtype: str, shape: tuple[int, int, int] = (5, 20, 30)) -> np.ndarray:
    return (np.random.default_rng(0).random(shape) * 250).astype(dtype)


def test_a_writer_wants_every_slice(tmp_path: Path):
    stack = example("uint8")
    with (
        pytest.raises(ValueError, match="1 of 5 slices"),
        create_stack(tmp_path / "a.tif", shape=stack.shape, dtype=stack.dtype) as out,
    ):
        for image in stack[:-1]:
            out.append(image)
