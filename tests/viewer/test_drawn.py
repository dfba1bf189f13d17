"""What is drawn in napari, as labels on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unetseg.errors import InputError
from unetseg.stacks.opening import open_numbers
from unetseg.stacks.voxel import Voxel
from unetseg.viewer.drawn import Corrected, Drawn, Painted

SHAPE = (3, 20, 30)
VOXEL = Voxel(50, 4, 4)
Begin = Callable[[], Drawn]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "drawn" / "labels.tif"


def stored(path: Path) -> np.ndarray:
    with open_numbers(path) as labels:
        assert labels.voxel == VOXEL
        return np.stack(list(labels))


def test_painting_is_kept_and_comes_back(path: Path):
    painted = Painted(path, SHAPE, VOXEL)
    layer = painted.load()
    with pytest.raises(InputError, match="found nothing painted"):
        painted.settings()
    assert not painted.save(layer)
    assert not path.exists()
    layer[1, 3, 4], layer[2, 5, 6], layer[0, 0, 0] = 1, 2, 7  # 7 is neither
    assert painted.save(layer)
    assert not painted.save(layer)
    labels = stored(path)
    assert (labels[1, 3, 4], labels[2, 5, 6]) == (0, 255)
    assert np.count_nonzero(labels != 127) == 2
    again = Painted(path, SHAPE, VOXEL)
    layer[0, 0, 0] = 0
    np.testing.assert_array_equal(again.load(), layer)
    assert again.settings() == {"labels-as": "classes"}
    # The eraser unlabels.
    layer[:] = 0
    assert again.save(layer)
    assert (stored(path) == 127).all()
    with pytest.raises(InputError, match="found nothing painted"):
        again.settings()


@pytest.mark.parametrize(("highest", "unlabelled"), [(40, 2**16 - 1), (70_000, 2**32 - 1)])
def test_slices_that_somebody_looked_at_are_kept_and_come_back(
    path: Path, highest: int, unlabelled: int
):
    cells = np.full(SHAPE, 5, np.uint16)
    corrected = Corrected(path, cells, VOXEL)
    layer = corrected.load()
    with pytest.raises(InputError, match="found none"):
        corrected.settings()
    assert not corrected.save(layer)
    layer[1, :4] = highest
    corrected.mark(2)
    assert corrected.save(layer)
    assert not corrected.save(layer)
    labels = stored(path)
    assert (labels[0] == unlabelled).all()
    np.testing.assert_array_equal(labels[1:], layer[1:])
    assert corrected.settings() == {"labels-as": "cells", "unlabelled": unlabelled}
    # Another segmentation replaces what nobody has looked at.
    again = Corrected(path, np.full(SHAPE, 9, np.uint16), VOXEL)
    np.testing.assert_array_equal(
        again.load(), np.concatenate([np.full((1, 20, 30), 9), layer[1:]])
    )
    assert again.looked_at == {1, 2}
    assert again.settings() == corrected.settings()
    assert (cells == 5).all()  # what was segmented stays


@pytest.mark.parametrize("kind", [Painted, Corrected])
def test_what_was_there_outlives_a_death(path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch):
    def begin() -> Drawn:
        return kind(path, SHAPE if kind is Painted else np.zeros(SHAPE, np.uint16), VOXEL)

    first = begin()
    before = first.load()
    before[0, :2] = 1
    first.save(before)

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    layer = before.copy()
    layer[1] = 2
    monkeypatch.setattr("unetseg.stacks.slicewriter.SliceWriter.append", die)
    with pytest.raises(KeyboardInterrupt):
        first.save(layer)
    monkeypatch.undo()
    np.testing.assert_array_equal(begin().load(), before)
    assert first.save(layer)  # it knows that this was not kept
    np.testing.assert_array_equal(begin().load(), layer)


def test_labels_of_another_stack_are_one_line(path: Path):
    layer = Painted(path, SHAPE, None)
    layer.save(np.ones(SHAPE, np.uint8))
    with pytest.raises(InputError, match="expected 3 slices of 20 x 31, as in the stack"):
        Painted(path, (3, 20, 31), None).load()
