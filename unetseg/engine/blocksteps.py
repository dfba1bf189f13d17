"""The steps from a prediction to numbered cells, each of which resumes where it was killed.

Segmenting, joining and writing are done by `unetseg.engine.blocks`; between the last two, sections
are linked through the slices, by this process alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from unetseg.arrays.cells import tissue_of
from unetseg.arrays.layers import Layer
from unetseg.arrays.linking import Linker, solve_multicut
from unetseg.arrays.tallies import Tally
from unetseg.engine.blocks import Block, Segmenter, Target, save
from unetseg.engine.cluster import check_written, cluster_map
from unetseg.engine.machine import processes_within
from unetseg.engine.parallel import ordered_map
from unetseg.progress import Progress
from unetseg.stacks.files import require_room
from unetseg.stacks.pieces import Piece
from unetseg.stacks.volume import Volume

# Bytes for each pixel of a block and its halo, mostly for the watershed; measured, and a quarter
# added. Linking holds whole slices: bytes for each pixel of a slice, and for each edge of the graph
# while it is cut.
BLOCK_BYTES = 80
LINK_BYTES = 150
EDGE_BYTES = 500
# Bytes of a label, at most: in the result, and in drafts, where labels of a block start from 1.
LABEL_BYTES = 4
DRAFT_BYTES = 2
# So many pixels are written before another process has started.
FEW_PIXELS = 2**25

Item = TypeVar("Item")
Done = TypeVar("Done")


@dataclass(kw_only=True)
class BlockSteps:
    """What is to be segmented, and by how many processes.

    Attributes
    ----------
    prediction : Volume
    segmenter : Segmenter
    memory : float
        Bytes that all processes together may take.
    most : int
        Processes at most; 0 for one for each core.
    scheduler : str or None
        Address of the scheduler of a cluster.
    progress : Progress
    seconds : dict
        Duration of each step.

    Raises
    ------
    UsageError
        If not even one process fits into the memory.
    """

    prediction: Volume
    segmenter: Segmenter
    memory: float
    most: int
    scheduler: str | None
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.grids = [self.segmenter.grid(self.prediction, z) for z in range(len(self.prediction))]
        self.blocks = [
            Block(z, *place) for z, grid in enumerate(self.grids) for place in grid.places
        ]
        self._jobs = self._plan_processes()
        self.segmenter.drafts.mkdir(exist_ok=True)

    def _plan_processes(self) -> int:
        """Number of processes that fit into the memory; the size of blocks is independent of it."""
        halo, overhead = self.segmenter.halo, self.prediction.overhead
        pixels = max(
            math.prod(side.stop - side.start for side in grid.around(place, halo))
            for grid in {grid.size: grid for grid in self.grids}.values()
            for place in grid.places
        )
        jobs = processes_within(
            self.memory, BLOCK_BYTES * pixels + overhead, what=f"a block of {pixels} pixels"
        )
        if self.segmenter.linked:
            processes_within(
                self.memory,
                LINK_BYTES * math.prod(self.prediction.shape[1:]) + overhead,
                what="linking, which compares whole slices,",
                instead="--no-link",
            )
        return min(jobs, self.most) if self.most else jobs

    def piece(self, block: Block) -> Piece:
        """Where a block's core lies."""
        return Piece.of(block.index, self.grids[block.index].around(block.place))

    def segment(self, *, result: int) -> None:
        """Find the cells of every block, if the disk has room for drafts and `result` bytes."""

        def is_done(block: Block) -> bool:
            return self.segmenter.path("labels", block).exists()

        missing = [block for block in self.blocks if not is_done(block)]
        if len(missing) < len(self.blocks):
            self.progress.say(f"resuming: {1 - len(missing) / len(self.blocks):.0%} is done")
        if missing:  # and so nothing of the result is there yet
            pixels = sum(self.piece(block).pixels for block in missing)
            require_room(self.segmenter.drafts, DRAFT_BYTES * pixels + result)
        unit = "block" if len(self.blocks) > len(self.grids) else "slice"
        self._finish(
            self._do("segment", self.segmenter.segment, missing, unit=unit), missing, is_done
        )

    def join(self) -> list[int]:
        """Join the cells of each slice across its seams and number them; return their counts."""

        def is_done(index: int) -> bool:
            return self.segmenter.total_path(index).exists()

        missing = [z for z in range(len(self.grids)) if not is_done(z)]
        whole = len(self.blocks) == len(self.grids)  # there is nothing to join
        steps = self._do("join", self.segmenter.join, missing, unit="slice", alone=whole)
        self._finish(steps, missing, is_done)
        totals = [self.segmenter.total(z) for z in range(len(self.grids))]
        if not self.prediction.separate:
            save(self.segmenter.first_path, np.cumsum([0, *totals[:-1]]))
        else:
            save(self.segmenter.first_path, np.zeros(len(totals), np.int64))
        return totals

    @cached_property
    def first(self) -> npt.NDArray[np.int64]:
        """Offset that is added to the section numbers of each slice, (Z,); known after `join`."""
        first: npt.NDArray[np.int64] = np.load(self.segmenter.first_path)
        return first

    def link(self, sections: int) -> npt.NDArray[np.int64]:
        """Decide which sections are one cell; return the cell of each, after a leading 0.

        Raises
        ------
        UsageError
            If the graph does not fit into the memory; the evidence gathered is kept.
        """
        path = self.segmenter.names_path
        if not path.exists():
            began = time.monotonic()
            if not all(kept.exists() for kept in self._edges):
                self._gather()
            pairs, evidence = self.edges()
            what = f"a graph of {len(pairs)} links"
            processes_within(self.memory, EDGE_BYTES * len(pairs), what=what)
            save(path, solve_multicut(sections, pairs, evidence))
            self.seconds["link"] = round(time.monotonic() - began, 3)
        numbers: npt.NDArray[np.int64] = np.load(path)
        return numbers

    def _gather(self) -> None:
        """Compare the slices, and save the evidence that sections are one cell."""
        linker, count = Linker(), len(self.grids)
        for z in self.progress.track(range(count), total=count, label="link", unit="slice"):
            linker.add(self._layer(z))
        for kept, array in zip(self._edges, linker.edges(), strict=True):
            save(kept, array)

    def _layer(self, z: int) -> Layer:
        """Return a slice with its sections numbered through the stack."""
        grid = self.grids[z]
        cells = self.segmenter.assemble(grid, z, (slice(0, grid.size[0]), slice(0, grid.size[1])))
        cells[cells > 0] += self.first[z]
        probability = self.prediction.own(z)
        known = self.segmenter.watershed.zero_is_missing
        return Layer(z, cells, probability, tissue_of(probability, zero_is_missing=known))

    @property
    def _edges(self) -> tuple[Path, Path]:
        return self.segmenter.drafts / "pairs.npy", self.segmenter.drafts / "evidence.npy"

    def edges(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Load the pairs of sections that were compared, and the evidence that each is one cell."""
        pairs, evidence = (np.load(path) for path in self._edges)
        return pairs, evidence

    def write(self, blocks: Sequence[Block], target: Target) -> Iterator[tuple[Block, Any]]:
        """Number and write blocks, and tally their cells; see `Segmenter.write`."""
        work = partial(self.segmenter.write, target=target)
        few = sum(self.piece(block).pixels for block in blocks) < FEW_PIXELS
        return self._do("write", work, blocks, alone=few)

    def unwritten(self, has: Callable[[Piece], bool]) -> list[Block]:
        """Blocks that are not yet tallied and in the result; `has` says which pieces are in it."""
        return [
            block
            for block in self.blocks
            if not (self._is_counted(block) and has(self.piece(block)))
        ]

    def check_counted(self, blocks: Sequence[Block]) -> None:
        """Check that the tallies from other machines have arrived."""
        self._check(blocks, self._is_counted)

    def _is_counted(self, block: Block) -> bool:
        return self.segmenter.path("tally", block).exists()

    def tallies(self) -> Iterator[Tally]:
        """Yield the tally of each slice."""
        return (self.segmenter.tally(grid, z) for z, grid in enumerate(self.grids))

    def _do(
        self,
        step: str,
        work: Callable[[Item], Done],
        items: Sequence[Item],
        *,
        unit: str = "block",
        alone: bool = False,
    ) -> Iterator[Done]:
        """Do one step of the work, on this machine or on those of a cluster."""
        began = time.monotonic()
        if self.scheduler:
            done = cluster_map(self.scheduler, work, items, self.progress)
        else:
            done = ordered_map(work, items, jobs=1 if alone else self._jobs)
        yield from self.progress.track(done, total=len(items), label=step, unit=unit)
        self.seconds[step] = round(time.monotonic() - began, 3)

    def _finish(
        self, steps: Iterator[Any], items: Sequence[Item], is_done: Callable[[Item], bool]
    ) -> None:
        """Run a step to its end, and check that its files are there."""
        for _ in steps:
            pass
        self._check(items, is_done)

    def _check(self, items: Sequence[Item], is_done: Callable[[Item], bool]) -> None:
        """Check that the files from other machines have arrived."""
        if self.scheduler:

            def absent(items: Sequence[Item]) -> list[Item]:
                return [item for item in items if not is_done(item)]

            check_written(items, absent, where=self.segmenter.drafts, by_others=True)
