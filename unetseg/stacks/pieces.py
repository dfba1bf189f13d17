"""Write results piece by piece, and know which pieces are written already."""

from __future__ import annotations

import json
import os
import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tiles import Box
from unetseg.stacks.files import Closing
from unetseg.stacks.slicewriter import SliceWriter
from unetseg.stacks.tiffwriter import create_stack
from unetseg.stacks.voxel import Voxel

# Most work that is lost when a run is killed, apart from the current piece.
SECONDS_BETWEEN_FLUSHES = 5


@dataclass(frozen=True)
class Piece:
    """A rectangle of one slice, in pixels; `bottom` and `right` are exclusive."""

    index: int
    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def of(cls, index: int, box: Box) -> Piece:
        """Return the piece for a box of a slice."""
        rows, columns = box
        return cls(index, rows.start, rows.stop, columns.start, columns.stop)

    @property
    def box(self) -> Box:
        """Rows and columns of the slice."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return (self.bottom - self.top) * (self.right - self.left)

    def without(self, other: Piece) -> list[Piece]:
        """Return this piece without another one of the same slice, as up to four pieces."""
        top, bottom = max(self.top, other.top), min(self.bottom, other.bottom)
        left, right = max(self.left, other.left), min(self.right, other.right)
        if top >= bottom or left >= right:
            return [self]
        rest = [
            Piece(self.index, self.top, top, self.left, self.right),
            Piece(self.index, bottom, self.bottom, self.left, self.right),
            Piece(self.index, top, bottom, self.left, left),
            Piece(self.index, top, bottom, right, self.right),
        ]
        return [piece for piece in rest if piece.pixels]


class PieceWriter(Closing):
    """Write a stack of probabilities or cell numbers in pieces, in any order.

    Attributes
    ----------
    multiple : int
        Pieces must start and end at multiples of it, in pixels, except at the end of a slice.
    """

    multiple: int

    @abstractmethod
    def __init__(
        self,
        path: Path,
        *,
        shape: tuple[int, int, int],
        voxel: Voxel | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> None: ...

    @abstractmethod
    def has(self, piece: Piece) -> bool:
        """Whether an earlier run has written a piece."""

    @abstractmethod
    def write(self, piece: Piece, pixels: npt.NDArray[Any]) -> None:
        """Write a piece."""

    def absent(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return the pieces that were written but are missing; in a single file, none can be."""
        return []

    @abstractmethod
    def close(self) -> None:
        """Sync all pieces to the disk."""


class TiffPieces(PieceWriter):
    """A TIFF stack, and beside it a journal of the pieces that have reached the disk.

    Parameters
    ----------
    path : Path
        Of the stack; one that an earlier run began is continued.
    shape : (Z, Y, X)
    voxel : Voxel, optional
        Size of a voxel, to record.
    dtype : dtype-like
        float32 for probabilities, uint16 or uint32 for numbers of cells.
    colours : int
        Highest number of a cell.
    """

    multiple = 1

    def __init__(
        self,
        path: Path,
        *,
        shape: tuple[int, int, int],
        voxel: Voxel | None = None,
        dtype: npt.DTypeLike = np.float32,
        colours: int = 0,
    ) -> None:
        dtype = np.dtype(dtype)
        self._journal_path = path.with_name(f".{path.name}.journal")
        self._done: dict[int, list[Piece]] = {}  # by slice
        self._unflushed: list[Piece] = []
        self._flushed = time.monotonic()
        offset = self._read_journal() if path.exists() else None
        if offset is None:
            self._out = create_stack(
                path,
                shape=shape,
                dtype=dtype,
                display_range=(0.0, 1.0) if dtype.kind == "f" else None,
                colours=colours,
                voxel=voxel,
            )
            self._out.flush()
            self._journal = self._journal_path.open("w", encoding="ascii")
            self._record({"offset": self._out.offset})
        else:
            self._out = SliceWriter(path, offset=offset, shape=shape, dtype=dtype)
            self._journal = self._journal_path.open("a", encoding="ascii")

    def _read_journal(self) -> int | None:
        """Read where pixels begin and which pieces are written; drop a line that was cut off."""
        if not self._journal_path.exists():
            return None
        text = self._journal_path.read_text(encoding="ascii")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            os.truncate(self._journal_path, len(whole))
        lines = [json.loads(line) for line in whole.splitlines()]
        for line in lines[1:]:
            self._done.setdefault(line[0], []).append(Piece(*line))
        return int(lines[0]["offset"]) if lines else None

    def has(self, piece: Piece) -> bool:
        """Whether an earlier run has written a piece."""
        # That run may have cut the slice into other pieces, for another --memory.
        rest = [piece]
        for done in self._done.get(piece.index, ()):
            rest = [left for part in rest for left in part.without(done)]
            if not rest:
                return True
        return False

    def write(self, piece: Piece, pixels: npt.NDArray[Any]) -> None:
        """Write a piece."""
        self._out.write(piece.index, piece.box, pixels)
        self._unflushed.append(piece)
        if time.monotonic() - self._flushed > SECONDS_BETWEEN_FLUSHES:
            self._flush()

    def _flush(self) -> None:
        # Sync pixels before the journal lists them.
        self._out.flush()
        self._record(*(astuple(piece) for piece in self._unflushed))
        self._unflushed.clear()
        self._flushed = time.monotonic()

    def _record(self, *lines: Any) -> None:
        self._journal.writelines(json.dumps(line) + "\n" for line in lines)
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def close(self) -> None:
        """Sync all pieces to the disk, and close the files."""
        try:
            self._flush()
        finally:
            self._journal.close()
            self._out.close()
