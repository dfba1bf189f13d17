"""A trained network applied to slices of any size, whole or in parts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.intensity import NORMALISATIONS
from unetseg.arrays.tiles import Box, Canvas, plan_boxes, predict_box, predict_views
from unetseg.artifacts.ancestry import calibration_of
from unetseg.artifacts.manifest import MANIFEST, Manifest, open_stage
from unetseg.errors import InputError, UsageError
from unetseg.network.inference import (
    fold_normalisation,
    least_memory,
    longest_edge,
    prepare,
)
from unetseg.network.recipes import NetworkOptions
from unetseg.network.saving import load_weights
from unetseg.network.unet import build_unet
from unetseg.stacks.voxel import Voxel

if TYPE_CHECKING:
    import keras

# Smaller pieces would hold little but halo.
SMALLEST_BOX = 128


def build_network(network: NetworkOptions, *, seed: int) -> keras.Model:
    """Build the network that these settings describe."""
    settings = dataclasses.asdict(network)
    del settings["border"]  # it concerns prediction, not the network
    return build_unet(**settings, seed=seed)


class Predictor:
    """A network, ready to predict any part of a slice.

    Parameters
    ----------
    model : keras.Model
        As from `build_network`.
    network : NetworkOptions
        Its settings.

    Attributes
    ----------
    network : keras.Model
        The model with its batch normalisation folded into its convolutions; this one predicts.
    run : callable
        This network as a function of one image, from `unetseg.network.inference.prepare`.
    """

    def __init__(self, model: keras.Model, network: NetworkOptions) -> None:
        self._model = model
        self._settings = network
        self.network = build_network(dataclasses.replace(network, batch_norm=False), seed=0)
        self.run = prepare(self.network)
        self.take_weights()
        self.weights: int = model.count_params()

    def take_weights(self) -> None:
        """Update to the present weights of the model."""
        fold_normalisation(self._model, self.network)

    def largest_box(self, *, memory: float, overhead: float = 0) -> int:
        """Edge in pixels of the largest square that fits into `memory` bytes.

        Parameters
        ----------
        memory : float
        overhead : float
            Bytes of it that others take: the reader of the pixels, further networks.

        Raises
        ------
        UsageError
            If not even a square of SMALLEST_BOX fits.
        """
        network = {
            "base_filters": self._settings.base_filters,
            "stride": self._settings.stride,
            "weights": self.weights,
        }
        around = 2 * (self._settings.halo + self._settings.multiple)
        box = longest_edge(memory=memory - overhead, **network) - around
        if box < SMALLEST_BOX:
            needed = overhead + least_memory(SMALLEST_BOX + around, **network)
            raise UsageError(
                f"--memory: expected more than {memory / 1e9:.2g}GB, which models and slices do "
                f"not fit into; give {math.ceil(needed / 1e8 + 0.1) / 10}GB"
            )
        return box

    def predict(
        self,
        read: Callable[[Box], npt.NDArray[np.float32]],
        box: Box,
        *,
        shape: tuple[int, int],
        tta: bool,
    ) -> npt.NDArray[np.float32]:
        """Return the probability of interior in a part of a slice; it does not depend on the part.

        Parameters
        ----------
        read : callable
            Takes a box, returns its normalised pixels.
        box : Box
            The part.
        shape : (H, W)
            Shape of the slice.
        tta : bool
            Average over the 8 flips and rotations.
        """
        return predict_box(read, box, self.run, **self._around(shape), tta=tta)

    def predict_views(
        self,
        read: Callable[[Box], npt.NDArray[np.float32]],
        box: Box,
        *,
        shape: tuple[int, int],
        tta: bool,
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the probability under each of the 8 flips and rotations that `predict` averages."""
        return predict_views(read, box, self.run, **self._around(shape), tta=tta)

    def _around(self, shape: tuple[int, int]) -> dict[str, Any]:
        """Canvas of a slice, and the halo that the network needs around a part of it."""
        canvas = Canvas(*shape, border=self._settings.border, multiple=self._settings.multiple)
        return {"canvas": canvas, "halo": self._settings.halo}

    def predict_slice(
        self, image: npt.NDArray[np.float32], *, tta: bool, memory: float
    ) -> npt.NDArray[np.float32]:
        """Return the probability of interior of one normalised slice, (H, W) float32."""
        height, width = image.shape
        result = np.empty((height, width), np.float32)
        edge = self.largest_box(memory=memory)
        for box in plan_boxes((height, width), largest=(edge, edge), multiple=1):
            result[box] = self.predict(image.__getitem__, box, shape=(height, width), tta=tta)
        return result


def load_predictor(folder: Path) -> Predictor:
    """Load the network that `unetseg train` wrote to a folder, ready to predict.

    Raises
    ------
    InputError
        As for `load_network`.
    """
    return Predictor(*load_network(folder))


def load_network(folder: Path) -> tuple[keras.Model, NetworkOptions]:
    """Load the network that `unetseg train` wrote to a folder, as trained, and its settings.

    Raises
    ------
    InputError
        As for `open_model`, or if the weights are damaged.
    """
    return read_network(folder, open_model(folder))


def read_network(folder: Path, manifest: Manifest) -> tuple[keras.Model, NetworkOptions]:
    """Load network and settings of a model whose manifest was read by `open_model`.

    Raises
    ------
    InputError
        If the weights are damaged.
    """
    network = NetworkOptions(**manifest.details["network"])
    model = build_network(network, seed=0)
    load_weights(model, folder / "model.keras")
    return model, network


def open_model(folder: Path) -> Manifest:
    """Check that a model is complete and that this version knows its settings.

    Raises
    ------
    InputError
        If not.
    """
    if folder.suffix in (".h5", ".hdf5", ".keras") and not folder.is_dir():
        raise InputError(
            folder,
            expected="a folder of unetseg train",
            found="a model file alone, which may carry code and does not say how its images were "
            "normalised",
            remedy="give the folder, with its manifest.json",
        )
    if not (folder / MANIFEST).is_file():
        raise InputError(
            folder,
            expected="the finished results of unetseg train",
            found="no manifest.json" if folder.is_dir() else "no such folder",
            remedy="run unetseg train first, or name starter, the model that comes with unetseg",
        )
    manifest = open_stage(folder, stage="train", fresh=False)
    try:
        NetworkOptions(**manifest.details["network"])
        NORMALISATIONS[manifest.details["normalisation"]]
        Voxel.recorded(manifest.details)
        calibration_of(manifest.details)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            folder / MANIFEST,
            expected="the settings of a model",
            found=f"none that this version knows ({error})",
            remedy="use the version of unetseg that trained it",
        ) from error
    return manifest
