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


def test_equal_stacks_are_equal_files(tmp_path: Path):
    images = np.random.default_rng(0).integers(256, size=(2, 20, 30)).astype(np.uint8)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        with create_stack(tmp_path / folder / "x.ome.tif", shape=(2, 20, 30), dtype="u1") as out:
            for image in images:
                out.append(image)
    assert (tmp_path / "a/x.ome.tif").read_bytes() == (tmp_path / "b/x.ome.tif").read_bytes()
