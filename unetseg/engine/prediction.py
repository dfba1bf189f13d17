"""Trained networks applied to slices of any size, whole or in parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.intensity import NORMALISATIONS
from unetseg.arrays.tiles import Box, Canvas, plan_boxes, predict_box
from unetseg.artifacts.manifest import MANIFEST, Manifest, open_stage
from unetseg.errors import InputError, UsageError
from unetseg.network.inference import fold_normalisation, longest_edge, prepare
from unetseg.network.recipes import NetworkOptions
from unetseg.network.saving import load_weights
from unetseg.network.unet import build_unet
from unetseg.stacks.pieces import Piece
from unetseg.stacks.volume import Volume

if TYPE_CHECKING:
    import keras

# Pixels of a slice that are read at once to measure it, whatever the memory: another number would
# round differently.
MEASURED_AT_ONCE = 2**22

# Smaller pieces would hold little but halo.
SMALLEST_BOX = 128


def build_network(network: NetworkOptions, *, seed: int) -> keras.Model:
    """Build the network that these settings describe."""
    settings = dataclasses.asdict(network)
    del settings["border"]  # of prediction, not of the network
    return build_unet(**settings, seed=seed)


class Predictor:
    """One network, and what there is to know to predict any part of a slice with it.

    Parameters
    ----------
    model : keras.Model
        As from `build_network`.
    network : NetworkOptions
        Its settings.

    Attributes
    ----------
    network : keras.Model
        What predicts: the model, its normalisation folded into its convolutions.
    run : callable
        The same as a function of one image, as from `unetseg.network.inference.prepare`.
    """

    def __init__(self, model: keras.Model, network: NetworkOptions) -> None:
        self._model = model
        self._settings = network
        self.network = build_network(dataclasses.replace(network, batch_norm=False), seed=0)
        self.run = prepare(self.network)
        self.take_weights()
        self._weights = model.count_params()

    def take_weights(self) -> None:
        """Predict with what the weights of the model are now."""
        fold_normalisation(self._model, self.network)

    def largest_box(self, *, memory: float) -> int:
        """Edge in pixels of the largest square that fits into the memory, in bytes.

        Raises
        ------
        UsageError
            If hardly anything fits.
        """
        edge = longest_edge(
            memory=memory,
            base_filters=self._settings.base_filters,
            stride=self._settings.stride,
            weights=self._weights,
        )
        box = edge - 2 * (self._settings.halo + self._settings.multiple)
        if box < SMALLEST_BOX:
            raise UsageError(
                f"--memory: expected more than {memory / 1e9:.2g}GB, which this network does not "
                "fit into; give 2GB"
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
        """Probability of interior in a part of a slice: the same whatever the part.

        Parameters
        ----------
        read : callable
            Takes a box, returns its standardised pixels.
        box : Box
            The part.
        shape : (H, W)
            Of the slice.
        tta : bool
            Average over the 8 flips and rotations.
        """
        canvas = Canvas(*shape, border=self._settings.border, multiple=self._settings.multiple)
        return predict_box(read, box, self.run, canvas=canvas, halo=self._settings.halo, tta=tta)

    def predict_slice(
        self, image: npt.NDArray[np.float32], *, tta: bool, memory: float
    ) -> npt.NDArray[np.float32]:
        """Probability of interior of one standardised slice, (H, W) float32."""
        height, width = image.shape
        result = np.empty((height, width), np.float32)
        edge = self.largest_box(memory=memory)
        for box in plan_boxes((height, width), largest=(edge, edge), multiple=1):
            result[box] = self.predict(image.__getitem__, box, shape=(height, width), tta=tta)
        return result


class Ensemble:
    """Trained models, whose probabilities are averaged.

    Parameters
    ----------
    folders : sequence of Path
        That `unetseg train` wrote.
    tta : bool
        Average over the 8 flips and rotations.

    Raises
    ------
    InputError
        If a folder is not complete, or holds a model that this version does not know.
    """

    def __init__(self, folders: Sequence[Path], *, tta: bool) -> None:
        self._tta = tta
        self._members = [
            (load_predictor(folder), open_model(folder).details["normalisation"])
            for folder in folders
        ]
        self._normalise = lru_cache(maxsize=8)(self._measure)

    def _measure(self, volume: Volume, index: int, name: str) -> Any:
        """Normalisation of one slice, which is read once from end to end."""
        _, height, width = volume.shape
        rows = max(1, MEASURED_AT_ONCE // width)
        starts = range(0, height, rows)
        return NORMALISATIONS[name].of(
            volume.part(index, (slice(start, min(start + rows, height)), slice(0, width)))
            for start in starts
        )

    def plan(self, shape: tuple[int, int, int], *, memory: float, multiple: int) -> list[Piece]:
        """Cut a stack into pieces that fit into the memory, in bytes.

        `multiple` is where pieces must end, but for the end of a slice.
        """
        edge = min(predictor.largest_box(memory=memory) for predictor, _ in self._members)
        boxes = plan_boxes(shape[1:], largest=(edge, edge), multiple=multiple)
        return [Piece.of(index, box) for index in range(shape[0]) for box in boxes]

    def predict(self, volume: Volume, piece: Piece) -> npt.NDArray[np.float32]:
        """Probability of interior in a piece of a stack."""
        total = np.zeros((piece.bottom - piece.top, piece.right - piece.left), np.float32)
        for predictor, name in self._members:
            normalise = self._normalise(volume, piece.index, name)

            def read(box: Box, normalise: Any = normalise) -> npt.NDArray[np.float32]:
                normalised: npt.NDArray[np.float32] = normalise(volume.part(piece.index, box))
                return normalised

            total += predictor.predict(read, piece.box, shape=volume.shape[1:], tta=self._tta)
        total /= len(self._members)
        return total


def load_predictor(folder: Path) -> Predictor:
    """The network that `unetseg train` left in a folder, ready to predict.

    Raises
    ------
    InputError
        As for `load_network`.
    """
    return Predictor(*load_network(folder))


def load_network(folder: Path) -> tuple[keras.Model, NetworkOptions]:
    """The network that `unetseg train` left in a folder, as it was trained, and its settings.

    Raises
    ------
    InputError
        As for `open_model`, or if the weights are damaged.
    """
    network = NetworkOptions(**open_model(folder).details["network"])
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
    manifest = open_stage(folder, stage="train", fresh=False)
    try:
        NetworkOptions(**manifest.details["network"])
        NORMALISATIONS[manifest.details["normalisation"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            folder / MANIFEST,
            expected="the settings of a model",
            found=f"none that this version knows ({error})",
            remedy="use the version of unetseg that trained it",
        ) from error
    return manifest
