"""`unetseg segment`: single cells with a number each, and tables of their sizes."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from unetseg.arrays.decisions import weigh_decisions
from unetseg.arrays.linking import Layer, Linker, import_graphs
from unetseg.artifacts.binarystack import binary_name, write_binary
from unetseg.artifacts.celltables import write_cells, write_sections
from unetseg.artifacts.finding import LINKS, find_prediction, zero_is_missing
from unetseg.artifacts.linktable import write_links
from unetseg.artifacts.manifest import Seen
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.blocks import LAYOUT, Block, Segmenter, Target, Watershed, forget, save
from unetseg.engine.cluster import SECONDS_TO_APPEAR, check_written, cluster_map, hasher_of
from unetseg.engine.machine import parse_memory, processes_within
from unetseg.engine.parallel import ordered_map
from unetseg.errors import UsageError
from unetseg.options import SegmentOptions
from unetseg.progress import Progress, StageResult
from unetseg.stacks.files import require_room
from unetseg.stacks.micrographs import Micrographs
from unetseg.stacks.opening import open_volume
from unetseg.stacks.pieces import Piece, TiffPieces
from unetseg.stacks.tiffwriter import IMAGEJ_LIMIT, label_dtype
from unetseg.stacks.volume import ImprobableError, Volume, is_zarr
from unetseg.stages.stackchecks import check_name, names_of_results

LABELS = "labels.tif"
LARGE_LABELS = "labels.ome.zarr"
TABLE = "cells.csv"
WHOLE_TABLE = "cells-3d.csv"
DRAFTS = ".blocks"  # hidden, so that they are not published

# Bytes for each pixel of a block and its halo, of which most is the watershed's; measured, and a
# quarter added. Of linking, which holds whole slices, for each of their pixels.
BLOCK_BYTES = 80
LINK_BYTES = 150
# Numbers of cells in drafts and, at most, in the result.
LABEL_BYTES = 4
# So many are written before another process has begun.
FEW_PIXELS = 2**25

Item = TypeVar("Item")
Done = TypeVar("Done")


def segment(options: SegmentOptions, progress: Progress) -> StageResult:
    """Turn a prediction into labelled cells, slice by slice.

    Every section of a cell has a number of its own in the whole stack, unless sections are linked:
    then those of one cell have one. Of separate micrographs each has labels of its own name, with
    numbers from 1, as if it were alone.

    Large slices go in blocks, see `unetseg.engine.blocks`. What an interrupted run has done is
    kept, and the same call goes on from there.

    Parameters
    ----------
    options : SegmentOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If the prediction cannot be read or is none.
    UsageError
        If sections of separate micrographs are to be linked, or memory does not suffice.
    """
    memory = parse_memory(options.memory)
    if options.link:
        import_graphs()  # said now, not when all slices have been looked at
    path = find_prediction(options.prediction)
    seen = Seen.of(path)
    with open_volume(path) as prediction:
        if options.link and prediction.separate:
            raise UsageError(
                f"--link: expected slices of one stack, found separate micrographs in {path}; "
                "leave --link out"
            )
        name = _name(options, prediction)
        labels = names_of_results(prediction, name, given=options.name, scheduler=options.scheduler)
        with StageWriter(
            options.output,
            stage="segment",
            options={**options.recorded(), "name": None if name == LABELS else name},
            inputs=[seen],
            names=[*labels, *_beside(options, prediction)],
            resumable=True,
            hasher=hasher_of(options.scheduler, progress),
            conditions={"layout": dataclasses.asdict(LAYOUT)},
        ) as writer:
            if options.force:
                writer.begin_anew()
            elif writer.is_current():
                return writer.nothing_to_do()
            watershed = Watershed(
                smoothing=options.smoothing,
                seed_threshold=options.seed_threshold,
                smallest=options.smallest,
                grow=options.grow,
                zero_is_missing=zero_is_missing(path),
            )
            work = _Work(
                writer=writer,
                prediction=prediction,
                watershed=watershed,
                options=options,
                memory=memory,
                progress=progress,
            )
            try:
                found = work.run(labels)
                if options.binary:
                    write_binary(writer, labels, separate=prediction.separate)
            except KeyboardInterrupt:
                progress.say("the same command goes on from here")
                raise
            except ImprobableError:
                writer.begin_anew()
                raise
            finally:
                forget()
        read = [str(prediction)]
    notes = [f"{found} (0 is between them)"]
    return writer.result(read, notes=notes, data={"seconds": work.seconds})


def _name(options: SegmentOptions, prediction: Volume) -> str:
    """Name of the labels of a stack; its ending says what they are."""
    large = not prediction.separate and math.prod(prediction.shape) * LABEL_BYTES > IMAGEJ_LIMIT
    name = options.name or (LARGE_LABELS if options.scheduler or large else LABELS)
    check_name(name, options.scheduler)
    if is_zarr(Path(name)):
        from unetseg.stacks.omezarr import import_zarr

        import_zarr()  # said now if it is missing
    return name


def _beside(options: SegmentOptions, prediction: Volume) -> list[str]:
    """Names of what is written beside the labels."""
    linked = [WHOLE_TABLE, LINKS] if options.link else []
    binary = [binary_name(separate=prediction.separate)] if options.binary else []
    return [TABLE, *linked, *binary]


@dataclass(kw_only=True)
class _Work:
    """What is to be segmented, how, and where."""

    writer: StageWriter
    prediction: Volume
    watershed: Watershed
    options: SegmentOptions
    memory: float
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, names: Sequence[str]) -> str:
        """Go through all steps; what was found, in words."""
        options, prediction = self.options, self.prediction
        self.segmenter = Segmenter(
            prediction=prediction.path.resolve(),
            drafts=self.writer.path(DRAFTS).resolve(),
            watershed=self.watershed,
            layout=LAYOUT,
            identity=json.dumps(self.writer.identity()),
            linked=options.link,
            patience=SECONDS_TO_APPEAR if options.scheduler else 0,
        )
        self.grids = [self.segmenter.grid(prediction, z) for z in range(len(prediction))]
        self.blocks = [
            Block(z, *place) for z, grid in enumerate(self.grids) for place in grid.places
        ]
        self._plan_processes()
        self.segmenter.drafts.mkdir(exist_ok=True)
        self._segment()
        totals = self._join()
        sections = sum(totals)
        numbers = self._link(sections) if options.link else None
        cells = sections if numbers is None else int(numbers.max())
        if isinstance(prediction, Micrographs):
            self._write_each(names, prediction, totals)
        else:
            self._write_stack(names[0], cells)
        self._write_tables(numbers)
        return f"{cells} cells" + ("" if numbers is None else f" of {sections} sections")

    def _plan_processes(self) -> None:
        """Decide how many processes fit into the memory; the pixels of a block do not depend on it.

        Raises
        ------
        UsageError
            If not one does.
        """
        halo = self.segmenter.halo
        pixels = max(
            math.prod(side.stop - side.start for side in grid.around(place, halo))
            for grid in {grid.size: grid for grid in self.grids}.values()
            for place in grid.places
        )
        overhead = self.prediction.overhead
        jobs = processes_within(
            self.memory, BLOCK_BYTES * pixels + overhead, what=f"a block of {pixels} pixels"
        )
        self.jobs = min(jobs, self.options.jobs) if self.options.jobs else jobs
        if self.options.link:
            processes_within(
                self.memory,
                LINK_BYTES * math.prod(self.prediction.shape[1:]) + overhead,
                what="linking, which compares whole slices,",
            )

    def _do(
        self,
        step: str,
        work: Callable[[Item], Done],
        items: Sequence[Item],
        *,
        unit: str = "block",
        alone: bool = False,
    ) -> Iterator[Done]:
        """Do one step of the work, in other processes or on other machines."""
        began = time.monotonic()
        if self.options.scheduler:
            done = cluster_map(self.options.scheduler, work, items, self.progress)
        else:
            done = ordered_map(work, items, jobs=1 if alone else self.jobs)
        yield from self.progress.track(done, total=len(items), label=step, unit=unit)
        self.seconds[step] = round(time.monotonic() - began, 3)

    def _finish(
        self, steps: Iterator[Any], items: Sequence[Item], is_done: Callable[[Item], bool]
    ) -> None:
        """Let a step be done whose results lie in files."""
        for _ in steps:
            pass
        self._check(items, is_done)

    def _check(self, items: Sequence[Item], is_done: Callable[[Item], bool]) -> None:
        """See whether the files of other machines are there."""
        if self.options.scheduler:

            def absent(items: Sequence[Item]) -> list[Item]:
                return [item for item in items if not is_done(item)]

            check_written(items, absent, where=self.segmenter.drafts, by_others=True)

    def _segment(self) -> None:
        """Find the cells of every block."""

        def is_done(block: Block) -> bool:
            return self.segmenter.path("labels", block).exists()

        missing = [block for block in self.blocks if not is_done(block)]
        if len(missing) < len(self.blocks):
            self.progress.say(
                f"going on: {1 - len(missing) / len(self.blocks):.0%} is there already"
            )
        pixels = sum(self._piece(block).pixels for block in missing)
        require_room(self.segmenter.drafts, LABEL_BYTES * pixels)
        unit = "block" if len(self.blocks) > len(self.grids) else "slice"
        self._finish(
            self._do("segment", self.segmenter.segment, missing, unit=unit), missing, is_done
        )

    def _piece(self, block: Block) -> Piece:
        return Piece.of(block.index, self.grids[block.index].around(block.place))

    def _join(self) -> list[int]:
        """Number the cells of every slice, joined across its seams; how many each has."""

        def is_done(index: int) -> bool:
            return self.segmenter.total_path(index).exists()

        missing = [z for z in range(len(self.grids)) if not is_done(z)]
        whole = len(self.blocks) == len(self.grids)  # there is nothing to join
        steps = self._do("join", self.segmenter.join, missing, unit="slice", alone=whole)
        self._finish(steps, missing, is_done)
        totals = [self.segmenter.total(z) for z in range(len(self.grids))]
        self.first = np.zeros(len(totals), np.int64)
        if not self.prediction.separate:
            self.first[1:] = np.cumsum(totals)[:-1]
        save(self.segmenter.first_path, self.first)
        return totals

    def _link(self, sections: int) -> npt.NDArray[np.int64]:
        """Decide which sections are one cell: for each its cell."""
        path = self.segmenter.names_path
        if not path.exists():
            linker, began = Linker(), time.monotonic()
            for z in self.progress.track(
                range(len(self.grids)), total=len(self.grids), label="link", unit="slice"
            ):
                box = slice(0, self.grids[z].size[0]), slice(0, self.grids[z].size[1])
                cells = self.segmenter.assemble(self.grids[z], z, box)
                probability = self.prediction.own(z)
                known = self.watershed.zero_is_missing
                tissue = probability > 0 if known else np.ones(cells.shape, bool)
                cells[cells > 0] += self.first[z]
                linker.add(Layer(z, cells, probability, tissue))
            for kept, array in zip(self._edges, linker.edges(), strict=True):
                save(kept, array)
            save(path, linker.solve(sections))
            self.seconds["link"] = round(time.monotonic() - began, 3)
        numbers: npt.NDArray[np.int64] = np.load(path)
        return numbers

    @property
    def _edges(self) -> tuple[Path, Path]:
        """Files of the pairs of sections that were compared, and of what speaks for one cell."""
        return self.segmenter.drafts / "pairs.npy", self.segmenter.drafts / "evidence.npy"

    def _write_stack(self, name: str, cells: int) -> None:
        """Write the labels of a stack."""
        shape, voxel, path = self.prediction.shape, self.prediction.voxel, self.writer.path(name)
        zarr = is_zarr(Path(name))
        dtype = np.dtype(np.uint32 if zarr else label_dtype(cells)).name
        self.writer.describe(name, shape=shape, dtype=dtype, axes="ZYX")
        target = Target(dtype, shape, path.resolve() if zarr else None)
        if not zarr:
            with TiffPieces(path, shape=shape, dtype=dtype, colours=cells, voxel=voxel) as tiff:
                for block, pixels in self._write(self._unwritten(tiff.has), target):
                    tiff.write(self._piece(block), pixels)
            return
        from unetseg.stacks.omezarr import ZarrPieces

        chunk = LAYOUT.multiple
        with ZarrPieces(path, shape=shape, dtype=dtype, chunk=chunk, voxel=voxel) as out:
            missing = self._unwritten(out.has)
            for _, chunks in self._write(missing, target):
                out.record(chunks)
            self._check(missing, self._is_counted)
            pieces = [self._piece(block) for block in self.blocks]
            by_others = self.options.scheduler is not None
            check_written(pieces, out.absent, where=path, by_others=by_others)

    def _is_counted(self, block: Block) -> bool:
        return self.segmenter.path("tally", block).exists()

    def _unwritten(self, has: Callable[[Piece], bool]) -> list[Block]:
        """Blocks that are not in the result yet."""
        return [
            block
            for block in self.blocks
            if not (self._is_counted(block) and has(self._piece(block)))
        ]

    def _write(self, blocks: Sequence[Block], target: Target) -> Iterator[tuple[Block, Any]]:
        work = partial(self.segmenter.write, target=target)
        few = sum(self._piece(block).pixels for block in blocks) < FEW_PIXELS
        return self._do("write", work, blocks, alone=few)

    def _write_each(
        self, names: Sequence[str], micrographs: Micrographs, totals: list[int]
    ) -> None:
        """Write labels of every micrograph, as if it were alone."""
        # Of one type, so that their folder can be opened as one.
        dtype = np.dtype(label_dtype(max(totals))).name
        done = self._write(self.blocks, Target(dtype, micrographs.shape, None))
        for z, blocks in groupby(done, key=lambda result: result[0].index):
            with micrographs.alone(z) as alone:
                shape, voxel = alone.shape, alone.voxel
            self.writer.describe(names[z], shape=shape, dtype=dtype, axes="ZYX")
            path = self.writer.path(names[z])
            path.unlink(missing_ok=True)  # begun by a run that was killed
            with TiffPieces(path, shape=shape, dtype=dtype, colours=totals[z], voxel=voxel) as out:
                for block, pixels in blocks:
                    out.write(dataclasses.replace(self._piece(block), index=0), pixels)

    def _write_tables(self, numbers: npt.NDArray[np.int64] | None) -> None:
        """Write the tables of sections and, if they are linked, of cells."""
        prediction = self.prediction
        slices = (self.segmenter.tally(grid, z) for z, grid in enumerate(self.grids))
        names = prediction.names if prediction.separate else None
        path = self.writer.path(TABLE)
        described = write_sections(path, slices, first=self.first, names=names, cells=numbers)
        if numbers is not None:
            voxel = None if prediction.voxel is None else math.prod(prediction.voxel.edges)
            path = self.writer.path(WHOLE_TABLE)
            write_cells(path, described, numbers[1:], shape=prediction.shape, voxel=voxel)
            pairs, evidence = (np.load(path) for path in self._edges)
            decisions = weigh_decisions(pairs, evidence, numbers)
            path = self.writer.path(LINKS)
            write_links(path, decisions, sections=described, numbers=numbers)
