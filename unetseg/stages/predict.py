"""`unetseg predict`: the probability of cell interior for every pixel of new slices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.intensity import NORMALISATIONS
from unetseg.artifacts import StageResult, StageWriter
from unetseg.errors import InputError
from unetseg.manifest import MANIFEST, Manifest, open_stage
from unetseg.network.saving import load_weights
from unetseg.options import NetworkOptions, PredictOptions
from unetseg.prediction import SlicePredictor, build_network
from unetseg.progress import Progress
from unetseg.tiff import Stack, find_stack

NAME = "prediction.tif"


def predict(options: PredictOptions, progress: Progress) -> StageResult:
    """Predict a stack of any size with a trained model.

    Parameters
    ----------
    options : PredictOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If the model folder is not complete or the volume cannot be read.
    """
    folder = options.model.parent if options.model.suffix == ".keras" else options.model
    manifest = open_stage(folder, stage="train", fresh=False)
    volume_path = find_stack(options.volume, "test-volume.tif")
    with Stack(volume_path) as volume:
        writer = StageWriter(
            options.output,
            stage="predict",
            options=options.recorded(),
            inputs=[folder / MANIFEST, volume_path],
            names=[NAME],
        )
        if not options.force and writer.is_current():
            return writer.nothing_to_do("unetseg evaluate")
        predictions = _predict(volume, folder, manifest.details, options)
        with writer:
            tracked = progress.track(predictions, total=len(volume), label="predict", unit="slice")
            writer.write_stack(
                NAME, tracked, shape=volume.shape, dtype=np.float32, display_range=(0.0, 1.0)
            )
        read = [f"{folder}: {_describe(manifest)}", str(volume)]
    return StageResult(
        read=read,
        wrote=writer.wrote(),
        notes=["0 is certainly membrane, 1 certainly interior"],
        next_command="unetseg evaluate",
    )


def _describe(manifest: Manifest) -> str:
    """What made a model, and how good it is."""
    options, details = manifest.options, manifest.details
    # Earlier versions did not say what data it was.
    names = " and ".join(source["name"] for source in details.get("data", []))
    text = (
        f"{options['network']} network, {details['epochs_run']} epochs on "
        f"{len(details.get('train_slices', []))} slices of {names or 'unknown stacks'}"
    )
    scores = details.get("scores")
    if scores is None:
        return f"{text}; no held-out slices"
    return f"{text}; held-out V_Rand {scores['v_rand']:.4f} V_Info {scores['v_info']:.4f}"


def _predict(
    volume: Stack, folder: Path, details: dict[str, Any], options: PredictOptions
) -> Iterator[npt.NDArray[np.float32]]:
    """Predict slice by slice, with the settings that the model was trained with."""
    try:
        normalise = NORMALISATIONS[details["normalisation"]]
        network = NetworkOptions(**details["network"])
    except (KeyError, TypeError) as error:
        raise InputError(
            folder / MANIFEST,
            expected="the settings of a model",
            found=f"none that this version knows ({error})",
            remedy="use the version of unetseg that trained it",
        ) from error
    model = build_network(network, seed=0)
    load_weights(model, folder / "model.keras")
    predict_slice = SlicePredictor(model, network, memory=options.memory)
    for image in volume:
        yield predict_slice(normalise(image), tta=options.tta)
