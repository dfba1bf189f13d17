"""Check what later stages rely on in earlier manifests, which may come from strangers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetseg.errors import InputError

if TYPE_CHECKING:
    from unetseg.artifacts.manifest import Manifest

# Passed on from `unetseg augment` to the model; `unetseg predict` compares stacks with it.
STACK: dict[str, Any] = {"voxel?": [float], "dark_lines?": float}

# Image stacks and labels that were trained on; for images, where their slices are among all.
DATA = [{"name": str, "first?": int, "slices?": int}]

# What later stages read in the details of earlier ones. A list of one type holds any number of it;
# what ends in ? may be missing.
DETAILS: dict[str, dict[str, Any]] = {
    "augment": {
        "sources": [int],
        "volumes?": [{"name": str, "first": int, "slices": int}],
        "grey_ranges?": [[float]],
        **STACK,
    },
    "preprocess": {
        "held_out": [int],
        "train_sources": [int],
        "train_grey_ranges?": [[float]],
        "held_out_grey_ranges?": [[float]],
        "normalisation": str,
        "data": DATA,
        **STACK,
    },
    "train": {
        "network": dict,
        "normalisation": str,
        "held_out": [int],
        "train_slices": [int],
        "epochs_run": int,
        "keras": str,
        "data": DATA,
        "ancestors?": [{"data": DATA, "train_slices": [int], "fitted_on": [int]}],
        "scores?": {"v_rand": float, "v_info": float},
        **STACK,
    },
    "predict": {"trained_on?": [int]},
}
# What reports and exported packages need in addition.
MODEL = {
    "recipe": {"weighted": bool},
    "kept_epoch": int,
    "minutes_trained": float,
    "backend": str,
    "precision": str,
    "weights_sha256": str,
    "data": [{"name": str, "sha256": str}],
}
OPTIONS: dict[str, dict[str, Any]] = {"train": {"network": str}}

# Stages that must have inputs; all stages must have outputs.
READERS = ("augment", "preprocess", "train", "predict", "segment", "evaluate")


def check_form(value: Any, form: Any, name: str = "it") -> None:
    """Raise a TypeError unless a value read from JSON has a form, written as in `DETAILS`."""
    kind: type[Any] = form if isinstance(form, type) else type(form)
    whole = kind is float and type(value) is int  # JSON may write a float as an integer
    if not isinstance(value, kind) and not whole:
        raise TypeError(f"{name} is of type {type(value).__name__}, not {kind.__name__}")
    if isinstance(form, dict):
        for name_in_form, part in form.items():
            key = name_in_form.removesuffix("?")
            if key != name_in_form and value.get(key) is None:
                continue
            if key not in value:
                raise TypeError(f"{key} is missing")
            check_form(value[key], part, key)
    if isinstance(form, list):
        for item in value:
            check_form(item, form[0], f"a part of {name}")


def of_the_stack(manifest: Manifest) -> dict[str, Any]:
    """Return the details that the next stage copies to its own manifest."""
    names = [name.removesuffix("?") for name in STACK]
    return {name: manifest.details.get(name) for name in names}


def require(manifest: Manifest, path: Path, *, details: dict[str, Any]) -> None:
    """Check, before any work is done, that a manifest says what a stage needs.

    Parameters
    ----------
    manifest : Manifest
    path : Path
        Path of its file.
    details : dict
        What must be in its details, written as in `DETAILS`.

    Raises
    ------
    InputError
        If it does not.
    """
    stage = manifest.stage
    try:
        check_form(manifest.details, details)
        check_form(manifest.options, OPTIONS.get(stage, {}))
        if (stage in READERS and not manifest.inputs) or not manifest.outputs:
            raise TypeError("inputs or outputs are missing")
    except TypeError as error:
        raise InputError(
            path,
            expected=f"what unetseg {stage} writes of its results",
            found=f"something else ({error})",
            remedy=f"run unetseg {stage} again with this version",
        ) from error
