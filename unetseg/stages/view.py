"""`unetseg view`: images, prediction and cells as layers of one napari window."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from unetseg.artifacts.finding import HELD_OUT_LABELS, HELD_OUT_PREDICTION, stacks_of
from unetseg.artifacts.manifest import find_manifest
from unetseg.artifacts.workfolder import trained_on
from unetseg.errors import InputError, UsageError
from unetseg.options import CELLS, DATA, PREDICTION, ViewOptions
from unetseg.progress import Progress, StageResult
from unetseg.stacks.location import is_there
from unetseg.stacks.opening import find_stack, open_numbers, open_volume
from unetseg.stacks.understanding import parse_numbers
from unetseg.stacks.volume import Volume, describe, name_slices
from unetseg.stages.stackchecks import parse_voxel
from unetseg.viewer.window import (
    LABELS,
    Shown,
    add_layers,
    import_napari,
    show_in_three_dimensions,
)


@dataclass(frozen=True)
class _Scene:
    """A prediction and the stacks that belong to it, according to manifests.

    Attributes
    ----------
    held_out : sequence of int
        Slices of the stack that were predicted; empty if all were.
    """

    prediction: Path | None = None
    volume: Path | None = None
    labels: Path | None = None
    held_out: Sequence[int] = ()


def view(options: ViewOptions, progress: Progress) -> StageResult:
    """Show a stack with its prediction and cells, until the window is closed.

    The manifests say which stack was predicted, and which cells were made from the prediction.
    Unlike other stages this one does not compare the files with their hashes: a viewer should open
    at once, however large they are.

    Parameters
    ----------
    options : ViewOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If a stack cannot be read, or they do not fit each other, or there is none.
    UnetsegError
        If napari is not installed.
    UsageError
        If options make no sense.
    """
    voxel = parse_voxel(options.voxel)
    only = parse_numbers(
        options.only, flag="--only", expected="numbers of cells, such as '12,47-49'"
    )
    with ExitStack() as opened:
        paths, held_out = find_stacks(options, progress)
        stacks = [
            _choose(kind, opened.enter_context(_open(kind, path)), held_out)
            for kind, path in paths.items()
        ]
        _check_same_shape(stacks)
        if only and "cells" not in paths:
            raise UsageError("--only: expected cells to choose from, found none; see --cells")
        stacks = [replace(s, only=only) if s.kind == "cells" else s for s in stacks]
        voxels = [voxel, *(shown.volume.voxel for shown in stacks)]
        voxel = next((known for known in voxels if known is not None), None)
        napari = import_napari()
        viewer = napari.Viewer(title="unetseg")
        add_layers(viewer, stacks, voxel=voxel)
        if options.three_d:
            show_in_three_dimensions(viewer)
        if voxel is None:
            progress.say("no stack has a voxel size: voxels are shown as cubes; see --voxel")
        napari.run()
        read = [f"{shown.volume.path}: {describe(shown.shape)}" for shown in stacks]
    return StageResult(folder=None, read=read)


def find_stacks(options: ViewOptions, progress: Progress) -> tuple[dict[str, Path], Sequence[int]]:
    """Find the stacks to show, by kind, the lowest layer first; and held-out slices, if of those.

    Stacks that no option names are left out if they are missing or belong to another stack.
    """
    scene = _find_scene(options)
    named = options.volume and find_stack(options.volume, "test-volume.tif")
    if named and options.prediction is None and not _same(named, scene.volume):
        scene = _Scene()
    volume: Path | None = named or scene.volume or DATA / "test-volume.tif"
    if volume and not named and not is_there(volume):
        progress.say(f"{volume}: not found, left out; --volume names a stack")
        volume = None
    labels = options.labels and find_stack(options.labels, "test-labels.tif")
    kinds = {
        "image": volume,
        "probability": scene.prediction,
        "true labels": labels or scene.labels or _labels_beside(volume),
        "cells": _find_cells(options, scene.prediction),
    }
    found = {kind: path for kind, path in kinds.items() if path is not None}
    if not found:
        raise InputError(
            options.work / PREDICTION.name,
            expected="the results of unetseg predict",
            found="none",
            remedy="run unetseg predict first, or name a stack with --volume",
        )
    return found, scene.held_out


def _find_scene(options: ViewOptions) -> _Scene:
    """Find the stacks that belong to a prediction, or to the folder of one."""
    path = options.prediction or options.work / PREDICTION.name
    manifest = find_manifest(path)
    if manifest is None:
        return _Scene(prediction=options.prediction)
    if manifest.stage == "predict":
        # The models come before the stack.
        volume = manifest.inputs[-1].seen_from(path)
        if len(manifest.outputs) > 1:
            raise _separate(path)
        return _Scene(prediction=path / manifest.outputs[0].name, volume=volume)
    held_out = manifest.details.get("held_out")
    if manifest.stage != "train" or not held_out:
        found = "none" if manifest.stage == "train" else f"those of unetseg {manifest.stage}"
        raise InputError(
            path,
            expected="the results of unetseg predict, or held-out slices of unetseg train",
            found=found,
            remedy="check --prediction",
        )
    return _Scene(
        prediction=path / HELD_OUT_PREDICTION,
        volume=trained_on(path, manifest),
        labels=path / HELD_OUT_LABELS,
        held_out=held_out,
    )


def _labels_beside(volume: Path | None) -> Path | None:
    """Return test-labels.tif beside test-volume.tif, if it is there."""
    if volume is None or not volume.name.endswith("-volume.tif"):
        return None
    path = volume.with_name(volume.name.replace("-volume.tif", "-labels.tif"))
    return path if path.is_file() else None


def _find_cells(options: ViewOptions, prediction: Path | None) -> Path | None:
    """Find the cells to show; if no option names them, only those of this prediction."""
    path = options.cells or options.work / CELLS.name
    manifest = find_manifest(path)
    if manifest is None:
        return options.cells
    if manifest.stage != "segment":
        raise InputError(
            path,
            expected="the results of unetseg segment",
            found=f"those of unetseg {manifest.stage}",
            remedy="check --cells",
        )
    if options.cells is None and not _same(manifest.inputs[0].seen_from(path), prediction):
        return None
    stacks = stacks_of(manifest)
    if len(stacks) > 1:
        raise _separate(path)
    return path / stacks[0]


def _same(path: Path, other: Path | None) -> bool:
    return other is not None and path.resolve() == other.resolve()


def _open(kind: str, path: Path) -> Volume:
    return open_numbers(path) if kind in LABELS else open_volume(path)


def _separate(path: Path) -> InputError:
    return InputError(
        path,
        expected="one stack",
        found="separate micrographs, a file for each",
        remedy="name one of them with --volume, and its own with --prediction and --cells",
    )


def _choose(kind: str, volume: Volume, held_out: Sequence[int]) -> Shown:
    """Choose the held-out slices of a stack that has others too."""
    if volume.separate and not held_out:  # held-out slices are padded alike, and can be shown
        raise _separate(volume.path)
    if not held_out or len(volume) == len(held_out):
        return Shown(kind, volume)
    if held_out[-1] >= len(volume):
        raise InputError(
            volume.path,
            expected=f"{name_slices(held_out)}, held out in training",
            found=describe(volume.shape),
            remedy="give the stack that the model was trained on",
        )
    return Shown(kind, volume, held_out)


def _check_same_shape(stacks: list[Shown]) -> None:
    for shown in stacks[1:]:
        if shown.shape != stacks[0].shape:
            raise InputError(
                shown.volume.path,
                expected=f"{describe(stacks[0].shape)}, as in {stacks[0].volume.path}",
                found=describe(shown.shape),
                remedy="give stacks of the same slices",
            )
