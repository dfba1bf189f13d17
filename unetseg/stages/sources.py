"""Images and labels to train on: one stack of each, or several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unetseg.arrays.labelling import UNCOUNTED
from unetseg.errors import InputError, UsageError
from unetseg.options import AugmentOptions
from unetseg.progress import Progress
from unetseg.stacks.joined import Joined
from unetseg.stacks.labels import Labels, open_labels
from unetseg.stacks.location import distinct_names
from unetseg.stacks.opening import find_stack, open_volume
from unetseg.stacks.understanding import Understanding, understand
from unetseg.stacks.views import Inverted
from unetseg.stacks.volume import Volume, check_same_shape
from unetseg.stacks.voxel import Voxel
from unetseg.stages.inputchecks import warn_of_input
from unetseg.stages.stackchecks import parse_voxel

# Margin, in distances between the percentiles of tissue: in ISBI 2012 it gives the range of 8 bits.
BEYOND = 0.4


@dataclass(frozen=True)
class Source:
    """A stack of images with its labels.

    Attributes
    ----------
    name : str
        Distinguishes it from other stacks.
    volume : Volume
    labels : Labels
        Of the same shape.
    voxel : Voxel or None
        Size of a voxel, where that is known.
    """

    name: str
    volume: Volume
    labels: Labels
    voxel: Voxel | None

    def grey_range(self) -> tuple[float, float]:
        """Lowest and highest grey level that tissue usually has.

        From medians of percentiles, which neither a hot pixel nor a charged slice changes.
        """
        tissues = [self.volume.tissue(index) for index in range(len(self.volume))]
        low, high = (
            float(np.median([getattr(t, name) for t in tissues if not t.lost]))
            for name in ("low", "high")
        )
        margin = BEYOND * (high - low)
        return low - margin, high + margin


class Sources:
    """All stacks that are trained on, as one.

    Parameters
    ----------
    sources : list of Source

    Attributes
    ----------
    volume, labels : Volume
        Slices of all stacks, one stack after another, padded to the largest size.
    """

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
        volumes = [source.volume for source in sources]
        labels = [source.labels for source in sources]
        several = len(sources) > 1
        self.volume: Volume = Joined(volumes) if several else volumes[0]
        self.labels: Volume = Joined(labels, padding=int(UNCOUNTED)) if several else labels[0]

    def check(self, progress: Progress) -> None:
        """Warn of everything that looks wrong."""
        for source in self._sources:
            warn_of_input(source.volume, source.labels, progress)
        first = self._sources[0]
        for other in self._sources[1:]:
            if first.voxel and other.voxel and other.voxel.in_pixels_of(first.voxel) is not None:
                progress.warn(
                    f"{other.volume.path}: pixels of {other.voxel.pixel}, and of "
                    f"{first.voxel.pixel} in {first.volume.path}: a network learns best what "
                    "looks the same everywhere; resample one of them"
                )

    def grey_ranges(self) -> list[tuple[float, float]]:
        """Grey range of every slice: that of its stack."""
        ranges = ((source.grey_range(), len(source.volume)) for source in self._sources)
        return [found for found, count in ranges for _ in range(count)]

    @property
    def voxel(self) -> Voxel | None:
        """Size of a voxel, if all stacks are known to have the same."""
        sizes = {source.voxel for source in self._sources}
        return sizes.pop() if len(sizes) == 1 else None

    def describe(self) -> list[dict[str, str | int]]:
        """Name, first slice and number of slices of each stack, for the manifest."""
        counts = [len(source.volume) for source in self._sources]
        return [
            {"name": source.name, "first": sum(counts[:number]), "slices": counts[number]}
            for number, source in enumerate(self._sources)
        ]

    def lines(self) -> list[str]:
        """Lines that say what was read."""
        return [str(stack) for one in self._sources for stack in (one.volume, one.labels)]

    def notes(self) -> list[str]:
        """Lines that say how labels were interpreted, where that may surprise."""
        return [source.labels.note for source in self._sources if source.labels.note]


def find_pairs(options: AugmentOptions) -> list[tuple[Path, Path]]:
    """Return the paths of images and their labels.

    Raises
    ------
    UsageError
        If one lacks the other, or a stack is given twice.
    """
    if len(options.volume) != len(options.labels):
        raise UsageError(
            f"--labels: expected one for each --volume, found {len(options.labels)} for "
            f"{len(options.volume)}; give them in the same order"
        )
    if len({volume.resolve() for volume in options.volume}) < len(options.volume):
        raise UsageError("--volume: expected each stack once, found one twice; leave one out")
    return [
        (find_stack(volume, "train-volume.tif"), find_stack(labels, "train-labels.tif"))
        for volume, labels in zip(options.volume, options.labels, strict=True)
    ]


@contextmanager
def open_sources(
    options: AugmentOptions, pairs: list[tuple[Path, Path]], *, invert: bool
) -> Iterator[Sources]:
    """Open all stacks.

    Raises
    ------
    InputError
        If images and labels do not fit each other or cannot be read.
    UsageError
        If the options that describe them make no sense.
    """
    voxel = parse_voxel(options.voxel)
    names = distinct_names(options.volume)
    with ExitStack() as opened:
        sources: list[Source] = []
        for (volume_path, labels_path), name in zip(pairs, names, strict=True):
            volume = opened.enter_context(open_volume(volume_path))
            known = voxel or volume.voxel
            first = sum(len(source.volume) for source in sources)
            meant = _of_one(
                understand(options, known),
                range(first, first + len(volume)),
                last=len(sources) == len(pairs) - 1,
                partial=any(source.labels.partial for source in sources),
            )
            labels = opened.enter_context(_open_labels(labels_path, volume, meant))
            check_same_shape(volume, labels)
            seen = Inverted(volume) if invert else volume
            sources.append(Source(name, seen, labels, known))
        yield Sources(sources)


def _of_one(
    understanding: Understanding, slices: range, *, last: bool, partial: bool
) -> Understanding:
    """Restrict what the options say of all labels to those of one stack.

    Slices are counted through all stacks, and a value need not occur in each: only the last stack
    is checked for slices and values that are in none.
    """
    kept = frozenset(
        index - slices.start
        for index in understanding.unlabelled_slices
        if index in slices or (last and index >= slices.stop)
    )
    return replace(understanding, unlabelled_slices=kept, must_occur=last and not partial)


def _open_labels(path: Path, volume: Volume, understanding: Understanding) -> Labels:
    """Open the labels; if they cannot be labels but the volume can, propose to swap them."""
    try:
        return open_labels(path, understanding)
    except InputError as error:
        if not error.expected.startswith("labels") or len(np.unique(volume[0])) > 2:
            raise
        raise InputError(
            path,
            expected="labels, of two values",
            found=f"{error.found}, and two values in {volume.path}",
            remedy="swap --volume and --labels",
        ) from error
