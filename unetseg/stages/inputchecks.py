"""What may be wrong with images and labels that can be read: said before it ruins a training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from unetseg.arrays.checks import best_shift, interior_contrast, line_contrast
from unetseg.arrays.intensity import Percentiles
from unetseg.arrays.tiles import Box
from unetseg.errors import InputError, UsageError
from unetseg.progress import Progress
from unetseg.stacks.slicefolder import SliceFolder
from unetseg.stacks.volume import Volume, describe
from unetseg.stacks.voxel import Voxel

# In standard deviations of a slice; less may be chance, or noise.
CLEARLY_DARKER = 0.1
# Labels drawn by hand are a pixel or two off, and correlation of so few slices is not exact.
SLICES_TO_REGISTER = 5
NARROW = 4  # times narrower than high: not what a microscope makes
MIDDLE = 1024  # pixels of a slice's height and width that are looked at
FARTHEST_SHIFT = 16
TOLERATED_SHIFT = 2
CLEARLY_BETTER = 1.2
# Between the slices of ISBI 2012 and of `unetseg synthesize` (0.065 to 0.147) and noise.
CLEAR_LINES = 0.03
FEW_PIXELS = 2**13


def warn_of_input(volume: Volume, labels: Volume, *, interior: float, progress: Progress) -> None:
    """Warn of everything that looks wrong.

    Parameters
    ----------
    volume, labels : Volume
        Of the same shape.
    interior : float
        The label inside cells.
    progress : Progress
        Gets a line for each warning.
    """
    say_remarks(progress, volume, labels)
    warn_of_axes(volume, progress)
    warn_of_missing(volume, progress)
    _warn_of_numbers(volume, labels, progress)
    labelled, contrasts = [], []
    for index, image in enumerate(volume):
        inside = labels[index] == interior
        if inside.any() and not inside.all():
            labelled.append(index)
            contrasts.append(interior_contrast(image, inside))
    if len(labelled) < len(volume):
        other = [index for index in range(len(volume)) if index not in labelled]
        progress.warn(
            f"{labels.path}: one value everywhere in slice{'s' if len(other) > 1 else ''} "
            f"{', '.join(map(str, other))}; if nobody has labelled them, leave them out of both "
            "stacks"
        )
    if not labelled:
        return
    contrast = float(np.mean(contrasts))
    if contrast < -CLEARLY_DARKER:
        progress.warn(
            f"{labels.path}: labels may be inverted: interior, the higher value, is darker than "
            f"membrane by {-contrast:.2f} standard deviations of a slice; if so, invert them (in "
            "Fiji: Edit > Invert)"
        )
    _warn_of_shift(volume, labels, labelled, interior=interior, progress=progress)


def say_remarks(progress: Progress, *volumes: Volume) -> None:
    """Hand on what readers have to say of stacks: how they were read, and what was left out."""
    for volume in volumes:
        for remark in volume.remarks:
            progress.warn(remark)


def warn_of_axes(volume: Volume, progress: Progress) -> None:
    """Warn of slices that look as if their width were the depth of the volume.

    That is how a volume of axes (Y, X, Z) is read: as many narrow slices, about as many as they
    have rows.
    """
    depth, height, width = volume.shape
    if NARROW * width <= min(depth, height) and max(depth, height) <= 2 * min(depth, height):
        progress.warn(
            f"{volume.path}: {describe(volume.shape)} look like {width} slices of {depth} x "
            f"{height} whose axes are in another order (Y, X, Z); if so, save them as Z, Y, X (in "
            "Python: numpy.moveaxis(volume, -1, 0))"
        )


def warn_of_missing(volume: Volume, progress: Progress) -> None:
    """Say what of a stack shows no tissue.

    Raises
    ------
    InputError
        If all of it.
    """
    shares = [volume.tissue(index).share_missing for index in range(len(volume))]
    lost = [index for index, share in enumerate(shares) if share == 1]
    if len(lost) == len(volume):
        raise InputError(
            volume.path,
            expected="an image with contrast",
            found="no tissue in any slice: one value, or noise",
            remedy="check that this is the volume",
        )
    if lost:
        one = len(lost) == 1
        progress.warn(
            f"{volume.path}: {'slice' if one else 'slices'} {list_numbers(lost)} "
            f"{'is' if one else 'are'} missing: no tissue"
        )
    bordered = [index for index, share in enumerate(shares) if 0 < share < 1]
    if bordered:
        share = float(np.mean([shares[index] for index in bordered]))
        progress.warn(
            f"{volume.path}: {share:.1%} of {'slice' if len(bordered) == 1 else 'slices'} "
            f"{list_numbers(bordered)} show no tissue (NaN, no data, or one value along an edge) "
            "and do not count"
        )


def warn_of_contrast(volume: Volume, trained: float | None, progress: Progress) -> None:
    """Say where a stack has dark what was bright in training.

    Parameters
    ----------
    volume : Volume
        As the network will see it.
    trained : float or None
        `dark_lines` of the slices that a model was trained on, where it is known.
    """
    if trained is None:
        return
    here = dark_lines(volume)
    if min(abs(here), abs(trained)) > CLEAR_LINES and here * trained < 0:
        lines = "brighter" if here < 0 else "darker"
        progress.warn(
            f"{volume.path}: the contrast looks turned round: thin lines, such as membranes, are "
            f"{lines} than what is beside them, unlike in training; if so, "
            "give --invert, or leave it out where it is given"
        )


def dark_lines(volume: Volume) -> float:
    """How dark thin lines are, as `line_contrast` says: the median of some slices.

    Of slices that are too small to tell, 0.
    """
    if math.prod(volume.shape[1:]) < FEW_PIXELS:
        return 0.0
    seen = [index for index in range(len(volume)) if not volume.tissue(index).lost]
    found = []
    for index in seen[:: math.ceil(len(seen) / SLICES_TO_REGISTER)]:
        tissue, box = volume.tissue(index), middle(volume.shape[1:])
        image = Percentiles(tissue.low, tissue.high)(volume.part(index, box))
        image[volume.missing(index, box)] = 0
        found.append(line_contrast(image))
    return float(np.median(found))


def middle(shape: tuple[int, ...]) -> Box:
    """The middle of a slice, as much of it as is looked at."""
    rows, columns = (slice((n - min(n, MIDDLE)) // 2, (n + min(n, MIDDLE)) // 2) for n in shape)
    return rows, columns


def list_numbers(numbers: Sequence[int]) -> str:
    """Write slices 3, 4, 5 and 9 as '3-5, 9'."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def parse_voxel(text: str | None) -> Voxel | None:
    """Understand the option `voxel`.

    Raises
    ------
    UsageError
        If it is no size of a voxel.
    """
    try:
        return None if text is None else Voxel.parse(text)
    except ValueError as error:
        raise UsageError(
            f"--voxel: expected depth, height and width in nanometres such as '50 4 4', "
            f"found {text!r}"
        ) from error


