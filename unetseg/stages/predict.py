"""`unetseg predict`: the probability of cell interior for every pixel of new slices."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetseg.artifacts.ancestry import describe_model, slices_seen_by
from unetseg.artifacts.finding import ZERO_IS_MISSING, find_model
from unetseg.artifacts.manifest import Seen
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.cluster import Job, check_written, hasher_of, predict_on_cluster
from unetseg.engine.ensemble import Ensemble, Member, Treatment
from unetseg.engine.machine import parse_memory, peak_memory
from unetseg.engine.prediction import open_model
from unetseg.options import PredictOptions
from unetseg.progress import Progress, StageResult
from unetseg.running import command_line
from unetseg.stacks.files import replacing
from unetseg.stacks.micrographs import Micrographs
from unetseg.stacks.omezarr import ZarrPieces
from unetseg.stacks.opening import find_stack, open_volume
from unetseg.stacks.pieces import Piece, PieceWriter, TiffPieces
from unetseg.stacks.volume import Volume, is_zarr
from unetseg.stages.stackchecks import (
    check_name,
    name_of_result,
    names_of_results,
    parse_voxel,
    warn_of_stack,
)

DEFAULT_NAME = "prediction.tif"
EDGE = ".edge"  # of the pieces, in pixels; hidden, so that it is not published


def predict(options: PredictOptions, progress: Progress) -> StageResult:
    """Predict slices of any number and size with one or several trained models.

    Each image of a folder of separate micrographs is predicted as if it were alone, into a file
    named after it.

    Works piece by piece, within the memory allowed. What an interrupted run has written is kept,
    and the same call resumes from there.

    Parameters
    ----------
    options : PredictOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If a model folder is not complete or the volume cannot be read.
    UsageError
        If the options contradict each other.
    """
    memory = parse_memory(options.memory)
    name = _name(options)
    # The name decides the format; the default name depends on --scheduler.
    recorded = {**options.recorded(), "name": None if name == DEFAULT_NAME else name}
    folders = [find_model(path) for path in options.model]
    models = [open_model(folder) for folder in folders]
    known = list(zip(options.model, models, strict=True))
    read = [f"{name}: {describe_model(model)}" for name, model in known]
    volume_path = find_stack(options.volume, "test-volume.tif")
    volume_seen = Seen.of(volume_path)
    with (
        open_volume(volume_path) as volume,
        StageWriter(
            options.output,
            stage="predict",
            options=recorded,
            inputs=[*models, volume_seen],
            names=names_of_results(volume, name, given=options.name, scheduler=options.scheduler),
            resumable=True,
            hasher=hasher_of(options.scheduler, progress),
            next_command=command_line("segment", prediction=options.output),
        ) as writer,
    ):
        if options.force:
            writer.begin_anew()
        elif writer.is_current():
            return writer.nothing_to_do()
        _warn_of_obsolete(writer, progress)
        treatment = Treatment(
            tta=options.tta,
            invert=options.invert,
            rescale=options.rescale,
            voxel=parse_voxel(options.voxel),
        )
        warn_of_stack(volume, known, treatment, progress)
        work = _Work(
            folders=folders,
            volume=volume,
            treatment=treatment,
            memory=memory,
            scheduler=options.scheduler,
        )
        trained_on = slices_seen_by(models, writer.inputs[-1].sha256)
        writer.details.update(
            work.write(writer, name, progress), zero=ZERO_IS_MISSING, trained_on=trained_on
        )
        read.append(str(volume))
    return writer.result(read, notes=["0 is certainly membrane, 1 certainly interior"])


def _warn_of_obsolete(writer: StageWriter, progress: Progress) -> None:
    """Warn of earlier results that will be removed, while they can still be kept."""
    for path in writer.obsolete():
        progress.warn(
            f"{path}: result of an earlier run, removed when this run is finished; to keep it, "
            "press Ctrl-C and choose another --output"
        )


def _name(options: PredictOptions) -> str:
    """Name of the result; its ending decides the format."""
    if options.name is None:
        return "prediction.ome.zarr" if options.scheduler else DEFAULT_NAME
    check_name(options.name, options.scheduler)
    return options.name


def _format(name: str) -> type[PieceWriter]:
    """Return the class that writes a file of that name."""
    return ZarrPieces if is_zarr(Path(name)) else TiffPieces


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What is to be predicted, with which models, and how."""

    folders: list[Path]
    volume: Volume
    treatment: Treatment
    memory: float
    scheduler: str | None

    def write(self, writer: StageWriter, name: str, progress: Progress) -> dict[str, Any]:
        """Predict and write the pieces that are missing; return how fast it was."""
        volume = self.volume
        ensemble = Ensemble([Member.load(folder) for folder in self.folders], self.treatment)
        writer.check_inputs()  # the networks are those of the manifests
        edge = ensemble.largest_box(memory=self.memory, overhead=volume.overhead)
        edge = _recorded_edge(writer.path(EDGE), edge)
        if isinstance(volume, Micrographs):
            return self._write_each(writer, volume, ensemble, edge, progress)
        path, write_to = writer.path(name), _format(name)
        writer.describe(name, shape=volume.shape, dtype="float32", axes="ZYX")
        voxel = self.treatment.voxel_of(volume)
        with write_to(path, shape=volume.shape, voxel=voxel) as output:
            pieces = ensemble.plan(volume, edge=edge, multiple=write_to.multiple)
            missing = [piece for piece in pieces if not output.has(piece)]
            if self.scheduler is not None and isinstance(output, ZarrPieces):
                job = self._job(path, identity=json.dumps(writer.identity()))
                done = predict_on_cluster(self.scheduler, job, missing, output, progress)
            else:
                done = _predict(missing, ensemble, volume, output)
            speed = _follow(
                done,
                missing=sum(piece.pixels for piece in missing),
                total=math.prod(volume.shape),
                progress=progress,
            )
            by_others = self.scheduler is not None
            check_written(pieces, output.absent, where=path, by_others=by_others)
            return speed

    def _write_each(
        self,
        writer: StageWriter,
        volume: Micrographs,
        ensemble: Ensemble,
        edge: int,
        progress: Progress,
    ) -> dict[str, Any]:
        """Do the same for micrographs, each as if it were alone."""
        missing = total = 0
        left: dict[int, list[Piece]] = {}
        for index, name in enumerate(map(name_of_result, volume.names)):
            # All files are created first, so that a full disk is noticed before any work is done.
            with volume.alone(index) as alone, self._open(writer.path(name), alone) as output:
                writer.describe(name, shape=alone.shape, dtype="float32", axes="ZYX")
                pieces = ensemble.plan(alone, edge=edge, multiple=output.multiple)
                left[index] = [piece for piece in pieces if not output.has(piece)]
            missing += sum(piece.pixels for piece in left[index])
            total += sum(piece.pixels for piece in pieces)

        def work() -> Generator[Piece, None, None]:
            for index in filter(left.get, left):
                path = writer.path(name_of_result(volume.names[index]))
                with volume.alone(index) as alone, self._open(path, alone) as output:
                    yield from _predict(left[index], ensemble, alone, output)

        with closing(work()) as done:  # what is written is flushed, whatever ends it
            return _follow(done, missing=missing, total=total, progress=progress)

    def _open(self, path: Path, alone: Volume) -> TiffPieces:
        """Open the result of one micrograph."""
        return TiffPieces(path, shape=alone.shape, voxel=self.treatment.voxel_of(alone))

    def _job(self, output: Path, *, identity: str) -> Job:
        """Describe the work for workers elsewhere, with absolute paths."""
        return Job(
            models=tuple(folder.resolve() for folder in self.folders),
            volume=self.volume.path.resolve(),
            output=output.resolve(),
            shape=self.volume.shape,
            treatment=self.treatment,
            identity=identity,
        )


