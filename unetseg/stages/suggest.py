"""`unetseg suggest`: where to label next."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from unetseg.arrays.labelling import UNCOUNTED
from unetseg.arrays.suggesting import Grid, Place, choose_places, free_patches, patch_means
from unetseg.artifacts.ancestry import describe_model, slices_seen_by
from unetseg.artifacts.finding import find_model
from unetseg.artifacts.manifest import Seen
from unetseg.artifacts.suggestions import TABLE, read_places, rows_of, write_places
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.ensemble import Ensemble, Member, Treatment
from unetseg.engine.machine import parse_memory
from unetseg.engine.prediction import open_model
from unetseg.errors import InputError, UsageError
from unetseg.figures.suggestions import Patch, draw_suggestions
from unetseg.options import (
    APART,
    APART_NM,
    PLACE,
    SMALLEST_PLACE,
    LabelOptions,
    SuggestOptions,
    flag_of,
)
from unetseg.progress import Progress, StageResult
from unetseg.stacks.labels import Labels, open_labels
from unetseg.stacks.opening import find_stack, open_volume
from unetseg.stacks.pieces import TiffPieces
from unetseg.stacks.understanding import understand
from unetseg.stacks.volume import Volume, check_same_shape, name_slices
from unetseg.stacks.voxel import Voxel
from unetseg.stages.stackchecks import parse_voxel, say_remarks, warn_of_stack

PICTURE = "suggestions.png"
# Where models disagree, until the places to draw are known; hidden, so that it is not published.
DRAFT = ".spread.tif"


def suggest(options: SuggestOptions, progress: Progress) -> StageResult:
    """Find the patches in which models are least sure, far from labels and from each other.

    Parameters
    ----------
    options : SuggestOptions
    progress : Progress

    Returns
    -------
    StageResult
        Its data are the `places`, rows of suggestions.csv.

    Raises
    ------
    InputError
        If a model, the volume or labels cannot be read, or there is no place to suggest.
    UsageError
        If the options contradict each other, or the volume is separate micrographs, not a stack.
    """
    memory = parse_memory(options.memory)
    _check(options)
    treatment = Treatment(
        tta=options.tta,
        invert=options.invert,
        rescale=options.rescale,
        voxel=parse_voxel(options.voxel),
    )
    folders = [find_model(path) for path in options.model]
    models = [open_model(folder) for folder in folders]
    known = list(zip(options.model, models, strict=True))
    paths = [find_stack(options.volume, "train-volume.tif")]
    if options.labels is not None:
        paths.append(find_stack(options.labels, "train-labels.tif"))
    seen = [Seen.of(path) for path in paths]
    with (
        open_volume(paths[0]) as volume,
        _open_labels(paths[1:], volume, options, treatment) as labels,
        StageWriter(
            options.output,
            stage="suggest",
            options=options.recorded(),
            inputs=[*seen, *models],
            names=[TABLE, PICTURE],
        ) as writer,
    ):
        if not options.force and writer.is_current():
            places = read_places(options.output)
            return dataclasses.replace(writer.nothing_to_do(), data={"places": rows_of(places)})
        warn_of_stack(volume, known, treatment, progress)
        if labels is not None:
            say_remarks(progress, labels.source)
        else:
            _warn_of_slices_seen(volume, slices_seen_by(models, writer.inputs[0].sha256), progress)
        ensemble = Ensemble([Member.load(folder) for folder in folders], treatment)
        writer.check_inputs()  # the networks are those of the manifests
        shape = (volume.shape[1], volume.shape[2])
        patch = options.patch or max(SMALLEST_PLACE, min(PLACE, min(shape) // 2))
        search = _Search(
            volume,
            labels,
            ensemble,
            Grid.of(shape, patch=patch),
            edge=ensemble.largest_box(memory=memory, overhead=volume.overhead),
            draft=writer.path(DRAFT),
        )
        apart = options.apart or _slices_apart(treatment.voxel_of(volume))
        places = list(islice(search.places(apart=apart, progress=progress), options.count))
        _warn_if_fewer(volume, len(places), options.count, progress)
        write_places(writer.path(TABLE), places)
        draw_suggestions(writer.path(PICTURE), search.patches(places), count=len(places))
        writer.details = {"apart": apart, "patch": patch}
        read = [f"{name}: {describe_model(model)}" for name, model in known]
        read += [str(stack) for stack in (volume, labels) if stack is not None]
    notes = [_describe(rank, place) for rank, place in enumerate(places, start=1)]
    return writer.result(read, notes=notes, data={"places": rows_of(places)})


def _check(options: SuggestOptions) -> None:
    """Raise a UsageError if options contradict each other."""
    if not options.tta and len(options.model) < 2:
        raise UsageError(
            "--no-tta: expected several models, to be compared with each other, found one; leave "
            "it out, or give --model several times"
        )
    for field in dataclasses.fields(LabelOptions):
        if options.labels is None and getattr(options, field.name) != field.default:
            raise UsageError(
                f"--{flag_of(field.name)}: expected with --labels, of which it says something, "
                "found without; leave it out"
            )


@contextmanager
def _open_labels(
    paths: list[Path], volume: Volume, options: SuggestOptions, treatment: Treatment
) -> Iterator[Labels | None]:
    """Open the labels, if there are any, and check that they fit the stack.

    Raises
    ------
    InputError
        If they do not.
    UsageError
        If the volume is separate micrographs.
    """
    if volume.separate:
        raise UsageError(
            f"--volume: expected slices of one stack, found separate micrographs in {volume.path}; "
            "give one of them"
        )
    if not paths:
        yield None
        return
    with open_labels(paths[0], understand(options, treatment.voxel_of(volume))) as labels:
        check_same_shape(volume, labels)
        yield labels


def _warn_of_slices_seen(volume: Volume, slices: list[int], progress: Progress) -> None:
    """Warn of slices that models have learned from: they are labelled, at least in part."""
    if slices:
        progress.warn(
            f"{volume.path}: models have learned from {name_slices(slices)}; give --labels, so "
            "that what is labelled there is not suggested"
        )


def _warn_if_fewer(volume: Volume, found: int, wanted: int, progress: Progress) -> None:
    """Warn if there is no room for as many places as were asked for."""
    if found < wanted:
        progress.warn(
            f"{volume.path}: only {found} of {wanted} places fit into tissue without labels; "
            "a smaller --patch finds more"
        )


def _slices_apart(voxel: Voxel | None) -> int:
    """Default number of slices after which tissue looks different."""
    return APART if voxel is None else max(1, round(APART_NM / voxel.z))


def _describe(rank: int, place: Place) -> str:
    """Describe a place in a line for people."""
    size = f"{place.height} x {place.width}"
    where = f"slice {place.index}, y {place.top}, x {place.left}"
    return f"{rank}: {where} ({size}), score {place.score:.4f}"


class _Search:
    """A search for places to label.

    Parameters
    ----------
    volume : Volume
    labels : Labels or None
    ensemble : Ensemble
    grid : Grid
    edge : int
        Edge of the largest piece that may be predicted at once, in pixels.
    draft : Path
        File to create for the disagreement of models.
    """

    def __init__(
        self,
        volume: Volume,
        labels: Labels | None,
        ensemble: Ensemble,
        grid: Grid,
        *,
        edge: int,
        draft: Path,
    ) -> None:
        self._volume, self._labels, self._ensemble = volume, labels, ensemble
        self._grid, self._draft = grid, draft
        self._pieces = ensemble.plan(volume, edge=edge, multiple=1)

    def places(self, *, apart: float, progress: Progress) -> Iterator[Place]:
        """Predict the slices that have free patches; return places to label, the best one first."""
        free, labelled = self._look()
        if not free.any():
            raise InputError(
                self._volume.path,
                expected="a patch of tissue without labels",
                found="none" if self._labels is None else f"labels in all, of {self._labels.path}",
                remedy="give a smaller --patch"
                if self._labels is None
                else "give a smaller --patch, or say with --unlabelled what is not labelled",
            )
        scores, membrane = np.zeros((2, *free.shape), np.float32)
        pieces = [piece for piece in self._pieces if free[piece.index].any()]
        tracked = progress.track(
            pieces,
            total=round(sum(piece.pixels for piece in pieces) / 1e6, 2),
            label="suggest",
            unit="megapixel",
            size=lambda piece: piece.pixels / 1e6,
        )
        with TiffPieces(self._draft, shape=self._volume.shape) as draft:
            for index, group in groupby(tracked, key=lambda piece: piece.index):
                unsure, lined = np.zeros((2, *self._grid.blocks), np.float32)
                for piece in group:
                    likely, spread = self._ensemble.membrane_and_spread(self._volume, piece)
                    draft.write(piece, spread)
                    unsure += self._grid.sum_blocks(spread, piece.box)
                    lined += self._grid.sum_blocks(likely, piece.box)
                scores[index] = patch_means(unsure, self._grid)
                membrane[index] = patch_means(lined, self._grid)
        return choose_places(scores, membrane, free, labelled, self._grid, apart=apart)

    def _look(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Find which patches are free, and which blocks are labelled, slice by slice."""
        free, labelled = [], []
        for index, group in groupby(self._pieces, key=lambda piece: piece.index):
            tissue, marked = np.zeros((2, *self._grid.blocks), np.float32)
            for piece in group:
                shown = ~self._volume.missing(index, piece.box)
                tissue += self._grid.sum_blocks(shown, piece.box)
                if self._labels is not None:
                    known = self._labels.read(index, piece.box) != UNCOUNTED
                    marked += self._grid.sum_blocks(known, piece.box)
            free.append(free_patches(tissue, marked, self._grid))
            labelled.append(marked > 0)
        return np.stack(free), np.stack(labelled)

    def patches(self, places: list[Place]) -> Iterator[Patch]:
        """Yield every place with its image and the disagreement of models."""
        with open_volume(self._draft) as spread:
            for place in places:
                image = self._volume.part(place.index, place.box)
                yield place, image, spread.read(place.index, place.box)
