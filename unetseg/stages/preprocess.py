"""`unetseg preprocess`: arrays for training, and the held-out slices set apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.intensity import Percentiles
from unetseg.arrays.labelling import INTERIOR, UNCOUNTED
from unetseg.arrays.weights import class_weights, weight_map
from unetseg.artifacts.forms import of_the_stack
from unetseg.artifacts.manifest import Manifest, open_stage
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.parallel import ordered_map
from unetseg.errors import InputError, UsageError
from unetseg.options import PreprocessOptions
from unetseg.progress import Progress, StageResult
from unetseg.running import command_line
from unetseg.stacks.labels import find_counted
from unetseg.stacks.location import name_of
from unetseg.stacks.npy import create_npy
from unetseg.stacks.opening import open_volume
from unetseg.stacks.volume import Volume, describe, name_slices

PARTS = ("train", "held-out")
ARRAYS = {"images": np.float32, "labels": np.uint8, "weights": np.float32}

NORMALISATION = "slice-percentiles"  # `Percentiles`, for the model's folder


def preprocess(options: PreprocessOptions, progress: Progress) -> StageResult:
    """Normalise images, set the held-out slices apart and compute the weight maps.

    Of the held-out source slices only the originals are kept; none of their copies goes into the
    training arrays.

    Parameters
    ----------
    options : PreprocessOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If the input folder is incomplete or stale, or nothing would be left to train on.
    """
    folder = options.input
    manifest = open_stage(folder, stage="augment", fresh=True)
    sources = [int(source) for source in manifest.details["sources"]]
    held_out = parse_held_out(options.held_out, max(sources) + 1, folder)
    trained_on = [i for i, source in enumerate(sources) if source not in held_out]
    with (
        # Both are open when the writer looks whether the manifest is still the one that was read.
        open_volume(folder / "volume.tif") as volume,
        open_volume(folder / "labels.tif") as labels,
        StageWriter(
            options.output,
            stage="preprocess",
            options=options.recorded(),
            inputs=[manifest],
            names=[f"{part}-{kind}.npy" for part in PARTS for kind in ARRAYS],
            next_command=command_line("train", input=options.output),
        ) as writer,
    ):
        if not options.force and writer.is_current():
            return writer.nothing_to_do()
        trained_on, share = _look(labels, trained_on)
        kept = _keep(labels, held_out)
        _warn_of_duplicates(volume, max(sources) + 1, held_out, progress)
        prepare = partial(_prepare, _weigh(options, share))
        ranges = _grey_ranges(manifest, volume)
        for part, indices in zip(PARTS, (trained_on, kept), strict=True):
            slices = ((volume[i], labels[i], ranges[i]) for i in indices)
            arrays = ordered_map(prepare, slices, jobs=options.jobs)
            tracked = progress.track(
                arrays, total=len(indices), label=f"preprocess {part}", unit="slice"
            )
            _write(writer, part, tracked, shape=(len(indices), *volume.shape[1:]))
        read, shape = [str(volume), str(labels)], volume.shape[1:]
        writer.details.update(
            # For the model's folder, which may travel without those it was made from.
            data=[
                {"name": name_of(Path(source.path)), "sha256": source.sha256}
                for source in manifest.inputs
            ],
            held_out=kept,
            interior_share=share,
            normalisation=NORMALISATION,
            synthetic=manifest.details.get("synthetic", False),
            **of_the_stack(manifest),
            train_sources=[sources[i] for i in trained_on],
        )
    left_out = f"source {name_slices(held_out)} held out" if held_out else "none held out"
    notes = [f"{describe((len(trained_on), *shape))} to train on, {left_out}"]
    used = {sources[index] for index in trained_on} | set(kept)
    if unused := sorted(set(sources) - used):
        notes.append(f"nothing counts in source {name_slices(unused)}: left out")
    return writer.result(read, notes=notes)


def parse_held_out(text: str, slices: int, folder: Path) -> range:
    """Understand the option `held_out`.

    Parameters
    ----------
    text : str
        'last-fifth', 'none', or first and last slice such as '24-29'.
    slices : int
        How many source slices there are.
    folder : Path
        Where they come from, for the error.
    """
    if text == "none":
        return range(0)
    if text == "last-fifth":
        block = range(slices - max(1, slices // 5), slices)
    else:
        match = re.fullmatch(r"(\d+)-(\d+)", text)
        if match is None or int(match[1]) > int(match[2]):
            raise UsageError(
                f"--held-out: expected a block such as 24-29, 'last-fifth' or 'none', found {text}"
            )
        block = range(int(match[1]), int(match[2]) + 1)
    if block.stop > slices or len(block) >= slices:
        raise InputError(
            folder,
            expected=f"more source slices than --held-out {text} takes",
            found=f"{slices}",
            remedy="hold out fewer, or 'none'",
        )
    return block


def _warn_of_duplicates(
    volume: Volume, originals: int, held_out: range, progress: Progress
) -> None:
    """Say which held-out slices are trained on all the same, because they are there twice."""
    seen = {sha256(volume[i].tobytes()).digest(): i for i in range(originals) if i not in held_out}
    for index in held_out:
        twin = seen.get(sha256(volume[index].tobytes()).digest())
        if twin is not None:
            progress.warn(
                f"held-out slice {index} is the same as slice {twin}, which is trained "
                "on: its score will be too good"
            )


def _look(labels: Volume, indices: list[int]) -> tuple[list[int], float]:
    """Which of these slices hold anything that counts, and how much of that is interior."""
    kept, interior, counted = [], 0, 0
    for index in indices:
        label = labels[index]
        here = int(np.count_nonzero(label != UNCOUNTED))
        if here:
            kept.append(index)
            counted += here
            interior += int(np.count_nonzero(label == INTERIOR))
    share = interior / counted if counted else 0.0
    if not 0 < share < 1:
        raise InputError(
            labels.path,
            expected="membrane and interior in the slices to train on",
            found="only interior" if share else "only membrane" if counted else "neither",
            remedy="hold out other slices",
        )
    return kept, share


def _keep(labels: Volume, held_out: range) -> list[int]:
    """The held-out slices that can be scored."""
    if not held_out:
        return []
    return find_counted(labels, held_out, remedy="choose others with --held-out")


def _grey_ranges(manifest: Manifest, volume: Volume) -> list[tuple[float, float]]:
    """Percentiles of tissue in every slice: those that augment knew, if it wrote them down."""
    known = manifest.details.get("grey_ranges")
    if known is not None:
        return [(float(low), float(high)) for low, high in known]
    tissues = (volume.tissue(index) for index in range(len(volume)))
    return [(tissue.low, tissue.high) for tissue in tissues]


def _weigh(
    options: PreprocessOptions, share: float
) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """What makes the weight map of a label, for this share of interior."""
    membrane, interior = class_weights(share)
    return partial(
        weight_map,
        membrane=membrane,
        interior=interior,
        w0=options.border_weight,
        sigma=options.border_sigma,
    )


def _prepare(
    weigh: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
    slice_: tuple[npt.NDArray[Any], npt.NDArray[np.uint8], tuple[float, float]],
) -> tuple[npt.NDArray[Any], ...]:
    """Image, label and weight map of one slice."""
    image, label, (low, high) = slice_
    normalise = Percentiles(low, high)
    return normalise(image), (label == INTERIOR).astype(np.uint8), weigh(label)


def _write(
    writer: StageWriter,
    part: str,
    slices: Iterable[tuple[npt.NDArray[Any], ...]],
    *,
    shape: tuple[int, int, int],
) -> None:
    """Write the three arrays of a part, if there are slices in it."""
    if shape[0] == 0:
        return
    with ExitStack() as stack:
        outs = []
        for kind, dtype in ARRAYS.items():
            name = f"{part}-{kind}.npy"
            outs.append(
                stack.enter_context(create_npy(writer.path(name), shape=shape, dtype=dtype))
            )
            writer.describe(name, shape=shape, dtype=dtype, axes="ZYX")
        for arrays in slices:
            for out, array in zip(outs, arrays, strict=True):
                out.append(array)
