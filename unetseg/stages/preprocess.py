"""`unetseg preprocess`: arrays for training, and the held-out slices set apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.labelling import INTERIOR, UNCOUNTED
from unetseg.arrays.weights import class_weights, weight_map
from unetseg.artifacts.forms import of_the_stack
from unetseg.artifacts.manifest import Manifest, open_stage
from unetseg.artifacts.prepared import COMPRESSED, FILES, PARTS, ranges_name
from unetseg.artifacts.writer import StageWriter
from unetseg.engine.parallel import ordered_map
from unetseg.errors import InputError, UsageError
from unetseg.options import LAST_FIFTH, PreprocessOptions
from unetseg.progress import Progress, StageResult
from unetseg.running import command_line
from unetseg.stacks.compressed import CompressedWriter
from unetseg.stacks.labels import find_counted
from unetseg.stacks.location import name_of
from unetseg.stacks.npy import create_npy
from unetseg.stacks.opening import open_volume
from unetseg.stacks.volume import Volume, describe, name_slices

HOLD_OUT_OTHERS = "choose others with --held-out, or give --held-out none"
NORMALISATION = "slice-percentiles"  # what `NormalisedStack` does, for the model's folder


def preprocess(options: PreprocessOptions, progress: Progress) -> StageResult:
    """Set the held-out slices apart and compute the weight maps.

    Only the originals of held-out source slices are kept; none of their copies goes into the
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
    volumes = volumes_of(manifest)
    with (
        # Both are open before the writer checks that the manifest is still the one that was read.
        open_volume(folder / "volume.tif") as volume,
        open_volume(folder / "labels.tif") as labels,
        StageWriter(
            options.output,
            stage="preprocess",
            options=options.recorded(),
            inputs=[manifest],
            names=[f"{part}-{name}" for part in PARTS for name in FILES.values()],
            next_command=command_line("train", input=options.output),
        ) as writer,
    ):
        if not options.force and writer.is_current():
            return writer.nothing_to_do()
        if options.held_out == LAST_FIFTH:
            held_out = _last_fifth(labels, volumes)
        else:
            held_out = parse_held_out(options.held_out, volumes, folder)
        others = [i for i, source in enumerate(sources) if source not in held_out]
        trained_on, share = _look(labels, others)
        kept = _keep(labels, held_out)
        _warn_of_duplicates(volume, max(sources) + 1, held_out, progress)
        prepare = partial(_prepare, _weigh(options, share))
        ranges = _grey_ranges(manifest, volume)
        indices = [*trained_on, *kept]
        slices = ((volume[i], labels[i]) for i in indices)
        prepared = progress.track(
            ordered_map(prepare, slices, jobs=options.jobs),
            total=len(indices),
            label="preprocess",
            unit="slice",
        )
        with ExitStack() as stack:
            files: list[list[Any]] = []  # for each slice, those it is written to
            for part, chosen in zip(PARTS, (trained_on, kept), strict=True):
                writer.details[ranges_name(part)] = [ranges[i] for i in chosen]
                if chosen:
                    shape = (len(chosen), *volume.shape[1:])
                    created = _create(stack, writer, part, shape=shape, dtype=volume.dtype)
                    files += [created] * len(chosen)
            for outs, arrays in zip(files, prepared, strict=True):
                for out, array in zip(outs, arrays, strict=True):
                    out.append(array)
        read, size = [str(volume), str(labels)], volume.shape[1:]
        writer.details.update(
            # For the model's folder, which may travel without those it was made from.
            data=_describe_data(manifest, volumes),
            held_out=kept,
            interior_share=share,
            normalisation=NORMALISATION,
            synthetic=manifest.details.get("synthetic", False),
            **of_the_stack(manifest),
            train_sources=[sources[i] for i in trained_on],
        )
    left_out = f"source {name_slices(held_out)} held out" if held_out else "none held out"
    notes = [f"{describe((len(trained_on), *size))} to train on, {left_out}"]
    used = {sources[index] for index in trained_on} | set(kept)
    if unused := sorted(set(sources) - used):
        notes.append(f"nothing counts in source {name_slices(unused)}: left out")
    return writer.result(read, notes=notes)


def _describe_data(manifest: Manifest, volumes: dict[str, range]) -> list[dict[str, Any]]:
    """Name and hash of every image stack and its labels, and where each stack's slices are."""
    data: list[dict[str, Any]] = [
        {"name": name_of(Path(source.path)), "sha256": source.sha256} for source in manifest.inputs
    ]
    for stack, slices in zip(data[::2], volumes.values(), strict=False):
        stack.update(first=slices.start, slices=len(slices))
    return data


def volumes_of(manifest: Manifest) -> dict[str, range]:
    """The source slices of every stack that `unetseg augment` read, by its name."""
    known = manifest.details.get("volumes")
    if known:
        return {v["name"]: range(v["first"], v["first"] + v["slices"]) for v in known}
    # Earlier versions read a single stack.
    name = Path(name_of(Path(manifest.inputs[0].path))).stem
    return {name: range(max(manifest.details["sources"]) + 1)}


