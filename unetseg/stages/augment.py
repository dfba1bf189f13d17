"""`unetseg augment`: every slice as it is, then its altered copies."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
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


@dataclass(frozen=True)
class Originals:
    """The stacks that copies are made from, and what must be known of them as a whole.

    Attributes
    ----------
    volume, labels : Path
    low, high : float
        Smallest and largest grey level of the volume.
    interior : float
        Value of the labels inside cells.
    """

    volume: Path
    labels: Path
    low: float
    high: float
    interior: float


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
        originals = _survey(volume, labels)
        shape, dtype, read = volume.shape, volume.dtype, [str(volume), str(labels)]

    writer = StageWriter(
        options.output,
        stage="augment",
        options=options.recorded(),
        inputs=[volume_path, labels_path],
        names=["volume.tif", "labels.tif"],
    )
    sources = [index % shape[0] for index in range(shape[0] * (1 + options.copies))]
    recipes = _draw_recipes(options, shape, count=len(sources))
    pairs = ordered_map(
        partial(_make, originals),
        zip(sources, recipes, strict=True),
        jobs=options.jobs,
    )
    full_shape = (len(sources), *shape[1:])
    with writer:
        with (
            create_stack(writer.path("volume.tif"), shape=full_shape, dtype=dtype) as volume_out,
            create_stack(writer.path("labels.tif"), shape=full_shape, dtype=np.uint8) as labels_out,
        ):
            for image, label in progress.track(
                pairs, total=len(sources), label="augment", unit="slice"
            ):
                volume_out.append(image)
                labels_out.append(label)
        writer.describe("volume.tif", shape=full_shape, dtype=dtype, axes="ZYX")
        writer.describe("labels.tif", shape=full_shape, dtype=np.uint8, axes="ZYX")
        writer.details["sources"] = sources
        writer.details["recipes"] = [dataclasses.asdict(recipe) for recipe in recipes]
    notes = [f"{shape[0]} originals, then {options.copies} copies of each"]
    return StageResult(
        read=read, wrote=writer.wrote(), notes=notes, next_command="unetseg preprocess"
    )


def _survey(volume: Stack, labels: Stack) -> Originals:
    """Look at every slice once, before any work is done on them."""
    low, high = np.inf, -np.inf
    for image in volume:
        low, high = min(low, float(image.min())), max(high, float(image.max()))
    if low == high:
        raise InputError(
            volume.path,
            expected="an image with contrast",
            found=f"{low:g} everywhere",
            remedy="check that this is the volume",
        )
    _, interior = label_values(labels)
    return Originals(volume.path, labels.path, low, high, interior)


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


@lru_cache(maxsize=1)
def _opened(originals: Originals) -> tuple[Stack, Stack]:
    """Each process opens the stacks once."""
    return Stack(originals.volume), Stack(originals.labels)


def _make(originals: Originals, task: tuple[int, Recipe]) -> Pair:
    """Make one slice of the result."""
    source, recipe = task
    volume, labels = _opened(originals)
    label = np.where(labels[source] == originals.interior, 255, 0).astype(np.uint8)
    return apply_recipe(recipe, volume[source], label, low=originals.low, high=originals.high)
