"""Checks of single stacks, and of the names of results, before any work is done."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unetseg.arrays.checks import line_contrast
from unetseg.arrays.intensity import Percentiles
from unetseg.arrays.tiles import middle_of
from unetseg.artifacts.manifest import Manifest, written_by
from unetseg.errors import InputError, UsageError
from unetseg.progress import Progress
from unetseg.stacks.micrographs import Micrographs
from unetseg.stacks.volume import Volume, describe, name_in
from unetseg.stacks.voxel import Voxel

if TYPE_CHECKING:
    from unetseg.engine.ensemble import Treatment  # which brings Keras

NARROW = 4  # times narrower than high: not what a microscope makes
RESULTS = {"predict": "the probabilities", "segment": "the cells"}
MIDDLE = 1024  # pixels of a slice's height and width that are looked at
# Between the slices of ISBI 2012 and of `unetseg synthesize` (0.065 to 0.147) and noise.
CLEAR_LINES = 0.03
SLICES_TO_COMPARE = 5
FEW_PIXELS = 2**13


def warn_of_stack(
    volume: Volume, models: list[tuple[Path, Manifest]], treatment: Treatment, progress: Progress
) -> None:
    """Warn if a stack to predict looks wrong, or differs from what models were trained on.

    Parameters
    ----------
    volume : Volume
    models : list of (Path, Manifest)
        Path that the user gave, and manifest from `unetseg.engine.prediction.open_model`.
    treatment : Treatment
    progress : Progress

    Raises
    ------
    InputError
        If it is a result of unetseg, or shows no tissue at all.
    """
    warn_of_volume(progress, volume)
    here = treatment.voxel_of(volume)
    for folder, model in models:
        trained = Voxel.recorded(model.details)
        if here and trained and treatment.scale(volume, trained) is not None:
            sizes = f"pixels of {here.pixel}; {folder} knows {trained.pixel}"
            if treatment.rescale:
                progress.say(
                    f"{volume.path}: {sizes}: slices are resampled to these, and the result back"
                )
            else:
                progress.warn(f"{volume.path}: {sizes}; leave out --no-rescale to resample them")
        seen = treatment.view(volume, trained)
        warn_of_contrast(seen, model.details.get("dark_lines"), progress)


def warn_of_volume(progress: Progress, volume: Volume, *others: Volume) -> None:
    """Warn if images look wrong, and show the remarks of readers, also on `others` beside them.

    Raises
    ------
    InputError
        If the volume is a result of unetseg, or shows no tissue at all.
    """
    _refuse_result(volume)
    say_remarks(progress, volume, *others)
    warn_of_axes(volume, progress)
    warn_of_missing(volume, progress)


def _refuse_result(volume: Volume) -> None:
    """Raise an InputError if probabilities or cells are given where an image belongs."""
    stage = written_by(volume.path, *RESULTS)
    if stage is not None:
        raise InputError(
            volume.path,
            expected="an image of tissue",
            found=f"{RESULTS[stage]} of unetseg {stage}",
            remedy="give the stack that they were made from",
        )


def say_remarks(progress: Progress, *volumes: Volume) -> None:
    """Show the remarks of readers: how stacks were read, and what was left out."""
    for volume in volumes:
        for remark in volume.remarks:
            progress.warn(remark)


def warn_of_axes(volume: Volume, progress: Progress) -> None:
    """Warn of slices that look as if their width were the depth of the volume.

    A volume of axes (Y, X, Z) is read like that: as narrow slices, about as many as they have rows.
    """
    depth, height, width = volume.shape
    if NARROW * width <= min(depth, height) and max(depth, height) <= 2 * min(depth, height):
        progress.warn(
            f"{volume.path}: {describe(volume.shape)} look like {width} slices of {depth} x "
            f"{height} whose axes are in another order (Y, X, Z); if so, save them as Z, Y, X (in "
            "Python: numpy.moveaxis(volume, -1, 0))"
        )


def warn_of_missing(volume: Volume, progress: Progress) -> None:
    """Warn of slices, and parts of slices, that show no tissue.

    Raises
    ------
    InputError
        If no slice shows tissue.
    """
    shares = [volume.own_share_missing(index) for index in range(len(volume))]
    lost = [index for index, share in enumerate(shares) if share == 1]
    if len(lost) == len(volume):
        raise InputError(
            volume.path,
            expected="an image with contrast",
            found="no tissue in any slice: one value, or noise",
            remedy="check that this is the volume",
        )
    if lost:
        verb = "is" if len(lost) == 1 else "are"
        progress.warn(f"{volume.path}: {name_in(volume, lost)} {verb} missing: no tissue")
    bordered = [index for index, share in enumerate(shares) if 0 < share < 1]
    if bordered:
        share = float(np.mean([shares[index] for index in bordered]))
        progress.warn(
            f"{volume.path}: {share:.1%} of {name_in(volume, bordered)} show no tissue (NaN, no "
            "data, or one value along an edge) and do not count"
        )


def warn_of_contrast(volume: Volume, trained: float | None, progress: Progress) -> None:
    """Warn if a stack seems to have inverted contrast, compared with training.

    Parameters
    ----------
    volume : Volume
        As the network will see it.
    trained : float or None
        `dark_lines` of the slices that a model was trained on, if known.
    """
    if trained is None:
        return
    here = dark_lines(volume)
    if min(abs(here), abs(trained)) > CLEAR_LINES and here * trained < 0:
        lines = "brighter" if here < 0 else "darker"
        progress.warn(
            f"{volume.path}: the contrast looks inverted: thin lines, such as membranes, are "
            f"{lines} than what is beside them, unlike in training; if so, "
            "give --invert, or leave it out where it is given"
        )


def dark_lines(volume: Volume) -> float:
    """Measure how dark thin lines are: the median of `line_contrast` over some slices.

    It is 0 if slices are too small to tell.
    """
    if math.prod(volume.shape[1:]) < FEW_PIXELS:
        return 0.0
    seen = [index for index in range(len(volume)) if not volume.tissue(index).lost]
    found = []
    for index in seen[:: math.ceil(len(seen) / SLICES_TO_COMPARE)]:
        tissue, box = volume.tissue(index), middle_of(volume.own_size(index), most=MIDDLE)
        pixels, missing = volume.part_and_missing(index, box)
        image = Percentiles(tissue.low, tissue.high)(pixels)
        image[missing] = 0
        found.append(line_contrast(image))
    return float(np.median(found))


def parse_voxel(text: str | None) -> Voxel | None:
    """Parse the option `voxel`.

    Raises
    ------
    UsageError
        If it is not the size of a voxel.
    """
    try:
        return None if text is None else Voxel.parse(text)
    except ValueError as error:
        raise UsageError(
            f"--voxel: expected depth, height and width in nanometres such as '50 4 4', "
            f"found {text!r}"
        ) from error


def check_name(name: str, scheduler: str | None) -> None:
    """Raise a UsageError unless a result can have this name; its ending decides the format."""
    path = Path(name)
    hidden = name.startswith(".")
    if path.name != name or hidden or path.suffix not in (".tif", ".tiff", ".zarr"):
        raise UsageError(
            f"--name: expected a file name that ends in .tif, .ome.tif or .ome.zarr, found {name}"
        )
    if scheduler and path.suffix != ".zarr":
        raise UsageError(
            f"--scheduler: expected --name to end in .ome.zarr, found {name}: many processes "
            "cannot write one TIFF"
        )


def names_of_results(
    volume: Volume, name: str, *, given: str | None, scheduler: str | None
) -> list[str]:
    """Names of all results: `name`, or one for each of separate micrographs.

    Parameters
    ----------
    volume : Volume
    name : str
        Name of the result of a stack.
    given, scheduler : str or None
        Options that are for a single result.
    """
    if not isinstance(volume, Micrographs):
        return [name]
    for option, value in (("--name", given), ("--scheduler", scheduler)):
        if value is not None:
            raise UsageError(
                f"{option}: expected one stack, found separate micrographs in {volume.path}, each "
                f"with a result of its own name; leave {option} out"
            )
    return [name_of_result(micrograph) for micrograph in volume.names]


def name_of_result(micrograph: str) -> str:
    """Name of the result of one of separate micrographs."""
    return f"{micrograph}.tif"
