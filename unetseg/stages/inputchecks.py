"""Warn of images and labels that can be read but look wrong, before they ruin a training run."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.checks import (
    balance,
    best_shift,
    better_places,
    empty_share,
    interior_contrast,
    standardise_robustly,
)
from unetseg.arrays.labelling import INTERIOR, UNCOUNTED
from unetseg.arrays.tiles import middle_of
from unetseg.errors import first_of
from unetseg.progress import Progress
from unetseg.stacks.labels import Labels
from unetseg.stacks.slicefolder import SliceFolder
from unetseg.stacks.volume import Volume, name_in
from unetseg.stages.stackchecks import MIDDLE, warn_of_volume

# In standard deviations of a slice; less may be chance, or noise.
CLEARLY_DARKER = 0.1
# Labels drawn by hand are a pixel or two off, and correlation of so few slices is not exact.
SLICES_TO_REGISTER = 5
FARTHEST_SHIFT = 16
TOLERATED_SHIFT = 2
CLEARLY_BETTER = 1.2
# If more than this share of a slice is membrane, check whether only a part of it was labelled:
# whether more than CLEARLY_EMPTY is membrane far from cells. In ISBI 2012 the shares are 22 % and
# 0.6 % at most, or 2.5 % if membranes are drawn 8 px wider.
MUCH_MEMBRANE, CLEARLY_EMPTY = 0.3, 0.1
# Share of a slice that must be labelled: strokes on less of it fit many places by chance.
ENOUGH_TO_FIT = 0.2
COARSE = 512
# Labels that are compared with every image, and pixels of height and width that are compared.
LABELS_TO_COMPARE, MIDDLE_OF_ORDER = 32, 512
SHOWN_PLACES = 3
MOST = 0.8  # of the labels that belong to other images must follow an order, to name it


def warn_of_input(volume: Volume, labels: Labels, progress: Progress) -> None:
    """Warn of everything that looks wrong.

    Parameters
    ----------
    volume, labels : Volume
        Of the same shape; labels of 0, 127 and 255.
    progress : Progress
        Gets a line for each warning.

    Raises
    ------
    InputError
        If the volume is a result of unetseg, or shows no tissue at all.
    """
    warn_of_volume(progress, volume, labels.source)
    _warn_of_numbers(volume, labels, progress)
    labelled, plain, contrasts, empty, fitted = [], [], [], {}, []
    # Labels of separate images are matched by name.
    order = None if labels.separate else _Order(labels)
    for index, image in enumerate(volume):
        label = labels[index]
        counted, inside = label != UNCOUNTED, label == INTERIOR
        if order is not None:
            order.look(index, image, label)
        if inside.any() and (counted & ~inside).any():
            labelled.append(index)
            if counted.mean() >= ENOUGH_TO_FIT:
                fitted.append(index)
            contrasts.append(interior_contrast(image[counted], inside[counted]))
            if np.count_nonzero(counted & ~inside) > MUCH_MEMBRANE * np.count_nonzero(counted):
                empty[index] = empty_share(_coarse(label))
        elif counted.any():
            plain.append(index)
    if plain:
        progress.warn(
            f"{labels.path}: one value everywhere in {name_in(labels, plain)}; if nobody has "
            "labelled them, name them with --unlabelled-slices, or give them the value "
            f"{UNCOUNTED}"
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
    elif _warn_of_empty(labels, empty, progress):
        return  # such labels fit nowhere
    if not fitted:
        return
    # For labels of another image the best shift is arbitrary, and labels that are out of register
    # may fit another image by chance.
    shift = _clear_shift(volume, labels, fitted)
    if order is not None and order.is_clear(most=shift is not None):
        progress.warn(f"{labels.path}: {order}")
    elif shift is not None:
        progress.warn(f"{labels.path}: {shift}")


def _coarse(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Subsample a label, which is enough for regions far larger than a membrane."""
    step = math.ceil(max(label.shape) / COARSE)
    return label[::step, ::step]


def _warn_of_empty(labels: Volume, empty: dict[int, float], progress: Progress) -> bool:
    """Warn if membrane is wider than cells, perhaps unlabelled there; return whether it is."""
    wide = {index: share for index, share in empty.items() if share > CLEARLY_EMPTY}
    if wide:
        progress.warn(
            f"{labels.path}: {np.mean(list(wide.values())):.0%} of {name_in(labels, sorted(wide))} "
            "is membrane wider than cells are; what nobody has labelled needs the value "
            f"{UNCOUNTED} (0 membrane, 255 interior), or one that --unlabelled names, or it is "
            "learned as membrane"
        )
    return bool(wide)


