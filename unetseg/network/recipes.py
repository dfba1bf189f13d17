"""The networks and recipes that `unetseg train` knows; they are kept in the manifest of a model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

MOST_FILTERS = 2048  # at the lowest level; the U-Net of 2015 has 1024


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Architecture of a U-Net.

    Attributes
    ----------
    base_filters, depth, stride, batch_norm, dropout
        As for `unetseg.network.unet.build_unet`.
    border : int
        Mirrored context around a slice that is predicted, in pixels.
    """

    base_filters: int
    depth: int
    stride: int
    batch_norm: bool
    dropout: float
    border: int

    def __post_init__(self) -> None:
        # They may come from an untrusted manifest.
        bounds = {
            "base_filters": (1, MOST_FILTERS),
            "depth": (1, 8),
            "stride": (1, 16),
            "batch_norm": (False, True),
            "border": (0, 4096),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if type(value) is not type(high) or not low <= value <= high:
                raise ValueError(f"{name} is {value!r}, must be {low} to {high}")
        if not 0 <= self.dropout < 1 or self.base_filters << self.depth > MOST_FILTERS:
            raise ValueError(f"{self} is larger than any network of unetseg")

    @property
    def multiple(self) -> int:
        """What the sides of an image must be divisible by: the stem's stride and all poolings."""
        return self.stride << self.depth

    @property
    def halo(self) -> int:
        """Distance in pixels beyond which an input pixel cannot change an output pixel.

        Going back from the output, in pixels of the highest level: 2 for the two convolutions of
        each level on the way up, 2 pixels of size ``2**depth`` at the bottom, up to
        ``2**depth - 1`` because pooling goes by blocks, and the same convolutions on the way down.
        The stem widens each of these pixels to `stride` and reaches `stride` further.
        """
        block = 1 << self.depth
        one_way = 2 * (block - 1)
        inner = one_way + 2 * block + (block - 1) + one_way
        return inner if self.stride == 1 else self.stride * (inner + 1)


NETWORKS = {
    "compact": NetworkOptions(
        base_filters=32, depth=3, stride=2, batch_norm=True, dropout=0.0, border=32
    ),
    "paper": NetworkOptions(
        base_filters=64, depth=4, stride=1, batch_norm=False, dropout=0.5, border=32
    ),
}


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """How a network is trained.

    Attributes
    ----------
    learning_rate, warm_up, decay, weight_decay, clip_norm
        As for `unetseg.network.training.Trainer`.
    weighted : bool
        Weight the loss by the weight maps of `unetseg preprocess`, and calibrate the outputs on
        slices that are set apart for that, if there are enough.
    batch_norm : bool
        Keep the network's batch normalisation, if it has any.
    epochs : int
        Length of training by default.
    """

    learning_rate: float
    warm_up: float
    decay: bool
    weight_decay: float
    clip_norm: float
    weighted: bool
    batch_norm: bool
    epochs: int

    def for_trainer(self) -> dict[str, Any]:
        """The settings that `Trainer` takes, by name."""
        settings = dataclasses.asdict(self)
        del settings["weighted"], settings["batch_norm"]
        return settings


RECIPES = {
    "default": RecipeOptions(
        learning_rate=1e-3,
        warm_up=0.1,
        decay=True,
        weight_decay=0.01,
        clip_norm=1.0,
        weighted=True,
        batch_norm=True,
        epochs=20,
    ),
    "paper": RecipeOptions(
        learning_rate=1e-4,
        warm_up=0.0,
        decay=False,
        weight_decay=0.0,
        clip_norm=0.0,
        weighted=False,
        batch_norm=False,
        epochs=20,
    ),
}

# Recipes that differ if training starts from a model: with more steps it forgets more than a few
# slices teach, and with many slices it needs no more steps (benchmarks/recipe.md).
FINE_TUNING = {
    "default": dataclasses.replace(RECIPES["default"], learning_rate=3e-4, epochs=3),
}
