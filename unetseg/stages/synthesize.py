"""`unetseg synthesize`: stacks to try everything on, with labels and cells that are known."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from unetseg.arrays.synthetic import Stack, draw_stack
from unetseg.arrays.tissuelook import draw_look
from unetseg.artifacts.writer import StageWriter
from unetseg.options import SynthesizeOptions
from unetseg.progress import Progress, StageResult
from unetseg.running import command_line
from unetseg.stacks.tiffwriter import label_dtype
from unetseg.stacks.voxel import Voxel


def synthesize(options: SynthesizeOptions, progress: Progress) -> StageResult:
    """Draw a stack to train on and one to predict, each with labels and cells.

    Parameters
    ----------
    options : SynthesizeOptions
    progress : Progress

    Returns
    -------
    StageResult
    """
    stacks = {"train": options.slices, "test": options.test_slices}
    kinds = ("volume", "labels", "cells")
    looks, notes = {}, []
    with StageWriter(
        options.output,
        stage="synthesize",
        options=options.recorded(),
        inputs=[],
        names=[f"{part}-{kind}.tif" for part in stacks for kind in kinds],
        next_command=command_line(
            "augment",
            volume=options.output / "train-volume.tif",
            labels=options.output / "train-labels.tif",
        ),
    ) as writer:
        if not options.force and writer.is_current():
            return writer.nothing_to_do()
        tracked = progress.track(stacks.items(), total=2, label="synthesize", unit="stack")
        for number, (part, slices) in enumerate(tracked):
            rng = np.random.default_rng([options.seed, number])
            # Drawn from a generator of its own, so that the state of the other does not change.
            look = draw_look(rng.spawn(1)[0], variety=options.variety, pixel=options.pixel_size)
            stack = draw_stack((slices, options.height, options.width), look=look, rng=rng)
            # By default the files are identical to those of versions without voxel sizes.
            voxel = Voxel(*look.voxel) if options.variety or options.pixel_size else None
            _write(writer, part, stack, voxel)
            looks[part] = asdict(look)
            if voxel is not None:
                notes.append(f"{part}: pixels of {voxel.pixel}, sections of {voxel.z:g} nm")
        writer.details = {"looks": looks}
    return writer.result([], notes=notes)


def _write(writer: StageWriter, part: str, stack: Stack, voxel: Voxel | None) -> None:
    shape, count = stack.images.shape, int(stack.cells.max())
    for kind, slices in (("volume", stack.images), ("labels", stack.labels)):
        name = f"{part}-{kind}.tif"
        writer.write_stack(name, slices, shape=shape, dtype=np.uint8, voxel=voxel)
    writer.write_stack(
        f"{part}-cells.tif",
        stack.cells,
        shape=shape,
        dtype=label_dtype(count),
        colours=count,
        voxel=voxel,
    )
