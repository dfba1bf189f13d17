"""`unetseg synthesize`: stacks to try everything on, with labels that are known."""

from __future__ import annotations

import numpy as np

from unetseg.arrays.synthetic import synthesize as draw_stack
from unetseg.artifacts.writer import StageWriter
from unetseg.options import SynthesizeOptions
from unetseg.progress import Progress, StageResult
from unetseg.running import command_line


def synthesize(options: SynthesizeOptions, progress: Progress) -> StageResult:
    """Draw a stack to train on and one to predict, each with labels.

    Parameters
    ----------
    options : SynthesizeOptions
    progress : Progress

    Returns
    -------
    StageResult
    """
    stacks = {"train": options.slices, "test": options.test_slices}
    with StageWriter(
        options.output,
        stage="synthesize",
        options=options.recorded(),
        inputs=[],
        names=[f"{part}-{kind}.tif" for part in stacks for kind in ("volume", "labels")],
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
            volume, labels = draw_stack(
                slices=slices, height=options.height, width=options.width, rng=rng
            )
            for kind, stack in (("volume", volume), ("labels", labels)):
                writer.write_stack(
                    f"{part}-{kind}.tif",
                    stack,
                    shape=(slices, options.height, options.width),
                    dtype=np.uint8,
                )
    return writer.result([])
