"""What training starts from: random weights, or those of a trained model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetseg.artifacts.ancestry import calibration_of
from unetseg.artifacts.finding import STARTER, find_model
from unetseg.artifacts.manifest import Manifest
from unetseg.engine.prediction import build_network, open_model, read_network
from unetseg.errors import InputError
from unetseg.network.calibration import rescale
from unetseg.network.recipes import FINE_TUNING, NETWORKS, RECIPES, NetworkOptions, RecipeOptions
from unetseg.options import NOTHING, TrainOptions
from unetseg.stacks.voxel import Voxel

if TYPE_CHECKING:
    import keras


# With pixels twice as large, training from the starter is still far better than from nothing
# (docs/few-labels.md); beyond that nothing was measured.
MOST_RESIZED = 2.0


@dataclass(frozen=True)
class Parent:
    """A model to start training from.

    Attributes
    ----------
    name : Path
        Name or path that the user knows it by.
    folder : Path
        Where it lies.
    manifest : Manifest
    """

    name: Path
    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, name: Path) -> Parent:
        """Open the folder of a model, or the starter.

        Raises
        ------
        InputError
            If it is no model that this version knows.
        """
        folder = find_model(name)
        return cls(name, folder, open_model(folder))

    @property
    def normalisation(self) -> str:
        """Name of the normalisation of its images."""
        return str(self.manifest.details["normalisation"])

    @property
    def network(self) -> NetworkOptions:
        """Settings of its network."""
        return NetworkOptions(**self.manifest.details["network"])

    def other_pixels(self, details: dict[str, Any]) -> str | None:
        """Say how pixel sizes of prepared slices differ from its own; None if they do not."""
        known, here = (Voxel.recorded(one) for one in (self.manifest.details, details))
        if known is None or here is None or here.in_pixels_of(known) is None:
            return None
        return f"knows pixels of {known.pixel}, and those here are of {here.pixel}"

    def is_near(self, details: dict[str, Any]) -> bool:
        """Whether pixel sizes differ by a factor of MOST_RESIZED at most, as far as is known."""
        known, here = (Voxel.recorded(one) for one in (self.manifest.details, details))
        sides = known and here and here.in_pixels_of(known)
        return not sides or all(1 / MOST_RESIZED <= side <= MOST_RESIZED for side in sides)


@dataclass(frozen=True)
class Start:
    """A network with its first weights, and how it is to be trained.

    Attributes
    ----------
    network : NetworkOptions
    recipe : RecipeOptions
    model : keras.Model
    """

    network: NetworkOptions
    recipe: RecipeOptions
    model: keras.Model


def find_parent(options: TrainOptions, details: dict[str, Any]) -> Parent | None:
    """Find the model to start from: that of the options, or else the starter if it fits.

    Parameters
    ----------
    options : TrainOptions
    details : dict
        Details of the manifest of the prepared slices.

    Raises
    ------
    InputError
        If that of the options is no model, or its images were normalised differently.
    """
    if options.from_ == NOTHING:
        return None
    parent = Parent.open(options.from_ or STARTER)
    here = details["normalisation"]
    if options.from_ is None:
        fits = (
            options.recipe in FINE_TUNING
            and _same(parent.network, network_of(options))
            and parent.normalisation == here
            and parent.is_near(details)
        )
        return parent if fits else None
    if parent.normalisation != here:
        raise InputError(
            parent.folder,
            expected=f"a model of images that were normalised as here ({here})",
            found=f"{parent.normalisation}, of an earlier version",
            remedy="train that model again with this version, or leave out --from",
        )
    return parent


def network_of(options: TrainOptions) -> NetworkOptions:
    """Return the settings of the network to train."""
    network = NETWORKS[options.network]
    return replace(network, batch_norm=network.batch_norm and RECIPES[options.recipe].batch_norm)


def recipe_of(options: TrainOptions, parent: Parent | None) -> RecipeOptions:
    """Return how to train, from random weights or from a model."""
    known = RECIPES if parent is None else {**RECIPES, **FINE_TUNING}
    given = {name: getattr(options, name) for name in ("learning_rate", "epochs")}
    return replace(
        known[options.recipe], **{name: one for name, one in given.items() if one is not None}
    )


def begin(options: TrainOptions, parent: Parent | None) -> Start:
    """Build the network, with random weights or with those of another model.

    Parameters
    ----------
    options : TrainOptions
    parent : Parent, optional
        The model to start from.

    Raises
    ------
    InputError
        If the network of the parent is not the one to train, or its weights are damaged.
    """
    recipe, network = recipe_of(options, parent), network_of(options)
    if parent is None:
        return Start(network, recipe, build_network(network, seed=options.seed))
    if not _same(parent.network, network):
        raise InputError(
            parent.folder,
            expected=f"the network to train ({_describe(network)})",
            found=_describe(parent.network),
            remedy="give --network and --recipe as for the model that --from names",
        )
    model, _ = read_network(parent.folder, parent.manifest)
    calibration = calibration_of(parent.manifest.details)
    if calibration is not None and recipe.weighted:
        # A weighted loss trains the logits as they were before calibration.
        scale, shift = calibration
        rescale(model, 1 / scale, -shift / scale)
    return Start(network, recipe, model)


def _same(one: NetworkOptions, other: NetworkOptions) -> bool:
    """Whether weights of one fit the other; the border only concerns prediction."""
    return replace(one, border=other.border) == other


def _describe(network: NetworkOptions) -> str:
    settings: dict[str, Any] = dataclasses.asdict(network)
    del settings["border"]
    return ", ".join(f"{name} {value}" for name, value in settings.items())