def _recorded_edge(path: Path, edge: int) -> int:
    """Return the edge of pieces: that of the run being resumed, unless less fits now.

    Other pieces would not match those already written, and all would be predicted again.
    """
    recorded = int(path.read_text()) if path.exists() else edge
    if recorded >= edge:
        with replacing(path) as file:
            file.write(str(edge).encode())
    return min(edge, recorded)


def _predict(
    pieces: list[Piece], ensemble: Ensemble, volume: Volume, output: PieceWriter
) -> Iterator[Piece]:
    """Predict and write pieces in this process."""
    for piece in pieces:
        output.write(piece, ensemble.predict(volume, piece))
        yield piece


def _follow(
    pieces: Iterator[Piece], *, missing: int, total: int, progress: Progress
) -> dict[str, Any]:
    """Run the work to its end, and return how fast it was.

    Parameters
    ----------
    missing, total : int
        Pixels to predict, and of the whole stack.
    """
    if missing < total:
        progress.say(f"resuming: {1 - missing / total:.0%} is done")
    began = time.monotonic()
    try:
        for _ in progress.track(
            pieces,
            total=round(missing / 1e6, 2),
            label="predict",
            unit="megapixel",
            size=lambda piece: piece.pixels / 1e6,
        ):
            pass
    except KeyboardInterrupt:
        progress.say("run the same command to resume")
        raise
    seconds = time.monotonic() - began
    # Only of this run, if it resumed another.
    return {"pixels_per_second": round(missing / seconds), "peak_memory_bytes": peak_memory()}
