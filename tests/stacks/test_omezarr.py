"""OME-Zarr: valid as written, read as others write it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import zarr
from hashes import slowly, watch, watch_syncs
from ome_zarr_models import open_ome_zarr

from unetseg.errors import InputError
from unetseg.stacks.hashing import fingerprint, read_journal, seal
from unetseg.stacks.omezarr import ZarrPieces
from unetseg.stacks.opening import open_volume
from unetseg.stacks.pieces import Piece

BOXES = [
    (slice(0, 70), slice(0, 90)),
    (slice(3, 40), slice(0, 90)),
    (slice(0, 1), slice(89, 90)),
    (slice(17, 65), slice(31, 66)),
]


def test_written_ome_zarr_is_valid_and_reads_back(tmp_path: Path):
    rng = np.random.default_rng(0)
    stack = rng.random((2, 600, 700), np.float32)
    stack[1, :512, :512] = 0
    path = tmp_path / "a.ome.zarr"
    pieces = [
        Piece(z, top, min(600, top + 512), 0, 700) for z in range(2) for top in range(0, 600, 512)
    ]
    for piece in pieces:
        out = ZarrPieces(path, shape=stack.shape)
        assert not out.has(piece)
        out.write(piece, stack[piece.index][piece.box])
        assert out.has(piece)
    image = open_ome_zarr(zarr.open_group(path, mode="r"))
    assert image.attributes.ome.version == "0.5"
    with open_volume(path) as volume:
        assert volume.shape == stack.shape
        np.testing.assert_array_equal(list(volume), stack)
        np.testing.assert_array_equal(volume.part(1, BOXES[3]), stack[1][BOXES[3]])


def write_older_zarr(path: Path, stack: np.ndarray, axes: str) -> None:
    """An image as version 0.4 has it, as other programs still write."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("full", data=stack, chunks=(1,) * (stack.ndim - 2) + (32, 32))
    scale = {"type": "scale", "scale": [1.0] * stack.ndim}
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": axis} for axis in axes],
            "datasets": [{"path": "full", "coordinateTransformations": [scale]}],
        }
    ]


def test_a_chunk_that_a_power_cut_left_empty_is_not_there(tmp_path: Path):
    path, piece = tmp_path / "a.ome.zarr", Piece(0, 0, 8, 0, 8)
    ZarrPieces(path, shape=(1, 8, 8)).write(piece, np.zeros((8, 8), np.float32))
    assert ZarrPieces(path, shape=(1, 8, 8)).has(piece)
    (chunk,) = (file for file in (path / "0" / "c").rglob("*") if file.is_file())
    for left in (chunk.read_bytes()[:-3], b""):
        chunk.write_bytes(left)
        again = ZarrPieces(path, shape=(1, 8, 8))
        assert not again.has(piece)
    again.write(piece, np.ones((8, 8), np.float32))
    assert again.has(piece)


SHAPE = (2, 600, 700)


def write_all(path: Path) -> list[Piece]:
    """An image of eight chunks."""
    path.parent.mkdir(exist_ok=True)
    stack = np.random.default_rng(0).random(SHAPE, np.float32)
    pieces = [Piece(z, top, min(600, top + 512), 0, 700) for z in range(2) for top in (0, 512)]
    with ZarrPieces(path, shape=SHAPE) as out:
        for piece in pieces:
            out.write(piece, stack[piece.index][piece.box])
    return pieces


def test_each_file_is_hashed_in_memory_and_synced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced = watch_syncs(monkeypatch)
    path = tmp_path / "a.ome.zarr"
    write_all(path)
    known = read_journal(path)
    files = [file for file in path.rglob("*") if file.is_file()]
    assert len(files) == 8 + 2
    assert known.keys() == {key_of(path, file) for file in files}
    hashed = watch(monkeypatch)
    published = seal(path)
    assert hashed == []
    everything = Counter(file.stat().st_ino for file in [path, *path.rglob("*")])
    assert {*everything.values()} == {1}
    assert Counter(synced) == everything
    assert published == slowly(path)
    write_all(tmp_path / "b" / path.name)
    assert fingerprint(tmp_path / "b" / path.name) == published, "other bytes of the same pixels"


def key_of(path: Path, file: Path) -> tuple[str, int, int]:
    state = file.stat()
    return file.relative_to(path).as_posix(), state.st_size, state.st_mtime_ns


def test_what_an_earlier_run_has_hashed_is_not_read_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.ome.zarr"
    pieces = write_all(path)
    chunk = path / "0/c/0/1/0"
    again = ZarrPieces(path, shape=SHAPE)
    with monkeypatch.context() as patch:
        patch.setattr(type(again._array), "__getitem__", None)  # so that reading fails
        assert all(again.has(piece) for piece in pieces)
    content = chunk.read_bytes()
    chunk.write_bytes(bytes(len(content)))
    assert [again.has(piece) for piece in pieces] == [True, False, True, True]
    chunk.write_bytes(content)  # as it was, but for the time
    assert again.has(pieces[1])


def test_pieces_without_a_file_are_absent(tmp_path: Path):
    path = tmp_path / "a.ome.zarr"
    pieces = write_all(path)
    draft = path / "0/c/0/1/.1.0123.draft"  # of a process that was killed
    draft.touch()
    out = ZarrPieces(path, shape=SHAPE)
    assert out.absent(pieces) == []
    assert not draft.exists()
    (path / "0/c/0/1/1").unlink()
    shutil.rmtree(path / "0/c/1")
    assert out.absent(pieces) == pieces[1:]
    assert out.absent(pieces[:1]) == []


def test_who_is_late_does_not_begin_anew_what_is_published(tmp_path: Path):
    path = tmp_path / "a.ome.zarr"
    out = ZarrPieces(path, shape=(1, 8, 8))
    path.rename(tmp_path / "published")
    with pytest.raises(FileNotFoundError):
        out.put(Piece(0, 0, 8, 0, 8), np.zeros((8, 8), np.float32))
    assert not path.exists()


def test_older_ome_zarr_with_one_channel_is_read(tmp_path: Path, stack: np.ndarray):
    write_older_zarr(tmp_path / "a.zarr", stack[None, None], "tczyx")
    with open_volume(tmp_path / "a.zarr") as volume:
        assert volume.dtype == np.uint16
        np.testing.assert_array_equal(list(volume), stack)
    write_older_zarr(tmp_path / "b.zarr", stack[0], "yx")
    with open_volume(tmp_path / "b.zarr") as volume:
        np.testing.assert_array_equal(list(volume), stack[:1])


def test_unsuitable_zarrs_are_refused(tmp_path: Path, stack: np.ndarray):
    write_older_zarr(tmp_path / "a.zarr", stack[:, None], "czyx")
    with pytest.raises(InputError, match="found c 12, z 1, y 70, x 90"):
        open_volume(tmp_path / "a.zarr")
    write_older_zarr(tmp_path / "b.zarr", stack.astype(np.int64), "zyx")
    with pytest.raises(InputError, match="found int64"):
        open_volume(tmp_path / "b.zarr")
    with pytest.raises(InputError, match="no such folder"):
        open_volume(tmp_path / "none.zarr")
    write_older_zarr(tmp_path / "c.zarr", stack, "zyx")
    shutil.rmtree(tmp_path / "c.zarr" / "full")
    with pytest.raises(InputError, match="damage"):
        open_volume(tmp_path / "c.zarr")
