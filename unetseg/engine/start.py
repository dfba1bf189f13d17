"""What a course of training begins with: nothing, or a model that has learned something."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetseg.artifacts.ancestry import calibration_of
from unetseg.artifacts.manifest import Manifest
from unetseg.engine.prediction import build_network, read_network
from unetseg.errors import InputError
from unetseg.network.calibration import rescale
from unetseg.network.recipes import FINE_TUNING, NETWORKS, RECIPES, NetworkOptions, RecipeOptions
from unetseg.options import TrainOptions

if TYPE_CHECKING:
    import keras


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


def recipe_of(options: TrainOptions) -> RecipeOptions:
    """How to train, from nothing or from a model."""
    known = RECIPES if options.from_ is None else {**RECIPES, **FINE_TUNING}
    given = {name: getattr(options, name) for name in ("learning_rate", "epochs")}
    return replace(
        known[options.recipe], **{name: one for name, one in given.items() if one is not None}
    )


def begin(options: TrainOptions, parent: tuple[Path, Manifest] | None) -> Start:
    """Build the network, with random weights or with those of another model.

    Parameters
    ----------
    options : TrainOptions
    parent : (Path, Manifest), optional
        Folder of the model to begin with, as from `unetseg.engine.prediction.open_model`.

    Raises
    ------
    InputError
        If that is another network than the one to train, or damaged.
    """
    recipe = recipe_of(options)
    network = NETWORKS[options.network]
    network = replace(network, batch_norm=network.batch_norm and recipe.batch_norm)
    if parent is None:
        return Start(network, recipe, build_network(network, seed=options.seed))
    folder, manifest = parent
    model, known = read_network(folder, manifest)
    if replace(known, border=network.border) != network:
        raise InputError(
            folder,
            expected=f"the network to train ({_describe(network)})",
            found=_describe(known),
            remedy="give --network and --recipe as for the model that --from names",
        )
    calibration = calibration_of(manifest.details)
    if calibration is not None and recipe.weighted:
        # A weighted loss teaches logits as they were before.
        scale, shift = calibration
        rescale(model, 1 / scale, -shift / scale)
    return Start(network, recipe, model)


def _describe(network: NetworkOptions) -> str:
    settings: dict[str, Any] = dataclasses.asdict(network)
    del settings["border"]
    return ", ".join(f"{name} {value}" for name, value in settings.items())
