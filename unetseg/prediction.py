"""A network applied to whole slices of any size: what training and prediction share."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unetseg.arrays.tiles import predict_slice
from unetseg.network.inference import compile_for_prediction, longest_edge, predict_image
from unetseg.network.unet import build_unet, halo, total_pooling
from unetseg.options import NetworkOptions

if TYPE_CHECKING:
    import keras


def build_network(network: NetworkOptions, *, seed: int) -> keras.Model:
    """Build the network that these settings describe."""
    settings = dataclasses.asdict(network)
    del settings["border"]  # of prediction, not of the network
    return build_unet(**settings, seed=seed)


class SlicePredictor:
    """Predicts slices of any size with one network.

    Parameters
    ----------
    model : keras.Model
        As from `build_network`.
    network : NetworkOptions
        Its settings.
    memory : float
        What the network may take, in gigabytes (10^9 bytes).
    """

    def __init__(self, model: keras.Model, network: NetworkOptions, *, memory: float) -> None:
        self._model = compile_for_prediction(model)
        self._network = network
        self._edge = longest_edge(
            memory=memory, base_filters=network.base_filters, stride=network.stride
        )

    def __call__(self, image: npt.NDArray[np.float32], *, tta: bool) -> npt.NDArray[np.float32]:
        """Probability of interior of one standardised slice, (H, W) float32.

        `tta` averages over the 8 flips and rotations.
        """
        return predict_slice(
            image,
            lambda tile: predict_image(self._model, tile),
            border=self._network.border,
            multiple=total_pooling(depth=self._network.depth, stride=self._network.stride),
            halo=halo(depth=self._network.depth, stride=self._network.stride),
            edge=self._edge,
            tta=tta,
        )
