"""Which reader opens a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from unetseg.errors import InputError
from unetseg.stacks.opening import find_stack, open_volume


def test_a_folder_of_stacks_is_not_one_of_slices(data: Path):
    assert find_stack(data, "train-volume.tif") == data / "train-volume.tif"
    (data / "test-volume.tif").unlink()
    assert find_stack(data, "test-volume.tif") == data / "test-volume.tif"
    with pytest.raises(InputError, match="no such file"):
        open_volume(find_stack(data, "test-volume.tif"))
