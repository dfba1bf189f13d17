"""`unetseg augment`: every slice as it is, then its altered copies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.augmentation import IDENTITY, Recipe, Strengths, apply_recipe, draw_recipe
from unetseg.arrays.elastic import find_engine
from unetseg.artifacts.manifest import MANIFEST, Seen, matches, open_stage, written_by
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.parallel import ordered_map
from unetseg.errors import InputError
from unetseg.options import AugmentOptions
from unetseg.progress import Progress, StageResult
from unetseg.running import command_line
from unetseg.stacks.opening import find_stack, open_volume
from unetseg.stacks.tiffwriter import create_stack
from unetseg.stacks.views import Inverted
from unetseg.stacks.volume import Volume, check_same_shape, label_values
from unetseg.stages.inputchecks import dark_lines, parse_voxel, warn_of_input

Pair = tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]

BLACK, WHITE = np.uint8(0), np.uint8(255)  # labels: membrane, interior

PREVIEW = "preview.png"
# Of the distance between the percentiles of tissue: in ISBI 2012 this is the range of 8 bits.
BEYOND = 0.4

# What deforms is recorded among the options, because it decides the last bits of a result.
ENGINE = "elastic_engine"
PREVIEW_ORIGINALS, PREVIEW_COPIES = 3, 3

DEFORMED_BY = {
    "elasticdeform": "deformed by elasticdeform",
    "splines": "deformed by splines of unetseg: elasticdeform cannot be imported",
}


def augment(options: AugmentOptions, progress: Progress) -> StageResult:
    """Write the originals and their augmented copies.

    Slice number i of the result is original i for i below the number of slices n, and else copy
    i // n of slice i % n.

    Parameters
    ----------
    options : AugmentOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If the stacks do not fit each other or cannot be read.
    """
    volume_path = find_stack(options.volume, "train-volume.tif")
    labels_path = find_stack(options.labels, "train-labels.tif")
    seen = [Seen.of(volume_path), Seen.of(labels_path)]
    with open_volume(volume_path) as stack, open_volume(labels_path) as labels:
        volume = Inverted(stack) if options.invert else stack
        check_same_shape(volume, labels)
        if options.only is None:
            return _augment_all(options, seen, volume, labels, progress)
        return _augment_one(options, seen, options.only, volume, labels)


def _augment_all(
    options: AugmentOptions,
    seen: list[Seen],
    volume: Volume,
    labels: Volume,
    progress: Progress,
) -> StageResult:
    engine = find_engine()
    with StageWriter(
        options.output,
        stage="augment",
        options={**options.recorded(), ENGINE: engine},
        inputs=seen,
        names=["volume.tif", "labels.tif", PREVIEW],
        next_command=command_line("preprocess", input=options.output),
    ) as writer:
        if not options.force and writer.is_current():
            return writer.nothing_to_do()
        sources, recipes = _plan(options, volume.shape)
        voxel = parse_voxel(options.voxel) or volume.voxel
        interior = _interior(volume, labels)
        warn_of_input(volume, labels, interior=interior, progress=progress)
        copies = progress.track(
            _make(
                volume,
                labels,
                sources,
                recipes,
                interior=interior,
                engine=engine,
                jobs=options.jobs,
            ),
            total=len(sources),
            label="augment",
            unit="slice",
        )
        shape = (len(sources), *volume.shape[1:])
        shown = _write(writer, copies, shape=shape, dtype=volume.dtype, originals=len(volume))
        if options.preview:
            from unetseg.figures.preview import draw_preview

            draw_preview(writer.path(PREVIEW), shown)
        writer.details.update(
            sources=sources,
            recipes=[dataclasses.asdict(recipe) for recipe in recipes],
            synthetic=written_by(volume.path, "synthesize"),
            voxel=None if voxel is None else voxel.edges,
            dark_lines=round(dark_lines(volume), 4),
        )
    return writer.result(
        [str(volume), str(labels)],
        notes=[
            f"{len(volume)} originals, then {options.copies} "
            f"{'copy' if options.copies == 1 else 'copies'} of each",
            DEFORMED_BY[engine],
        ],
    )


def _augment_one(
    options: AugmentOptions, seen: list[Seen], number: int, volume: Volume, labels: Volume
) -> StageResult:
    """Make one slice again, by the recipe in the finished folder if there is one."""
    if (options.output / MANIFEST).exists():
        recorded, sources, recipes = _recorded_plan(options, volume, labels)
    else:
        recorded = {**options.recorded(), ENGINE: find_engine()}
        sources, recipes = _plan(options, volume.shape)
    if number >= len(sources):
        raise InputError(
            options.output,
            expected=f"a slice number {number} for --only",
            found=f"{len(sources)} slices, counted from 0",
            remedy="choose a lower number or more --copies",
        )
    source, recipe = sources[number], recipes[number]
    with StageWriter(
        options.output.with_name(f"{options.output.name}-{number}"),
        stage="augment --only",
        options={**recorded, "only": number},
        inputs=seen,
        names=["volume.tif", "labels.tif"],
    ) as writer:
        copies = _make(
            volume,
            labels,
            [source],
            [recipe],
            interior=_interior(volume, labels),
            engine=recorded[ENGINE],
            jobs=1,
        )
        shape = (1, *volume.shape[1:])
        _write(writer, copies, shape=shape, dtype=volume.dtype, originals=1)
        writer.details.update(source=source, recipe=dataclasses.asdict(recipe))
    return writer.result(
        [str(volume), str(labels)],
        notes=[f"slice {number} is made from source slice {source}"],
    )


def _recorded_plan(
    options: AugmentOptions, volume: Volume, labels: Volume
) -> tuple[dict[str, Any], list[int], list[Recipe]]:
    """Options, sources and recipes of the finished folder, if its slices can be made again."""
    whole = open_stage(options.output, stage="augment", fresh=True)
    for stack, source in zip((volume, labels), whole.inputs, strict=True):
        if not matches(stack.path, source):
            raise InputError(
                stack.path,
                expected=f"the stack that {options.output} was made from",
                found="another",
                remedy="choose another --output",
            )
    # Before it was recorded, there were the splines alone.
    recorded = {ENGINE: "splines", **whole.options}
    if recorded[ENGINE] not in ("splines", find_engine()):
        raise InputError(
            options.output,
            expected=f"the package {recorded[ENGINE]}, which made these slices",
            found="none that can be imported",
            remedy="docs/augmentation.md says how to install it",
        )
    sources = [int(source) for source in whole.details["sources"]]
    return recorded, sources, [Recipe(**recipe) for recipe in whole.details["recipes"]]


def _plan(options: AugmentOptions, shape: tuple[int, int, int]) -> tuple[list[int], list[Recipe]]:
    """Source slice and recipe of every slice of the result."""
    names = [field.name for field in dataclasses.fields(Strengths)]
    strengths = Strengths(**{name: getattr(options, name) for name in names})
    numbers = range(shape[0] * (1 + options.copies))
    recipes = [
        IDENTITY
        if number < shape[0]
        else draw_recipe(strengths, shape=shape[1:], seed=options.seed, copy=number)
        for number in numbers
    ]
    return [number % shape[0] for number in numbers], recipes


def _make(
    volume: Volume,
    labels: Volume,
    sources: list[int],
    recipes: list[Recipe],
    *,
    interior: float,
    engine: str,
    jobs: int,
) -> Iterator[Pair]:
    low, high = _grey_range(volume)
    tasks = (
        (recipe, volume[source], np.where(labels[source] == interior, WHITE, BLACK))
        for source, recipe in zip(sources, recipes, strict=True)
    )
    return ordered_map(partial(_make_copy, low=low, high=high, engine=engine), tasks, jobs=jobs)


def _make_copy(
    task: tuple[Recipe, npt.NDArray[Any], npt.NDArray[np.uint8]], **settings: Any
) -> Pair:
    return apply_recipe(*task, **settings)


def _interior(volume: Volume, labels: Volume) -> float:
    """The label inside cells; if there are more than two, it may be that the images have not."""
    try:
        return label_values(labels)[1]
    except InputError as error:
        if len(np.unique(volume[0])) > 2:
            raise
        raise InputError(
            labels.path,
            expected="labels, of two values",
            found=f"{error.found}, and two values in {volume.path}",
            remedy="exchange --volume and --labels",
        ) from error


def _grey_range(volume: Volume) -> tuple[float, float]:
    """Lowest and highest grey level that tissue has, as a rule.

    Of medians of percentiles: neither a hot pixel nor a slice that was charged moves them.
    """
    tissues = [volume.tissue(index) for index in range(len(volume))]
    low, high = (
        float(np.median([getattr(t, name) for t in tissues if not t.lost]))
        for name in ("low", "high")
    )
    margin = BEYOND * (high - low)
    return low - margin, high + margin


def _write(
    writer: StageWriter,
    pairs: Iterable[Pair],
    *,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    originals: int,
) -> list[list[Pair]]:
    """Write both stacks; return a row of pairs for each original of the preview."""
    for name, kind in (("volume.tif", dtype), ("labels.tif", np.dtype(np.uint8))):
        writer.describe(name, shape=shape, dtype=kind, axes="ZYX")
    shown: list[list[Pair]] = [[] for _ in range(min(originals, PREVIEW_ORIGINALS))]
    with (
        create_stack(writer.path("volume.tif"), shape=shape, dtype=dtype) as volume,
        create_stack(writer.path("labels.tif"), shape=shape, dtype=np.uint8) as labels,
    ):
        for number, (image, label) in enumerate(pairs):
            volume.append(image)
            labels.append(label)
            source = number % originals
            if source < len(shown) and len(shown[source]) <= PREVIEW_COPIES:
                shown[source].append((image, label))
    return shown
