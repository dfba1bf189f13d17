"""Compressed stacks: cut anywhere, small on the disk, and refused if they are something else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from unetseg.errors import InputError
from unetseg.stacks.compressed import EDGE, CompressedWriter, open_compressed


@pytest.fixture
def stack() -> np.ndarray:
    """Broad stripes, larger than the pieces that are compressed."""
    rows, columns = np.indices((2 * EDGE + 3, EDGE + 50))
    return np.stack([(rows + shift * columns) // 20 % 5 / 3 for shift in range(3)]).astype("f4")


@pytest.fixture
def path(tmp_path: Path, stack: np.ndarray) -> Path:
    with CompressedWriter(tmp_path / "a.h5", shape=stack.shape, dtype=stack.dtype) as out:
        for image in stack:
            out.append(image)
    return tmp_path / "a.h5"


def test_any_part_is_what_was_written(path: Path, stack: np.ndarray):
    opened = open_compressed(path, dtype=np.float32)
    assert opened.shape == stack.shape
    np.testing.assert_array_equal(np.stack(list(opened)), stack)
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows, columns = (np.sort(rng.integers(0, size + 1, 2)) for size in stack.shape[1:])
        place = (int(rng.integers(3)), slice(*rows), slice(*columns))
        np.testing.assert_array_equal(opened[place], stack[place])
    assert path.stat().st_size < stack.nbytes / 10


def test_threads_read_side_by_side(path: Path, stack: np.ndarray):
    opened = open_compressed(path, dtype=np.float32)
    with ThreadPoolExecutor(4) as threads:
        for index, image in enumerate(threads.map(opened.__getitem__, [0, 1, 2] * 20)):
            np.testing.assert_array_equal(image, stack[index % 3])


def test_equal_stacks_are_equal_files(path: Path, tmp_path: Path, stack: np.ndarray):
    with CompressedWriter(tmp_path / "b.h5", shape=stack.shape, dtype=stack.dtype) as out:
        for image in stack:
            out.append(image)
    assert (tmp_path / "b.h5").read_bytes() == path.read_bytes()


def test_what_is_none_is_refused(path: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"a stack of uint8 with axes ZYX, found float32 of shape"):
        open_compressed(path, dtype=np.uint8)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["pixels"] = np.zeros((2, 3, 4), np.uint8)
    (tmp_path / "damaged.h5").write_bytes(path.read_bytes()[:3000])
    for name in ("none.h5", "other.h5", "damaged.h5"):
        with pytest.raises(InputError, match="run unetseg preprocess again") as caught:
            open_compressed(tmp_path / name, dtype=np.float32)
        assert len(str(caught.value).splitlines()) == 1
