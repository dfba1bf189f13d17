"""What may be wrong with images and labels that can be read: said before it ruins a training."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from unetseg.arrays.checks import best_shift, interior_contrast
from unetseg.arrays.intensity import FLAT
from unetseg.progress import Progress
from unetseg.stacks.slicefolder import SliceFolder
from unetseg.stacks.volume import Volume, describe

# In standard deviations of a slice; less may be chance, or noise.
CLEARLY_DARKER = 0.1
# Labels drawn by hand are a pixel or two off, and correlation of so few slices is not exact.
SLICES_TO_REGISTER = 5
NARROW = 4  # times narrower than high: not what a microscope makes
MIDDLE = 1024  # pixels of a slice's height and width that are looked at
FARTHEST_SHIFT = 16
TOLERATED_SHIFT = 2
CLEARLY_BETTER = 1.2


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
    warn_of_axes(volume, progress)
    _warn_of_numbers(volume, labels, progress)
    labelled, contrasts = [], []
    for index, image in enumerate(volume):
        if float(image.std()) < FLAT:
            progress.warn(f"{volume.path}: slice {index} is constant")
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
    rows, columns = (
        slice((n - min(n, MIDDLE)) // 2, (n + min(n, MIDDLE)) // 2) for n in volume.shape[1:]
    )
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