def parse_held_out(text: str, volumes: dict[str, range], folder: Path) -> list[int]:
    """Parse the option `held_out`.

    Parameters
    ----------
    text : str
        'none', or blocks separated by commas: slices such as 24-29 or 7, counted through all
        stacks; the name of a stack; slices of one stack, such as A:24-29.
    volumes : dict
        As from `volumes_of`.
    folder : Path
        Where they come from, for the error.

    Returns
    -------
    list of int
        Source slices, in rising order.
    """
    total = sum(map(len, volumes.values()))
    if text == "none":
        return []
    blocks = [_parse_block(part.strip(), text, volumes, total) for part in text.split(",")]
    held_out = sorted({index for block in blocks for index in block})
    if held_out[-1] >= total or len(held_out) >= total:
        raise InputError(
            folder,
            expected=f"more source slices than --held-out {text} takes",
            found=f"{total}",
            remedy="hold out fewer, or 'none'",
        )
    return held_out


def _last_fifth(labels: Volume, volumes: dict[str, range]) -> list[int]:
    """Return the last fifth of the labelled slices of each volume: at least one, but never all."""
    found = []
    for slices in volumes.values():
        labelled = [index for index in slices if (labels[index] != UNCOUNTED).any()]
        if len(labelled) > 1:
            found += labelled[-max(1, len(labelled) // 5) :]
    return found


def _parse_block(part: str, text: str, volumes: dict[str, range], total: int) -> range:
    """Parse one block of the option into source slices."""
    if part in volumes:
        return volumes[part]
    name, _, numbers = part.rpartition(":")
    inside = volumes.get(name) if name else range(total)
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", numbers)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if first > last or inside is None:
        names = f", {' or '.join(volumes)}" if len(volumes) > 1 else ""
        raise UsageError(
            f"--held-out: expected a block such as 24-29{names}, 'last-fifth' or 'none', found "
            f"{text}"
        )
    if last >= len(inside) and name:
        raise UsageError(
            f"--held-out: expected slices of the {len(inside)} of {name}, found {part}"
        )
    return range(inside.start + first, inside.start + last + 1)


def _warn_of_duplicates(
    volume: Volume, originals: int, held_out: list[int], progress: Progress
) -> None:
    """Warn of held-out slices that are trained on anyway, because they are there twice."""
    seen = {sha256(volume[i].tobytes()).digest(): i for i in range(originals) if i not in held_out}
    for index in held_out:
        twin = seen.get(sha256(volume[index].tobytes()).digest())
        if twin is not None:
            progress.warn(
                f"held-out slice {index} is the same as slice {twin}, which is trained "
                "on: its score will be too good"
            )


def _look(labels: Volume, indices: list[int]) -> tuple[list[int], float]:
    """Return which of these slices have pixels that count, and what share of those is interior."""
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
            remedy=HOLD_OUT_OTHERS,
        )
    return kept, share


def _keep(labels: Volume, held_out: list[int]) -> list[int]:
    """The held-out slices that can be scored."""
    if not held_out:
        return []
    return find_counted(labels, held_out, remedy=HOLD_OUT_OTHERS)


def _grey_ranges(manifest: Manifest, volume: Volume) -> list[tuple[float, float]]:
    """Percentiles of tissue in every slice: those that augment recorded, if it did."""
    known = manifest.details.get("grey_ranges")
    if known is not None:
        return [(float(low), float(high)) for low, high in known]
    tissues = (volume.tissue(index) for index in range(len(volume)))
    return [(tissue.low, tissue.high) for tissue in tissues]


def _weigh(
    options: PreprocessOptions, share: float
) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """Return the function that makes the weight map of a label, for this share of interior."""
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
    slice_: tuple[npt.NDArray[Any], npt.NDArray[np.uint8]],
) -> tuple[npt.NDArray[Any], ...]:
    """Image, label and weight map of one slice."""
    image, label = slice_
    return image, (label == INTERIOR).astype(np.uint8), weigh(label)


def _create(
    stack: ExitStack,
    writer: StageWriter,
    part: str,
    *,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
) -> list[Any]:
    """Create the three files of a part, which the stack closes."""
    names = {kind: f"{part}-{name}" for kind, name in FILES.items()}
    for kind, pixels in {"images": dtype, **COMPRESSED}.items():
        writer.describe(names[kind], shape=shape, dtype=pixels, axes="ZYX")
    return [
        stack.enter_context(create_npy(writer.path(names["images"]), shape=shape, dtype=dtype)),
        *(
            stack.enter_context(
                CompressedWriter(writer.path(names[kind]), shape=shape, dtype=pixels)
            )
            for kind, pixels in COMPRESSED.items()
        ),
    ]
