"""Packages of bioimage.io: a zipped model that describes itself; the only module that knows them.

Format 0.5 (bioimage.io/docs, model description), as the installed bioimageio.spec has it.
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetseg.arrays.intensity import DEVIATIONS, LEAST, MOST
from unetseg.arrays.tissue import HIGH, LOW
from unetseg.errors import UnetsegError, UsageError
from unetseg.models.modelcard import CITATIONS, ModelCard

# The normalisations of unetseg.arrays.intensity.NORMALISATIONS as operations of the format.
NORMALISATIONS: dict[str, list[dict[str, Any]]] = {
    "slice-percentiles": [
        {
            "id": "scale_range",
            "kwargs": {"axes": ["y", "x"], "min_percentile": LOW, "max_percentile": HIGH},
        },
        {"id": "clip", "kwargs": {"min": LEAST, "max": MOST}},
        {"id": "scale_linear", "kwargs": {"gain": DEVIATIONS, "offset": -DEVIATIONS / 2}},
    ],
    "slice-standard": [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}],
}

ONNX, KERAS = "weights.onnx", "weights.keras"
TEST_INPUT, TEST_OUTPUT = "test-input.npy", "test-output.npy"
DOCUMENT, COVER, DESCRIPTION = "README.md", "cover.png", "bioimageio.yaml"

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold


@dataclass(frozen=True)
class Weights:
    """What the format requires about the weights.

    Attributes
    ----------
    keras, backend, backend_version : str
        Version of Keras, and name and version of its backend, with which they were trained.
    opset : int
        Of the ONNX file.
    """

    keras: str
    backend: str
    backend_version: str
    opset: int


def import_bioimageio(backend: str) -> Any:
    """Import bioimageio.core, which is needed only to export to bioimage.io.

    `backend` is that of Keras, which the package would otherwise change for the whole process.
    """
    os.environ.setdefault("KERAS_BACKEND", backend)
    try:
        with quiet():
            import bioimageio.core
            import bioimageio.spec
    except ImportError as error:
        raise UnetsegError(
            f"bioimage.io: expected the package {error.name}, found none; "
            "pip install 'unetseg[export]'"
        ) from error
    return bioimageio


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress progress bars, warnings and log messages of other packages."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
            gc.collect()  # warnings about files left open come here
        finally:
            logging.disable(logging.NOTSET)


def smallest_tile(card: ModelCard) -> int:
    """Return the smallest edge of a tile in pixels: its halo, and pixels inside it."""
    return 2 * (card.halo + card.multiple)


def describe_package(
    card: ModelCard, weights: Weights, *, author: str | None, licence: str | None
) -> dict[str, Any]:
    """Return the description of a package, as written to its bioimageio.yaml."""
    edge = {"min": smallest_tile(card), "step": card.multiple}
    same = {"halo": card.halo, "type": "space"}
    return {
        "type": "model",
        "name": card.name,
        "description": card.task,
        "documentation": {"source": DOCUMENT},
        "covers": [{"source": COVER}],
        **({"authors": [{"name": author}]} if author else {}),
        **({"license": licence} if licence else {}),
        "cite": [{"text": text, "doi": doi} for doi, text in CITATIONS.items()],
        "tags": ["electron-microscopy", "membrane", "semantic-segmentation", "unet", "2d"],
        "inputs": [
            {
                "id": "image",
                "description": "grey levels of a slice",
                "axes": [
                    {"type": "batch"},
                    {"type": "space", "id": "y", "size": edge, "concatenable": True},
                    {"type": "space", "id": "x", "size": edge, "concatenable": True},
                    {"type": "channel", "channel_names": ["grey"]},
                ],
                "data": {"type": "float32"},
                "test_tensor": {"source": TEST_INPUT},
                "preprocessing": NORMALISATIONS[card.normalisation],
            }
        ],
        "outputs": [
            {
                "id": "interior",
                "description": "probability of lying inside a cell; 0 is certainly membrane",
                "axes": [
                    {"type": "batch"},
                    {"id": "y", "size": {"tensor_id": "image", "axis_id": "y"}, **same},
                    {"id": "x", "size": {"tensor_id": "image", "axis_id": "x"}, **same},
                    {"type": "channel", "channel_names": ["interior"]},
                ],
                "data": {"type": "float32", "range": [0.0, 1.0]},
                "test_tensor": {"source": TEST_OUTPUT},
            }
        ],
        "weights": {
            "keras_v3": {
                "source": KERAS,
                "keras_version": weights.keras,
                "backend": [weights.backend, weights.backend_version],
            },
            "onnx": {"source": ONNX, "opset_version": weights.opset, "parent": "keras_v3"},
        },
    }


def write_package(path: Path, folder: Path, description: dict[str, Any]) -> None:
    """Zip a folder of weights, test tensors, document and cover, with its description.

    Equal folders give equal files: times are not recorded.

    Raises
    ------
    UsageError
        If bioimageio.spec rejects the description; only what the user typed can be the cause.
    """
    from bioimageio import spec
    from bioimageio.spec.model.v0_5 import ModelDescr

    versioned = {**description, "format_version": ModelDescr.implemented_format_version}
    with quiet():
        described = spec.build_description(versioned, context=spec.ValidationContext(root=folder))
        if isinstance(described, spec.InvalidDescr):
            errors = described.validation_summary.details[-1].errors
            found = "; ".join(f"{'.'.join(map(str, e.loc))}: {e.msg}" for e in errors)
            raise UsageError(
                f"--format bioimageio: expected what bioimage.io accepts, found {found}"
            )
        spec.save_bioimageio_yaml_only(described, folder / DESCRIPTION)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for file in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(file.name, LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16  # otherwise only the owner may read it
            with file.open("rb") as source, package.open(entry, "w") as target:
                shutil.copyfileobj(source, target)


def run_package(path: Path) -> float:
    """Run a package on its test input.

    Returns
    -------
    float
        Largest difference from its test output, over all weights in it.
    """
    with quiet():
        return max(_difference(path, weights) for weights in ("onnx", "keras_v3"))


def check_package(path: Path) -> str:
    """Run the tests of bioimageio.core: several sizes and batches, among others.

    Returns
    -------
    str
        What failed, in one line; empty if nothing did.
    """
    with quiet():
        return _test(path)


def _difference(path: Path, weights: Any) -> float:
    """Return the largest difference of bioimageio.core's output from the test output."""
    from bioimageio.core import create_prediction_pipeline, load_model_description
    from bioimageio.core.digest_spec import get_test_input_sample

    model = load_model_description(path)
    with create_prediction_pipeline(model, weights_format=weights) as pipeline:
        sample = pipeline.predict_sample_without_blocking(
            get_test_input_sample(model), skip_input_padding=True, skip_output_cropping=True
        )
    found = np.asarray(sample.members["interior"].data)
    return float(np.abs(found - model.get_output_test_arrays()[0]).max())


def _test(path: Path) -> str:
    from bioimageio.core import test_model

    summary = test_model(path)
    if summary.status == "passed":
        return ""
    errors = [
        f"{detail.name}: {error.msg}" for detail in summary.details for error in detail.errors
    ]
    return " ".join("; ".join(errors).split()) or summary.status
