"""`unetseg augment`: every slice as it is, then its altered copies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
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
from unetseg.stacks.labels import Labels, open_labels
from unetseg.stacks.opening import find_stack, open_volume
from unetseg.stacks.tiffwriter import create_stack
from unetseg.stacks.understanding import Understanding, understand
from unetseg.stacks.views import Inverted
from unetseg.stacks.volume import Volume, check_same_shape
from unetseg.stages.inputchecks import warn_of_input
from unetseg.stages.stackchecks import dark_lines, parse_voxel

Pair = tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]

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


@dataclass(frozen=True)
class Copy:
    """A slice of the result.

    Attributes
    ----------
    image, label : (H, W)
        What has no tissue is of middling grey, and does not count.
    grey : (float, float)
        5th and 95th percentile of tissue.
    """

    image: npt.NDArray[Any]
    label: npt.NDArray[np.uint8]
    grey: tuple[float, float]


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
    UsageError
        If what is said of them makes no sense.
    """
    if options.only is not None:
        options = _as_recorded(options)
    volume_path = find_stack(options.volume, "train-volume.tif")
    labels_path = find_stack(options.labels, "train-labels.tif")
    seen = [Seen.of(volume_path), Seen.of(labels_path)]
    voxel = parse_voxel(options.voxel)
    with (
        open_volume(volume_path) as volume,
        _open_labels(labels_path, volume, understand(options, voxel or volume.voxel)) as labels,
    ):
        check_same_shape(volume, labels)
        if options.only is None:
            return _augment_all(options, seen, volume, labels, progress)
        return _augment_one(options, seen, options.only, volume, labels)


def _augment_all(
    options: AugmentOptions,
    seen: list[Seen],
    volume: Volume,
    labels: Labels,
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
        volume = Inverted(volume) if options.invert else volume
        sources, recipes = _plan(options, volume.shape)
        voxel = parse_voxel(options.voxel) or volume.voxel
        warn_of_input(volume, labels, progress)
        copies = progress.track(
            _make(volume, labels, sources, recipes, engine=engine, jobs=options.jobs),
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
            *([labels.note] if labels.note else []),
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
        volume = Inverted(volume) if recorded.get("invert") else volume
        copies = _make(volume, labels, [source], [recipe], engine=recorded[ENGINE], jobs=1)
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


def _as_recorded(options: AugmentOptions) -> AugmentOptions:
    """The options, with labels understood as for the finished folder, if there is one."""
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
    volume: Volume,
    labels: Volume,
    sources: list[int],
    recipes: list[Recipe],
    *,
    engine: str,
    jobs: int,
) -> Iterator[Copy]:
    low, high = _grey_range(volume)
    tasks = (
        (recipe, *_read(volume, labels, source))
        for source, recipe in zip(sources, recipes, strict=True)
    )
    return ordered_map(partial(_make_copy, low=low, high=high, engine=engine), tasks, jobs=jobs)


def _read(
    volume: Volume, labels: Volume, index: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """A slice and its label, in which pixels without tissue are marked."""
    image, label = volume[index], labels[index]
    tissue = volume.tissue(index)
    if tissue.share_missing:
        height, width = image.shape
        missing = tissue.missing((slice(0, height), slice(0, width)), image)
        label = np.where(missing, MISSING, label)
        # Not to be smeared over what is beside it.
        image = np.where(missing, (tissue.low + tissue.high) / 2, image).astype(image.dtype)
    return image, label


def _make_copy(
    task: tuple[Recipe, npt.NDArray[Any], npt.NDArray[np.uint8]], **settings: Any
) -> Copy:
    image, label = apply_recipe(*task, **settings)
    missing = label == MISSING
    shown = image[~missing]
    low, high = (float(p) for p in np.percentile(shown, (LOW, HIGH))) if shown.size else (0.0, 0.0)
    image[missing] = (low + high) / 2
    label[missing] = UNCOUNTED
    return Copy(image, label, (low, high))


def _open_labels(path: Path, volume: Volume, understanding: Understanding) -> Labels:
    """Open the labels; if they cannot be labels, it may be that what came as the volume is."""
    try:
        return open_labels(path, understanding)
    except InputError as error:
        if not error.expected.startswith("labels") or len(np.unique(volume[0])) > 2:
            raise
        raise InputError(
            path,
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
    copies: Iterable[Copy],
    *,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    originals: int,
) -> list[list[Pair]]:
    """Write both stacks; return a row of pairs for each original of the preview."""
    for name, kind in (("volume.tif", dtype), ("labels.tif", np.dtype(np.uint8))):
        writer.describe(name, shape=shape, dtype=kind, axes="ZYX")
    shown: list[list[Pair]] = [[] for _ in range(min(originals, PREVIEW_ORIGINALS))]
    ranges = []
    with (
        create_stack(writer.path("volume.tif"), shape=shape, dtype=dtype) as volume,
        create_stack(writer.path("labels.tif"), shape=shape, dtype=np.uint8) as labels,
    ):
        for number, copy in enumerate(copies):
            volume.append(copy.image)
            labels.append(copy.label)
            ranges.append(copy.grey)
            source = number % originals
            if source < len(shown) and len(shown[source]) <= PREVIEW_COPIES:
                shown[source].append((copy.image, copy.label))
    writer.details["grey_ranges"] = ranges
    return shown
