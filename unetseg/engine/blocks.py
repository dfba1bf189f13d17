"""Segment cells in blocks: three steps, for any processes that see the same files.

1. Each block of a slice is segmented, with a halo around it: `Segmenter.segment`.
2. Cells of a slice are joined across its blocks, and numbered: `Segmenter.join`.
3. Each block is written with these numbers, and its cells are counted: `Segmenter.write`.

The results of each step are kept in files, and a resumed run does not compute them again. The grid
depends only on the size of a slice, so the cells do not depend on memory or number of processes.

The cells may differ a little from those of a slice segmented in one piece. In a core and its halo
the smoothed probability is the same to the last bit, and so are the seeds there. Floods differ
where they depend on what lies beyond the halo: a branch whose seed is farther away than that is
flooded from elsewhere, and pixels of equal probability may be flooded in another order. A cell that
is one pixel wide, and lies on the first pixels behind a seam, is lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.blocks import (
    BAND,
    Grid,
    find_same,
    number_cells,
    overlap,
    part_at_seams,
    sure_pixels,
    widen,
    within,
)
from unetseg.arrays.cells import segment_cells
from unetseg.arrays.tallies import APRON, Tally, merge_tallies, tally_cells
from unetseg.arrays.tiles import Box
from unetseg.engine.cluster import unseen
from unetseg.errors import InputError
from unetseg.stacks.files import replacing
from unetseg.stacks.hashing import Hashed
from unetseg.stacks.location import is_there
from unetseg.stacks.opening import open_volume
from unetseg.stacks.pieces import Piece
from unetseg.stacks.volume import Volume, check_probable

if TYPE_CHECKING:
    from unetseg.stacks.omezarr import ZarrPieces

# SciPy cuts the Gaussian off at so many standard deviations.
REACH_OF_GAUSSIAN = 4

# A second thread of a process would only take twice the memory.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Layout:
    """How slices are cut: `edge` and `multiple` as for `Grid.of`, and the halo in pixels.

    The reach of the smoothing is added to this halo, which must not be narrower than `BAND`.
    """

    edge: int
    halo: int
    multiple: int


LAYOUT = Layout(edge=2048, halo=128, multiple=512)


@dataclass(frozen=True)
class Watershed:
    """Settings of `segment_cells`."""

    smoothing: float
    seed_threshold: float
    smallest: int
    grow: bool
    zero_is_missing: bool


@dataclass(frozen=True, order=True)
class Block:
    """A block of a slice: the number of the slice, and row and column in its grid."""

    index: int
    row: int
    column: int

    @property
    def place(self) -> tuple[int, int]:
        """Row and column in the grid."""
        return self.row, self.column


@dataclass(frozen=True)
class Target:
    """Where labels are written: an OME-Zarr that exists already, or nowhere if path is None."""

    dtype: str
    shape: tuple[int, int, int]
    path: Path | None


@dataclass(frozen=True)
class Segmenter:
    """What a worker must know to process blocks; it is sent to other processes and machines.

    Attributes
    ----------
    prediction : Path
    drafts : Path
        Folder for the intermediate files.
    watershed : Watershed
    layout : Layout
    identity : str
        Identity of the run: a worker outlives runs, and must not reuse files opened for another.
    linked : bool
        Whether sections are given the numbers of their cells, from `names_path`.
    patience : float
        Seconds to wait for files that other machines have written.
    """

    prediction: Path
    drafts: Path
    watershed: Watershed
    layout: Layout
    identity: str
    linked: bool
    patience: float

    @property
    def first_path(self) -> Path:
        """File with the offset that is added to the section numbers of each slice, (Z,)."""
        return self.drafts / "first.npy"

    @property
    def names_path(self) -> Path:
        """File with the cell of each section of the stack, (sections + 1,)."""
        return self.drafts / "names.npy"

    def grid(self, volume: Volume, index: int) -> Grid:
        """Return the grid of blocks of a slice."""
        size = volume.own_size(index)
        return Grid.of(size, edge=self.layout.edge, multiple=self.layout.multiple)

    @property
    def halo(self) -> int:
        """Pixels around a core that are segmented with it."""
        return self.layout.halo + round(REACH_OF_GAUSSIAN * self.watershed.smoothing)

    def path(self, kind: str, block: Block) -> Path:
        """Intermediate file of a block; `kind` is labels, numbers or tally."""
        return self.drafts / str(block.index) / f"{kind}-{block.row}-{block.column}.npy"

    def total_path(self, index: int) -> Path:
        """File with the number of cells in a slice, written after the numbers of all its blocks."""
        return self.drafts / str(index) / "total.npy"

    def segment(self, block: Block) -> Block:
        """Find the cells of a block, and save their labels in its core and in a BAND around it.

        Raises
        ------
        InputError
            If the prediction cannot be read, or does not hold probabilities.
        """
        with _ONE_AT_A_TIME:
            volume = _open(self)
            grid = self.grid(volume, block.index)
            seen, kept = grid.around(block.place, self.halo), grid.around(block.place, BAND)
            probability = volume.part(block.index, seen)
            check_probable(probability, block.index, volume)
            labels = segment_cells(probability, **asdict(self.watershed), cut=grid.goes_on(seen))
            # Most blocks have so few cells that two bytes tell them apart.
            small = labels.astype(np.min_scalar_type(labels.max(initial=0)))
            save(self.path("labels", block), small[within(kept, seen)])
        return block

    def join(self, index: int) -> int:
        """Join the cells of a slice across its seams, and number them from 1."""
        with _ONE_AT_A_TIME:
            grid = self.grid(_open(self), index)
            blocks = [Block(index, *place) for place in grid.places]
            sure, pairs = [], []
            for number, block in enumerate(blocks):
                seen = self._labels(grid, block, grid.around(block.place, BAND))
                core = within(grid.around(block.place), grid.around(block.place, BAND))
                sure.append(sure_pixels(seen, core, first=(block.row == 0, block.column == 0)))
                pairs += [
                    (number, number + step, self._same(grid, block, blocks[number + step]))
                    for step in _steps_behind(grid, block)
                ]
            numbers, total = number_cells(sure, pairs)
            for block, own in zip(blocks, numbers, strict=True):
                save(self.path("numbers", block), own)
            save(self.total_path(index), np.array(total))
        return index

    def _same(self, grid: Grid, block: Block, other: Block) -> npt.NDArray[np.int64]:
        """Pairs of labels, of a block and the one below or to its right, that are one cell."""
        rows, columns = grid.around(other.place)
        # Only as long as the seam: beyond its ends are other blocks.
        if other.row > block.row:
            (band, _), seam = widen((slice(rows.start, rows.start), columns), BAND, grid.size), 0
            box = band, columns
        else:
            (_, band), seam = widen((rows, slice(columns.start, columns.start)), BAND, grid.size), 1
            box = rows, band
        one, other_one = (
            np.moveaxis(self._labels(grid, each, box), seam, 0) for each in (block, other)
        )
        return find_same(one, other_one, seam=(rows, columns)[seam].start - band.start)

    def _labels(self, grid: Grid, block: Block, box: Box) -> npt.NDArray[np.unsignedinteger[Any]]:
        """Labels that a block has in a box, which may reach into the BAND around its core."""
        labels = self._load(self.path("labels", block))
        return np.asarray(labels[within(box, grid.around(block.place, BAND))])

    def assemble(self, grid: Grid, index: int, box: Box) -> npt.NDArray[np.int64]:
        """Return the cells in any part of a slice, numbered from 1 in the slice.

        If a seam lies at the first row or column of the box, touching cells are not parted there.
        """
        cells = np.empty([side.stop - side.start for side in box], np.int64)
        for place in grid.within(box):
            block = Block(index, *place)
            part = overlap(box, grid.around(place))
            numbers = self._load(self.path("numbers", block))
            cells[within(part, box)] = numbers[self._labels(grid, block, part)]
        rows, columns = grid.seams(box)
        part_at_seams(cells, rows=rows, columns=columns)
        return cells

    def total(self, index: int) -> int:
        """Return the number of cells in a slice."""
        return int(self._load(self.total_path(index)))

    def write(self, block: Block, target: Target) -> tuple[Block, npt.NDArray[Any] | list[Hashed]]:
        """Number a block's cells through the stack, write them, and save their tally.

        Returns
        -------
        Block
        (H, W) array or list of Hashed
            The numbers, for the caller to write; or the chunks of an OME-Zarr that were written.
        """
        with _ONE_AT_A_TIME:
            grid = self.grid(_open(self), block.index)
            core, wide = grid.around(block.place), grid.around(block.place, APRON + 1)
            cells = self.assemble(grid, block.index, wide)
            inner = within(core, wide)
            tally = tally_cells(cells, core=inner, origin=(wide[0].start, wide[1].start))
            first = int(self._load(self.first_path)[block.index])
            pixels = np.where(cells[inner] > 0, cells[inner] + first, 0)
            if self.linked:
                pixels = self._load(self.names_path)[pixels]
            pixels = pixels.astype(target.dtype)
            done: npt.NDArray[Any] | list[Hashed] = pixels
            if target.path is not None:
                done = _output(target, self).put(Piece.of(block.index, core), pixels)
            # After the pixels: its file says that they are written.
            save(self.path("tally", block), tally)
        return block, done

    def tally(self, grid: Grid, index: int) -> Tally:
        """Return the tally of the cells of a slice, numbered from 1 in it."""
        blocks = [Block(index, *place) for place in grid.places]
        return merge_tallies([self._load(self.path("tally", block)) for block in blocks])

    def _load(self, path: Path) -> npt.NDArray[Any]:
        """Load a file of another step; wait for it, as another machine may just have written it."""
        deadline = time.monotonic() + self.patience
        while not path.exists():
            if time.monotonic() >= deadline:
                raise unseen(path)
            time.sleep(0.2)
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r")
        return array


def _steps_behind(grid: Grid, block: Block) -> Iterator[int]:
    """Yield how much later, in the list of blocks, those below and to the right come."""
    if block.row + 1 < len(grid.rows):
        yield len(grid.columns)
    if block.column + 1 < len(grid.columns):
        yield 1


def save(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an intermediate file, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as file:
        np.save(file, array)


_OPENED: dict[Segmenter, Volume] = {}


def _open(segmenter: Segmenter) -> Volume:
    """Open the prediction, which stays open from block to block.

    Raises
    ------
    UnetsegError
        If it or the folder of the drafts is missing: a worker must not create one of its own.
    """
    if segmenter not in _OPENED:
        forget()
        if not segmenter.drafts.exists():
            raise unseen(segmenter.drafts)
        try:
            _OPENED[segmenter] = open_volume(segmenter.prediction)
        except InputError as error:
            if is_there(segmenter.prediction):
                raise
            raise unseen(segmenter.prediction) from error
    return _OPENED[segmenter]


def forget() -> None:
    """Close what this process has opened to work on blocks."""
    while _OPENED:
        _OPENED.popitem()[1].close()


def _output(target: Target, segmenter: Segmenter) -> ZarrPieces:
    from unetseg.stacks.omezarr import ZarrPieces

    assert target.path is not None
    chunk = segmenter.layout.multiple
    try:
        return ZarrPieces(
            target.path, shape=target.shape, dtype=target.dtype, chunk=chunk, create=False
        )
    except FileNotFoundError as error:
        raise unseen(target.path) from error
