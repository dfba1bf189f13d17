"""Which data a model has seen, and the models that it was trained from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from unetseg.artifacts.manifest import Manifest

# Details that a model passes on to the models trained from it.
HANDED_ON = ("weights_sha256", "data", "synthetic", "train_slices", "held_out", "epochs_run")

MOST_NAMED = 4  # files: two stacks with their labels


def line_of(model: Manifest) -> list[dict[str, Any]]:
    """Return a model's ancestors, the oldest first, and the model itself at the end."""
    details = model.details
    itself = {name: details.get(name) for name in HANDED_ON}
    calibration = details.get("calibration")
    # Earlier versions calibrated on all training slices, and recorded scale and shift alone.
    known = calibration.get("fitted_on") if isinstance(calibration, dict) else None
    itself["fitted_on"] = known or []
    return [*details.get("ancestors", []), itself]


def calibration_of(details: dict[str, Any]) -> tuple[float, float] | None:
    """Return the scale and shift applied to a model's logits; None if it is not calibrated.

    Parameters
    ----------
    details : dict
        Details of its manifest.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the recorded calibration is malformed.
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
    """Return the slices of a stack that the models of a line were trained or calibrated on.

    Parameters
    ----------
    line : list of dict
        As from `line_of`.
    sha256 : str
        Hash of the stack, as in the manifest of `unetseg augment`.
    """
    seen: set[int] = set()
    for model in line:
        used = (*model["train_slices"], *model["fitted_on"])
        for stack in (stack for stack in _stacks(model) if stack.get("sha256") == sha256):
            first, last = _place(stack)
            seen.update(number - first for number in used if first <= number < last)
    return seen


def slices_seen_by(models: Iterable[Manifest], sha256: str) -> list[int]:
    """Return the slices of a stack that several models or their ancestors have seen, sorted."""
    return sorted(set[int]().union(*(slices_seen(line_of(model), sha256) for model in models)))


def name_data(details: dict[str, Any]) -> str:
    """Name the files that a model was trained on, or say how many stacks if there are many."""
    files = details["data"]
    few = len(files) <= MOST_NAMED
    text = " and ".join(one["name"] for one in files) if few else f"{len(files) // 2} stacks"
    return f"{text}, drawn by unetseg synthesize" if details.get("synthetic") else text


def count_slices(details: dict[str, Any]) -> str:
    """Say how many slices a model was trained on, and of which data."""
    number = len(details["train_slices"])
    return f"{number} slice{'' if number == 1 else 's'} of {name_data(details)}"


def describe_model(manifest: Manifest) -> str:
    """Describe how a model was trained, and how well it scored."""
    options, details = manifest.options, manifest.details
    epochs = details["epochs_run"]
    text = (
        f"{options['network']} network, {epochs} epoch{'' if epochs == 1 else 's'} on "
        f"{count_slices(details)}"
    )
    ancestors = details.get("ancestors", [])
    if ancestors:
        text += f", after a model of {count_slices(ancestors[-1])}"
    scores = details.get("scores")
    if scores is None:
        return f"{text}; no held-out slices"
    return f"{text}; held-out V_Rand {scores['v_rand']:.4f} V_Info {scores['v_info']:.4f}"


def held_out_seen(line: list[dict[str, Any]], details: dict[str, Any]) -> list[int]:
    """Return the held-out slices that models were trained or calibrated on.

    Parameters
    ----------
    line : list of dict
        The models, as from `line_of`.
    details : dict
        Details of the manifest that says which slices of which stacks are held out.
    """
    seen: set[int] = set()
    for stack in _stacks(details):
        first, last = _place(stack)
        known = slices_seen(line, stack.get("sha256", ""))
        seen.update(n for n in details["held_out"] if first <= n < last and n - first in known)
    return sorted(seen)


def _stacks(details: dict[str, Any]) -> list[dict[str, Any]]:
    """Entries of the image stacks, which alternate with those of their labels."""
    return list(details["data"][::2])


def _place(stack: dict[str, Any]) -> tuple[int, float]:
    """First source slice of a stack and the one after its last; infinity if not recorded."""
    first = stack.get("first", 0)
    return first, first + stack.get("slices", math.inf)
