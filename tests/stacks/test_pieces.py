"""A stack written in pieces, by one run or by several."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tifffile

from unetseg.stacks import pieces
from unetseg.stacks.pieces import Piece, TiffPieces

SHAPE = (2, 20, 30)
PIECES = [
    Piece(z, top, top + 10, left, left + 15) for z in (0, 1) for top in (0, 10) for left in (0, 15)
]


@pytest.fixture
def stack() -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE, np.float32)


def open_pieces(path: Path) -> TiffPieces:
    return TiffPieces(path, shape=SHAPE)


def write(out: TiffPieces, chosen: list[Piece], stack: np.ndarray) -> None:
    for piece in chosen:
        out.write(piece, stack[piece.index][piece.box])


def test_any_order_gives_the_same_file(tmp_path: Path, stack: np.ndarray):
    for name, order in (("a.tif", PIECES), ("b.tif", PIECES[::-1])):
        with open_pieces(tmp_path / name) as out:
            write(out, order, stack)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), stack)


def test_what_is_there_is_known_to_the_next_run(tmp_path: Path, stack: np.ndarray):
    path = tmp_path / "a.tif"
    with open_pieces(path) as out:
        assert not any(out.has(piece) for piece in PIECES)
        write(out, PIECES[:3], stack)
    with open_pieces(path) as out:
        assert [out.has(piece) for piece in PIECES] == [True] * 3 + [False] * 5
        write(out, PIECES[3:], stack)
    np.testing.assert_array_equal(tifffile.imread(path), stack)


def test_only_what_reached_the_disk_counts(
    tmp_path: Path, stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.tif"
    monkeypatch.setattr(pieces, "SECONDS_BETWEEN_FLUSHES", 0)
    out = open_pieces(path)
    write(out, PIECES[:2], stack)
    monkeypatch.setattr(pieces, "SECONDS_BETWEEN_FLUSHES", 1000)
    write(out, PIECES[2:4], stack)
    # As after a kill: the first run never closes its files.
    with open_pieces(path) as again:
        assert [again.has(piece) for piece in PIECES[:4]] == [True, True, False, False]
    out.close()


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_journal_that_was_cut_off(tmp_path: Path, stack: np.ndarray, cut: int):
    path = tmp_path / "a.tif"
    with open_pieces(path) as out:
        write(out, PIECES[:4], stack)
    journal = tmp_path / ".a.tif.journal"
    journal.write_bytes(journal.read_bytes()[:-cut])
    with open_pieces(path) as out:
        there = [out.has(piece) for piece in PIECES[:4]]
        assert there[0]
        assert not there[3]
        write(out, [piece for piece in PIECES if not out.has(piece)], stack)
    np.testing.assert_array_equal(tifffile.imread(path), stack)
    with open_pieces(path) as out:
        assert all(out.has(piece) for piece in PIECES)


def test_what_was_written_in_other_pieces_counts(tmp_path: Path, stack: np.ndarray):
    path = tmp_path / "a.tif"
    with open_pieces(path) as out:
        # The upper half of slice 0 and a column of the lower one; they overlap.
        done = [*PIECES[:2], Piece(0, 5, 20, 0, 10)]
        write(out, done, stack)
    area = np.zeros(SHAPE, bool)
    for piece in done:
        area[piece.index][piece.box] = True
    with open_pieces(path) as out:
        for top, bottom, left, right in product((0, 3, 9), (10, 12, 20), (0, 8), (9, 10, 11, 30)):
            piece = Piece(0, top, bottom, left, right)
            assert out.has(piece) == area[0][piece.box].all(), piece
        assert not out.has(Piece(1, 0, 10, 0, 30))
