"""`unetseg augment`: all slices as they are, then altered copies of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.augmentation import IDENTITY, Recipe, Strengths, apply_recipe, draw_recipe
from unetseg.arrays.elastic import find_engine
from unetseg.arrays.labelling import MISSING, UNCOUNTED
from unetseg.arrays.tissue import HIGH, LOW
from unetseg.artifacts.manifest import MANIFEST, Manifest, Seen, matches, open_stage, written_by
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.parallel import ordered_map
from unetseg.errors import InputError
from unetseg.options import AugmentOptions, LabelOptions
from unetseg.progress import Progress, StageResult
from unetseg.running import command_line, read_settings
from unetseg.stacks.tiffwriter import LabelsWriter, create_stack
from unetseg.stacks.volume import Volume
from unetseg.stages.sources import Sources, find_pairs, open_sources
from unetseg.stages.stackchecks import dark_lines

Pair = tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]

PREVIEW = "preview.png"
# The deforming engine is recorded among the options: it decides the last bits of a result.
ENGINE = "elastic_engine"
PREVIEW_ORIGINALS, PREVIEW_COPIES = 3, 3

DEFORMED_BY = {
    "elasticdeform": "deformed by elasticdeform",
    "splines": "deformed by splines of unetseg: elasticdeform cannot be imported",
}


@dataclass(frozen=True)
class Copy:
    """A slice of the result.

    Attributes
    ----------
    image, label : (H, W)
        Pixels without tissue are middle grey, and do not count.
    grey : (float, float)
        5th and 95th percentile of tissue.
    """

    image: npt.NDArray[Any]
    label: npt.NDArray[np.uint8]
    grey: tuple[float, float]


def augment(options: AugmentOptions, progress: Progress) -> StageResult:
    """Write the originals and their augmented copies.

    Slice i of the result is original i if i is below n, the number of slices; otherwise it is copy
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
    UsageError
        If the options that describe them make no sense.
    """
    if options.only is not None:
        options = _as_recorded(options)
    pairs = find_pairs(options)
    seen = [Seen.of(path) for pair in pairs for path in pair]
    if options.only is not None:
        return _augment_one(options, seen, options.only, pairs)
    with open_sources(options, pairs, invert=options.invert) as sources:
        return _augment_all(options, seen, sources, progress)


def _augment_all(
    options: AugmentOptions,
    seen: list[Seen],
    sources: Sources,
    progress: Progress,
) -> StageResult:
    engine, volume = find_engine(), sources.volume
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
        numbers, recipes = _plan(options, volume.shape)
        sources.check(progress)
        copies = progress.track(
            _make(sources, numbers, recipes, engine=engine, jobs=options.jobs),
            total=len(numbers),
            label="augment",
            unit="slice",
        )
        shape = (len(numbers), *volume.shape[1:])
        shown = _write(writer, copies, shape=shape, dtype=volume.dtype, originals=len(volume))
        if options.preview:
            from unetseg.figures.preview import draw_preview

            draw_preview(writer.path(PREVIEW), shown)
        writer.details.update(
            volumes=sources.describe(),
            sources=numbers,
            recipes=[dataclasses.asdict(recipe) for recipe in recipes],
            synthetic=all(written_by(one.path, "synthesize") for one in seen),
            voxel=None if sources.voxel is None else sources.voxel.edges,
            dark_lines=round(dark_lines(volume), 4),
        )
    return writer.result(
        sources.lines(),
        notes=[
            f"{len(volume)} originals, then {options.copies} "
            f"{'copy' if options.copies == 1 else 'copies'} of each",
            DEFORMED_BY[engine],
            *sources.notes(),
        ],
    )


def _augment_one(
    options: AugmentOptions, seen: list[Seen], number: int, pairs: list[tuple[Path, Path]]
) -> StageResult:
    """Make one slice again, by the recipe in the finished folder if there is one."""
    whole = None
    recorded = {**options.recorded(), ENGINE: find_engine()}
    if (options.output / MANIFEST).exists():
        whole = open_stage(options.output, stage="augment", fresh=True)
        recorded = _recorded(options, whole, [one.path for one in seen])
    with open_sources(options, pairs, invert=recorded.get("invert", False)) as sources:
        numbers, recipes = (
            _plan(options, sources.volume.shape) if whole is None else _planned(whole)
        )
        if number >= len(numbers):
            raise InputError(
                options.output,
                expected=f"a slice number {number} for --only",
                found=f"{len(numbers)} slices, counted from 0",
                remedy="choose a lower number or more --copies",
            )
        source, recipe = numbers[number], recipes[number]
        with StageWriter(
            options.output.with_name(f"{options.output.name}-{number}"),
            stage="augment --only",
            options={**recorded, "only": number},
            inputs=seen,
            names=["volume.tif", "labels.tif"],
        ) as writer:
            copies = _make(sources, [source], [recipe], engine=recorded[ENGINE], jobs=1)
            shape = (1, *sources.volume.shape[1:])
            _write(writer, copies, shape=shape, dtype=sources.volume.dtype, originals=1)
            writer.details.update(source=source, recipe=dataclasses.asdict(recipe))
        return writer.result(
            sources.lines(), notes=[f"slice {number} is made from source slice {source}"]
        )


def _recorded(options: AugmentOptions, whole: Manifest, paths: list[Path]) -> dict[str, Any]:
    """Options of the finished folder; raise an InputError if its slices cannot be made again."""
    for path, source in zip_longest(paths, whole.inputs):
        if path is None or source is None or not matches(path, source):
            raise InputError(
                path or options.output,
                expected=f"the stack that {options.output} was made from",
                found="another" if path and source else "another number of them",
                remedy="choose another --output",
            )
    # Before the engine was recorded, splines were the only one.
    recorded = {ENGINE: "splines", **whole.options}
    if recorded[ENGINE] not in ("splines", find_engine()):
        raise InputError(
            options.output,
            expected=f"the package {recorded[ENGINE]}, which made these slices",
            found="none that can be imported",
            remedy="docs/augmentation.md says how to install it",
        )
    return recorded


def _planned(whole: Manifest) -> tuple[list[int], list[Recipe]]:
    """Source slice and recipe of every slice of the finished folder."""
    sources = [int(source) for source in whole.details["sources"]]
    return sources, [Recipe(**recipe) for recipe in whole.details["recipes"]]


def _as_recorded(options: AugmentOptions) -> AugmentOptions:
    """Return the options, with labels interpreted as for the finished folder, if there is one."""
    path = options.output / MANIFEST
    recorded = Manifest.read(path).options if path.exists() else {}
    names = [*(field.name for field in dataclasses.fields(LabelOptions)), "voxel"]
    settings = {name: recorded[name] for name in names if name in recorded}
    read = read_settings("augment", settings, origin=f"{path}: ")
    return dataclasses.replace(options, **{name: getattr(read, name) for name in settings})


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
    sources: Sources, numbers: list[int], recipes: list[Recipe], *, engine: str, jobs: int
) -> Iterator[Copy]:
    ranges = sources.grey_ranges()
    tasks = (
        (recipe, *_read(sources.volume, sources.labels, number), *ranges[number])
        for number, recipe in zip(numbers, recipes, strict=True)
    )
    return ordered_map(partial(_make_copy, engine=engine), tasks, jobs=jobs)


def _read(
    volume: Volume, labels: Volume, index: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Return a slice and its label, with pixels without tissue marked in the label."""
    image, label = volume[index], labels[index]
    tissue = volume.tissue(index)
    if tissue.share_missing:
        height, width = image.shape
        missing = tissue.missing((slice(0, height), slice(0, width)), image)
        label = np.where(missing, MISSING, label)
        # Middle grey, so that deformation does not smear missing pixels over tissue.
        image = np.where(missing, (tissue.low + tissue.high) / 2, image).astype(image.dtype)
    return image, label