def _warn_of_numbers(volume: Volume, labels: Volume, progress: Progress) -> None:
    """Say where slices of two folders belong together by their place, but not by their names."""
    if not (isinstance(volume, SliceFolder) and isinstance(labels, SliceFolder)):
        return
    for index in range(len(volume)):
        numbers = volume.number(index), labels.number(index)
        if None not in numbers and numbers[0] != numbers[1]:
            progress.warn(
                f"{labels.path}: the label at place {index + 1} has number {numbers[1]}, its image "
                f"in {volume.path} number {numbers[0]}; see that no slice is missing in one of them"
            )
            return


def _warn_of_shift(
    volume: Volume, labels: Volume, labelled: list[int], *, interior: float, progress: Progress
) -> None:
    """Say where labels would fit better, if that is clear."""
    sample = labelled[:: math.ceil(len(labelled) / SLICES_TO_REGISTER)]
    rows, columns = middle(volume.shape[1:])
    images: npt.NDArray[np.generic] = np.stack([volume.part(i, (rows, columns)) for i in sample])
    insides = np.stack([labels.part(i, (rows, columns)) == interior for i in sample])
    (down, right), gain = best_shift(
        images, insides, reach=min(FARTHEST_SHIFT, (min(volume.shape[1:]) - 1) // 2)
    )
    if gain > CLEARLY_BETTER and max(abs(down), abs(right)) > TOLERATED_SHIFT:
        vertical = f"{abs(down)} pixels {'down' if down > 0 else 'up'}"
        horizontal = f"{abs(right)} to the {'right' if right > 0 else 'left'}"
        progress.warn(
            f"{labels.path}: labels may be out of register: they fit better {vertical} and "
            f"{horizontal}"
        )
