"""What the models that a model was trained from have seen, and what it has seen itself."""

from __future__ import annotations

import math
from typing import Any

from unetseg.artifacts.manifest import Manifest

# What a model hands on to those that are trained from it.
HANDED_ON = ("weights_sha256", "data", "synthetic", "train_slices", "held_out", "epochs_run")


def line_of(model: Manifest) -> list[dict[str, Any]]:
    """A model's ancestors, the oldest first, and the model itself at the end."""
    details = model.details
    itself = {name: details.get(name) for name in HANDED_ON}
    calibration = details.get("calibration")
    # Earlier versions fitted on all that was trained on, and wrote down two numbers.
    known = calibration.get("fitted_on") if isinstance(calibration, dict) else None
    itself["fitted_on"] = known or []
    return [*details.get("ancestors", []), itself]


def calibration_of(details: dict[str, Any]) -> tuple[float, float] | None:
    """Scale and shift that the logits of a model were changed by, if they were.

    Parameters
    ----------
    details : dict
        Of its manifest.

    Raises
    ------
    KeyError, TypeError, ValueError
        If that says something else.
    """
    found = details.get("calibration")
    if found is None:
        return None
    if isinstance(found, dict):
        found = found["scale"], found["shift"]
    scale, shift = (float(number) for number in found)
    if not 0 < scale < math.inf or not math.isfinite(shift):
        raise ValueError(f"calibration is {found}")
    return scale, shift


def slices_seen(line: list[dict[str, Any]], sha256: str) -> set[int]:
    """Which slices of a stack the models of a line were trained or calibrated with.

    Parameters
    ----------
    line : list of dict
        As from `line_of`.
    sha256 : str
        Of the stack, as in the manifest of `unetseg augment`.
    """
    seen: set[int] = set()
    for model in line:
        for stack in (stack for stack in model["data"] if stack.get("sha256") == sha256):
            first = stack.get("first", 0)
            last = first + stack.get("slices", math.inf)
            slices = (*model["train_slices"], *model["fitted_on"])
            seen.update(number - first for number in slices if first <= number < last)
    return seen