def _make_copy(
    task: tuple[Recipe, npt.NDArray[Any], npt.NDArray[np.uint8], float, float], *, engine: str
) -> Copy:
    recipe, image, label, darkest, brightest = task
    if not np.any((label != UNCOUNTED) & (label != MISSING)):
        recipe = IDENTITY  # nobody trains on it
    image, label = apply_recipe(recipe, image, label, low=darkest, high=brightest, engine=engine)
    missing = label == MISSING
    shown = image[~missing]
    low, high = (float(p) for p in np.percentile(shown, (LOW, HIGH))) if shown.size else (0.0, 0.0)
    image[missing] = (low + high) / 2
    label[missing] = UNCOUNTED
    return Copy(image, label, (low, high))


def _write(
    writer: StageWriter,
    copies: Iterable[Copy],
    *,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    originals: int,
) -> list[list[Pair]]:
    """Write both stacks; return a row of pairs for each original of the preview.

    Originals without labels are left out: there is nothing to see on them.
    """
    for name, kind in (("volume.tif", dtype), ("labels.tif", np.dtype(np.uint8))):
        writer.describe(name, shape=shape, dtype=kind, axes="ZYX")
    shown: dict[int, list[Pair]] = {}
    ranges = []
    with (
        create_stack(writer.path("volume.tif"), shape=shape, dtype=dtype) as volume,
        LabelsWriter(writer.path("labels.tif"), shape=shape) as labels,
    ):
        for number, copy in enumerate(copies):
            volume.append(copy.image)
            labels.append(copy.label)
            ranges.append(copy.grey)
            source = number % originals
            wanted = number == source and len(shown) < PREVIEW_ORIGINALS
            if wanted and (copy.label != UNCOUNTED).any():
                shown[source] = []
            if source in shown and len(shown[source]) <= PREVIEW_COPIES:
                shown[source].append((copy.image, copy.label))
    writer.details["grey_ranges"] = ranges
    return list(shown.values())
