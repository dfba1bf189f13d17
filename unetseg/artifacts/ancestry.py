"""What the models that a model was trained from have seen, and what it has seen itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from unetseg.artifacts.manifest import Manifest

# What a model hands on to those that are trained from it.
HANDED_ON = ("weights_sha256", "data", "synthetic", "train_slices", "held_out", "epochs_run")

MOST_NAMED = 4  # files: two stacks with their labels


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
        used = (*model["train_slices"], *model["fitted_on"])
        for stack in (stack for stack in _stacks(model) if stack.get("sha256") == sha256):
            first, last = _place(stack)
            seen.update(number - first for number in used if first <= number < last)
    return seen


def slices_seen_by(models: Iterable[Manifest], sha256: str) -> list[int]:
    """The same of several models, each with its ancestors."""
    return sorted(set[int]().union(*(slices_seen(line_of(model), sha256) for model in models)))


def name_data(details: dict[str, Any]) -> str:
    """What a model was trained on, in words: images and labels by name, of many their number."""
    files = details["data"]
    few = len(files) <= MOST_NAMED
    text = " and ".join(one["name"] for one in files) if few else f"{len(files) // 2} stacks"
    return f"{text}, drawn by unetseg synthesize" if details.get("synthetic") else text


def count_slices(details: dict[str, Any]) -> str:
    """How many slices a model was trained on, and of what."""
    number = len(details["train_slices"])
    return f"{number} slice{'' if number == 1 else 's'} of {name_data(details)}"


def describe_model(manifest: Manifest) -> str:
    """What made a model, and how good it is."""
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
    """Which held-out slices models have learned from.

    Parameters
    ----------
    line : list of dict
        The models, as from `line_of`.
    details : dict
        Of the manifest that says which slices of which stacks are held out.
    """
    seen: set[int] = set()
    for stack in _stacks(details):
        first, last = _place(stack)
        known = slices_seen(line, stack.get("sha256", ""))
        seen.update(n for n in details["held_out"] if first <= n < last and n - first in known)
    return sorted(seen)


def _stacks(details: dict[str, Any]) -> list[dict[str, Any]]:
    """What is said of stacks of images; between them there are their labels."""
    return list(details["data"][::2])


def _place(stack: dict[str, Any]) -> tuple[int, float]:
    """First source slice of a stack, and the one after the last; of the only one, any."""
    first = stack.get("first", 0)
    return first, first + stack.get("slices", math.inf)
