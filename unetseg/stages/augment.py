"""`unetseg augment`: every slice as it is, then its altered copies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.augmentation import IDENTITY, Recipe, Strengths, apply_recipe, draw_recipe
from unetseg.artifacts import StageResult, StageWriter
from unetseg.errors import InputError
from unetseg.options import AugmentOptions
from unetseg.parallel import ordered_map
from unetseg.progress import Progress
from unetseg.tiff import Stack, check_same_shape, create_stack, find_stack, label_values

Pair = tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]

BLACK, WHITE = np.uint8(0), np.uint8(255)  # labels: membrane, interior


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
    with Stack(volume_path) as volume, Stack(labels_path) as labels:
        check_same_shape(volume, labels)
        low, high = _grey_range(volume)
        _, interior = label_values(labels)
        writer = StageWriter(
            options.output,
            stage="augment",
            options=options.recorded(),
            inputs=[volume_path, labels_path],
            names=["volume.tif", "labels.tif"],
        )
        sources = [index % len(volume) for index in range(len(volume) * (1 + options.copies))]
        recipes = _draw_recipes(options, volume.shape, count=len(sources))
        tasks = (
            (recipe, volume[source], np.where(labels[source] == interior, WHITE, BLACK))
            for source, recipe in zip(sources, recipes, strict=True)
        )
        pairs = progress.track(
            ordered_map(partial(_make_copy, low, high), tasks, jobs=options.jobs),
            total=len(sources),
            label="augment",
            unit="slice",
        )
        with writer:
            _write(writer, pairs, shape=(len(sources), *volume.shape[1:]), dtype=volume.dtype)
            writer.details["sources"] = sources
            writer.details["recipes"] = [dataclasses.asdict(recipe) for recipe in recipes]
        read = [str(volume), str(labels)]
        notes = [f"{len(volume)} originals, then {options.copies} copies of each"]
    return StageResult(
        read=read, wrote=writer.wrote(), notes=notes, next_command="unetseg preprocess"
    )


def _grey_range(volume: Stack) -> tuple[float, float]:
    """Smallest and largest grey level, from a look at every slice before any work is done."""
    ranges = [(float(image.min()), float(image.max())) for image in volume]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    if low == high:
        raise InputError(
            volume.path,
            expected="an image with contrast",
            found=f"{low:g} everywhere",
            remedy="check that this is the volume",
        )
    return low, high


def _draw_recipes(
    options: AugmentOptions, shape: tuple[int, int, int], *, count: int
) -> list[Recipe]:
    names = [field.name for field in dataclasses.fields(Strengths)]
    strengths = Strengths(**{name: getattr(options, name) for name in names})
    return [
        IDENTITY
        if index < shape[0]
        else draw_recipe(strengths, shape=shape[1:], seed=options.seed, copy=index)
        for index in range(count)
    ]


def _make_copy(
    low: float, high: float, task: tuple[Recipe, npt.NDArray[Any], npt.NDArray[np.uint8]]
) -> Pair:
    recipe, image, label = task
    return apply_recipe(recipe, image, label, low=low, high=high)


def _write(
    writer: StageWriter,
    pairs: Iterable[Pair],
    *,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
) -> None:
    for name, kind in (("volume.tif", dtype), ("labels.tif", np.dtype(np.uint8))):
        writer.describe(name, shape=shape, dtype=kind, axes="ZYX")
    with (
        create_stack(writer.path("volume.tif"), shape=shape, dtype=dtype) as volume,
        create_stack(writer.path("labels.tif"), shape=shape, dtype=np.uint8) as labels,
    ):
        for image, label in pairs:
            volume.append(image)
            labels.append(label)
