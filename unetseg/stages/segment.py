"""`unetseg segment`: single cells with a number each, and tables of their sizes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from unetseg.arrays.decisions import weigh_decisions
from unetseg.artifacts.binarystack import binary_name, write_binary
from unetseg.artifacts.celltables import write_cells, write_sections
from unetseg.artifacts.finding import LINKS, find_prediction, zero_is_missing
from unetseg.artifacts.linktable import write_links
from unetseg.artifacts.manifest import Seen
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.blocks import LAYOUT, Segmenter, Target, Watershed, forget
from unetseg.engine.blocksteps import LABEL_BYTES, BlockSteps
from unetseg.engine.cluster import SECONDS_TO_APPEAR, check_written, hasher_of
from unetseg.engine.machine import parse_memory
from unetseg.options import SegmentOptions
from unetseg.progress import Progress, StageResult
from unetseg.stacks.micrographs import Micrographs
from unetseg.stacks.opening import open_volume
from unetseg.stacks.pieces import TiffPieces
from unetseg.stacks.tiffwriter import IMAGEJ_LIMIT, label_dtype
from unetseg.stacks.volume import ImprobableError, Volume, is_zarr
from unetseg.stages.linkchoice import choose_link
from unetseg.stages.stackchecks import check_name, names_of_results

LABELS = "labels.tif"
LARGE_LABELS = "labels.ome.zarr"
TABLE = "cells.csv"
WHOLE_TABLE = "cells-3d.csv"
DRAFTS = ".blocks"  # hidden, so that they are not published


def segment(options: SegmentOptions, progress: Progress) -> StageResult:
    """Turn a prediction into labelled cells, slice by slice.

    Every section of a cell has a number of its own in the whole stack, unless sections are linked,
    see `choose_link`: then all sections of a cell have the same number. Each of separate
    micrographs has labels in a file named after it, with numbers from 1, as if it were alone.

    Large slices are segmented in blocks, see `unetseg.engine.blocks`. What an interrupted run has
    done is kept, and the same call resumes from there.

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
        If the prediction cannot be read, or does not hold probabilities.
    UsageError
        If sections of separate micrographs are to be linked, or memory does not suffice.
    """
    memory = parse_memory(options.memory)
    path = find_prediction(options.prediction)
    seen, known = Seen.of(path), zero_is_missing(path)
    with open_volume(path) as prediction:
        link, notes = choose_link(options.link, prediction, zero_is_missing=known)
        name = _name(options, prediction)
        labels = names_of_results(prediction, name, given=options.name, scheduler=options.scheduler)
        with StageWriter(
            options.output,
            stage="segment",
            options={**options.recorded(), "link": link, "name": None if name == LABELS else name},
            inputs=[seen],
            names=[*labels, *_beside(options, prediction, link=link)],
            resumable=True,
            hasher=hasher_of(options.scheduler, progress),
            conditions={"layout": dataclasses.asdict(LAYOUT)},
        ) as writer:
            if options.force:
                writer.begin_anew()
            elif writer.is_current():
                return writer.nothing_to_do()
            segmenter = Segmenter(
                prediction=prediction.path.resolve(),
                drafts=writer.path(DRAFTS).resolve(),
                watershed=_watershed(options, zero_is_missing=known),
                layout=LAYOUT,
                identity=json.dumps(writer.identity()),
                linked=link,
                patience=SECONDS_TO_APPEAR if options.scheduler else 0,
            )
            steps = BlockSteps(
                prediction=prediction,
                segmenter=segmenter,
                memory=memory,
                most=options.jobs,
                scheduler=options.scheduler,
                progress=progress,
            )
            try:
                found = _run(steps, writer, labels)
                if options.binary:
                    write_binary(writer, labels, separate=prediction.separate)
            except KeyboardInterrupt:
                progress.say("run the same command to resume")
                raise
            except ImprobableError:
                writer.begin_anew()
                raise
            finally:
                forget()
        read = [str(prediction)]
    notes = [f"{found}; pixels between them are 0", *notes]
    return writer.result(read, notes=notes, data={"seconds": steps.seconds})


def _name(options: SegmentOptions, prediction: Volume) -> str:
    """Name of the labels of a stack; its ending decides the format."""
    large = not prediction.separate and math.prod(prediction.shape) * LABEL_BYTES > IMAGEJ_LIMIT
    name = options.name or (LARGE_LABELS if options.scheduler or large else LABELS)
    check_name(name, options.scheduler)
    if is_zarr(Path(name)):
        from unetseg.stacks.omezarr import import_zarr

        import_zarr()  # raises now if it is missing
    return name


def _watershed(options: SegmentOptions, *, zero_is_missing: bool) -> Watershed:
    names = [field.name for field in dataclasses.fields(Watershed)]
    given = {name: value for name, value in vars(options).items() if name in names}
    return Watershed(**given, zero_is_missing=zero_is_missing)


def _beside(options: SegmentOptions, prediction: Volume, *, link: bool) -> list[str]:
    """Names of what is written beside the labels."""
    linked = [WHOLE_TABLE, LINKS] if link else []
    binary = [binary_name(separate=prediction.separate)] if options.binary else []
    return [TABLE, *linked, *binary]


def _run(steps: BlockSteps, writer: StageWriter, names: Sequence[str]) -> str:
    """Run all steps; return what was found, in words."""
    steps.segment(result=_least_bytes(steps.prediction, names))
    totals = steps.join()
    sections = sum(totals)
    numbers = steps.link(sections) if steps.segmenter.linked else None
    cells = sections if numbers is None else int(numbers.max())
    if isinstance(steps.prediction, Micrographs):
        _write_each(steps, writer, names, steps.prediction, totals)
    else:
        _write_stack(steps, writer, names[0], cells)
    _write_tables(steps, writer, numbers)
    return f"{cells} cells" + ("" if numbers is None else f" of {sections} sections")


def _least_bytes(prediction: Volume, names: Sequence[str]) -> int:
    """Least number of bytes that the labels take, to check for room before the work is done."""
    if is_zarr(Path(names[0])):
        from unetseg.stacks.omezarr import least_bytes

        return least_bytes(prediction.shape, np.uint32)
    sizes = (prediction.own_size(index) for index in range(len(prediction)))
    return sum(height * width for height, width in sizes) * np.dtype(label_dtype(0)).itemsize


def _write_stack(steps: BlockSteps, writer: StageWriter, name: str, cells: int) -> None:
    """Write the labels of a stack."""
    shape, voxel, path = steps.prediction.shape, steps.prediction.voxel, writer.path(name)
    zarr = is_zarr(Path(name))
    dtype = np.dtype(np.uint32 if zarr else label_dtype(cells)).name
    writer.describe(name, shape=shape, dtype=dtype, axes="ZYX")
    target = Target(dtype, shape, path.resolve() if zarr else None)
    if not zarr:
        with TiffPieces(path, shape=shape, dtype=dtype, colours=cells, voxel=voxel) as tiff:
            for block, pixels in steps.write(steps.unwritten(tiff.has), target):
                tiff.write(steps.piece(block), pixels)
        return
    from unetseg.stacks.omezarr import ZarrPieces

    chunk = steps.segmenter.layout.multiple
    with ZarrPieces(path, shape=shape, dtype=dtype, chunk=chunk, voxel=voxel) as out:
        missing = steps.unwritten(out.has)
        for _, chunks in steps.write(missing, target):
            out.record(chunks)
        steps.check_counted(missing)
        pieces = [steps.piece(block) for block in steps.blocks]
        check_written(pieces, out.absent, where=path, by_others=steps.scheduler is not None)


def _write_each(
    steps: BlockSteps,
    writer: StageWriter,
    names: Sequence[str],
    micrographs: Micrographs,
    totals: list[int],
) -> None:
    """Write labels of every micrograph, as if it were alone."""
    # All of one type, so that their folder can be opened as one stack.
    dtype = np.dtype(label_dtype(max(totals))).name
    done = steps.write(steps.blocks, Target(dtype, micrographs.shape, None))
    for z, blocks in groupby(done, key=lambda result: result[0].index):
        with micrographs.alone(z) as alone:
            shape, voxel = alone.shape, alone.voxel
        writer.describe(names[z], shape=shape, dtype=dtype, axes="ZYX")
        path = writer.path(names[z])
        path.unlink(missing_ok=True)  # begun by a run that was killed
        with TiffPieces(path, shape=shape, dtype=dtype, colours=totals[z], voxel=voxel) as out:
            for block, pixels in blocks:
                out.write(dataclasses.replace(steps.piece(block), index=0), pixels)


def _write_tables(
    steps: BlockSteps, writer: StageWriter, numbers: npt.NDArray[np.int64] | None
) -> None:
    """Write the tables of sections and, if they are linked, of cells."""
    prediction = steps.prediction
    names = prediction.names if prediction.separate else None
    sections = write_sections(
        writer.path(TABLE), steps.tallies(), first=steps.first, names=names, cells=numbers
    )
    if numbers is not None:
        voxel = None if prediction.voxel is None else math.prod(prediction.voxel.edges)
        path = writer.path(WHOLE_TABLE)
        write_cells(path, sections, numbers[1:], shape=prediction.shape, voxel=voxel)
        decisions = weigh_decisions(*steps.edges(), numbers)
        write_links(writer.path(LINKS), decisions, sections=sections, numbers=numbers)