class _Order:
    """Whether labels fit other images than their own.

    Every image is compared with some labels, or with all if there are not many; only the middle of
    both is compared.
    """

    def __init__(self, labels: Volume) -> None:
        self._path, self._depth = labels.path, len(labels)
        self._box = middle_of(labels.shape[1:], most=MIDDLE_OF_ORDER)
        step = math.ceil(self._depth / LABELS_TO_COMPARE)
        self._rows = list(range(0, self._depth, step))
        self._patterns = np.stack(
            [balance(labels.part(index, self._box)).ravel() for index in self._rows]
        )
        self._fits = np.zeros((len(self._rows), self._depth))
        self._own = np.zeros(self._depth)
        self._places: dict[int, int] = {}

    def look(self, index: int, image: npt.NDArray[Any], label: npt.NDArray[np.uint8]) -> None:
        """Compare an image with the chosen labels, and with its own label."""
        pixels = standardise_robustly(image[self._box]).ravel()
        self._fits[:, index] = np.abs(self._patterns @ pixels)
        self._own[index] = abs(float(balance(label[self._box]).ravel() @ pixels))

    def is_clear(self, *, most: bool) -> bool:
        """Whether two labels or more, and with `most` at least half, belong to other images."""
        self._places = better_places(self._fits, self._own, self._rows)
        return len(self._places) >= (max(2, len(self._rows) / 2) if most else 2)

    def __str__(self) -> str:
        """Say which labels belong to other images, and what their order looks like."""
        better = [f"label {one} fits image {image} better" for one, image in self._places.items()]
        shown = first_of(better, most=SHOWN_PLACES)
        found = f"labels may be in another order than images: {shown}"
        pattern = name_order(self._places, self._depth) if self.is_clear(most=True) else ""
        return f"{found}; they look {pattern}" if pattern else found


def name_order(places: dict[int, int], slices: int) -> str:
    """Describe the order that labels are in, if it is clear; else return an empty string.

    Parameters
    ----------
    places : dict
        Number of the image that a label belongs to, by the number of the label.
    slices : int
        Number of slices.
    """
    off = Counter(image - label for label, image in places.items()).most_common(1)[0][0]
    far = f"{abs(off)} slice{'s' if abs(off) > 1 else ''} {'late' if off < 0 else 'early'}"
    from_0 = sorted(range(slices), key=str)
    from_1 = [int(name) - 1 for name in sorted(map(str, range(1, slices + 1)))]
    orders = {
        "reversed": range(slices - 1, -1, -1),
        "sorted as text (1, 10, 11, ..., 2): number their files with leading zeros": from_1,
        "sorted as text (0, 1, 10, 11, ..., 2): number their files with leading zeros": from_0,
        far: range(off, slices + off),
    }
    for words, order in orders.items():
        right = sum(order[label] == image for label, image in places.items())
        if right >= MOST * len(places):
            return words
    return ""


def _warn_of_numbers(volume: Volume, labels: Labels, progress: Progress) -> None:
    """Warn if images and labels of two folders match by position, but not by number in names."""
    source = labels.source
    if not (isinstance(volume, SliceFolder) and isinstance(source, SliceFolder)):
        return
    for index in range(len(volume)):
        numbers = volume.number(index), source.number(index)
        if None not in numbers and numbers[0] != numbers[1]:
            progress.warn(
                f"{labels.path}: the label at place {index + 1} has number {numbers[1]}, its image "
                f"in {volume.path} number {numbers[0]}; see that no slice is missing in one of them"
            )
            return


def _clear_shift(volume: Volume, labels: Volume, labelled: list[int]) -> str | None:
    """Say by which shift labels would fit better; None if that is not clear."""
    sample = labelled[:: math.ceil(len(labelled) / SLICES_TO_REGISTER)]
    # Crop all of them to the size of the smallest.
    sizes = (volume.own_size(index) for index in sample)
    size = [min(edges) for edges in zip(*sizes, strict=True)]
    box = middle_of(size, most=MIDDLE)
    images: npt.NDArray[np.generic] = np.stack([volume.part(i, box) for i in sample])
    (down, right), gain = best_shift(
        images,
        np.stack([labels.part(i, box) for i in sample]),
        reach=min(FARTHEST_SHIFT, (min(size) - 1) // 2),
    )
    if gain <= CLEARLY_BETTER or max(abs(down), abs(right)) <= TOLERATED_SHIFT:
        return None
    vertical = f"{abs(down)} pixels {'down' if down > 0 else 'up'}"
    horizontal = f"{abs(right)} to the {'right' if right > 0 else 'left'}"
    return f"labels may be out of register: they fit better {vertical} and {horizontal}"
