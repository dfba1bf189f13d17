"""Which reader opens a path."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from unetseg.errors import InputError
from unetseg.stacks.opening import find_stack, open_volume


def test_a_folder_of_stacks_is_not_one_of_slices(data: Path):
    assert find_stack(data, "train-volume.tif") == data / "train-volume.tif"
    (data / "test-volume.tif").unlink()
    assert find_stack(data, "test-volume.tif") == data / "test-volume.tif"
    with pytest.raises(InputError, match="no such file"):
        open_volume(find_stack(data, "test-volume.tif"))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"NRRD0004\n", "an NRRD file; save it as TIFF"),
        (b"\0\0\0\3" + bytes(50), "a DM3 file; save it as TIFF"),
        (b"\0\0\0\4" + bytes(50), "a DM4 file; save it as TIFF"),
        (bytes(344) + b"n+1\0", "an NIfTI file; save it as TIFF"),
        (b"\xff\xd8\xff\xe0", "a JPEG file; convert it to TIFF or PNG"),
        (b"II\x97\x01" + bytes(50), "an? FEI SER file; save it as TIFF"),
        (b"ZISRAWFILE" + bytes(50), "a CZI file; save it as TIFF"),
        (b"\x1f\x8b" + bytes(50), "a gzip file; unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer file; fetch"),
        (b"hello", r"a file of unknown kind \(it begins with b'hello'\)"),
    ],
)
@pytest.mark.parametrize("name", ["a.tif", "a.dat"])
def test_what_is_not_read_is_called_by_its_name(
    tmp_path: Path, name: str, content: bytes, found: str
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"found {found}"):
        open_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a"])
def test_the_content_says_what_a_file_is(tmp_path: Path, name: str):
    with h5py.File(tmp_path / name, "w") as file:
        file["raw"] = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    with open_volume(tmp_path / name) as volume:
        assert volume.shape == (2, 3, 4)
