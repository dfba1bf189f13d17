"""Describe a model in words, for exported files."""

from __future__ import annotations

import math
from typing import Any

from unetseg.arrays.intensity import NORMALISATIONS
from unetseg.artifacts.ancestry import MOST_NAMED, count_slices, name_data
from unetseg.artifacts.manifest import Manifest
from unetseg.network.recipes import NetworkOptions
from unetseg.stacks.volume import name_slices
from unetseg.stacks.voxel import Voxel
from unetseg.version import __version__

CITATIONS = {
    "10.1007/978-3-319-24574-4_28": "Ronneberger, Fischer and Brox (2015). U-Net: Convolutional "
    "Networks for Biomedical Image Segmentation.",
    "10.3389/fnana.2015.00142": "Arganda-Carreras et al. (2015). Crowdsourcing the creation of "
    "image segmentation algorithms for connectomics.",
}


class ModelCard:
    """A trained model in words and in the numbers that its users need.

    Parameters
    ----------
    manifest : Manifest
        Of a folder of `unetseg train`.

    Attributes
    ----------
    name, task : str
        What it is, in a few words and in a sentence.
    multiple : int
        What heights and widths must be divisible by.
    halo : int
        Context in pixels that a tile needs on every side to come out as in the whole slice; a
        multiple of `multiple`, so that tiles are pooled along one grid.
    border : int
        Mirrored context in pixels that `unetseg predict` adds around a slice.
    normalisation : str
        Name of the normalisation.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._options, self._details = manifest.options, manifest.details
        network = NetworkOptions(**self._details["network"])
        self.name = f"EM membrane U-Net ({self._options['network']})"
        self.task = (
            "Cell interior and membrane in slices of electron microscopy: a U-Net that gives, for "
            "every pixel, the probability of lying inside a cell."
        )
        self.multiple = network.multiple
        context = network.halo
        self.halo = math.ceil(context / self.multiple) * self.multiple
        self.border = network.border
        self.normalisation = str(self._details["normalisation"])

    def notes(self) -> dict[str, str]:
        """Return what one must know to run the network, as metadata of a file."""
        return {
            "task": self.task,
            "input": "Slices, (N, H, W, 1) float32, normalised; H and W divisible by "
            f"{self.multiple}.",
            "normalisation": f"Not in the network: {NORMALISATIONS[self.normalisation].words}.",
            "output": f"(N, H, W, 1) float32: {self._output()}",
            "tiles": f"They need {self.halo} pixels of context on every side, cropped later, and "
            f"corners at multiples of {self.multiple}.",
            "border": f"Not in the network: unetseg predict mirrors {self.border} pixels around a "
            "slice.",
            "averaging": "Not in the network: unetseg predict averages the 8 flips and rotations.",
            "weights_sha256": str(self._details["weights_sha256"]),
            "unetseg": __version__,
        }

    def document(self, *, example: str | None = None) -> str:
        """Return the documentation of a model, as Markdown.

        Parameters
        ----------
        example : str, optional
            What the example shows, in a package that contains one and normalises by itself.
        """
        normalised = NORMALISATIONS[self.normalisation].words
        who = "part of this package" if example else "done by unetseg"
        use = {
            "Input": "grey levels of any range, 8 or 16 bit or floating point, one channel. "
            f"Normalisation is {who}: {normalised}.",
            "Output": self._output(),
            "Tiles": self.notes()["tiles"],
        }
        if example:
            use["Example"] = f"the test image is {example}."
        parts = [
            f"# {self.name}",
            self.task,
            "## Use",
            _bullets(use),
            f"`unetseg predict` does two things more: it mirrors {self.border} pixels around a "
            "slice, and averages over the 8 flips and rotations.",
            "## Training",
            _bullets(self._training()),
            "## Validation",
            self._validation(),
            "## Limits",
            self._limits(),
            "## References",
            "\n".join(f"- {text} doi {doi}" for doi, text in CITATIONS.items()),
        ]
        return "\n\n".join(parts) + "\n"

    def _output(self) -> str:
        """Describe the values of the output."""
        ends = "0 is certainly membrane, 1 certainly interior"
        calibration = self._details.get("calibration")
        if not isinstance(calibration, dict) or "cut" not in calibration:
            return f"{ends}."
        return f"{ends}; cells are told apart best at 0.5, which is not an even chance."

    def _training(self) -> dict[str, Any]:
        details, options = self._details, self._options
        slices, voxel = details["train_slices"], Voxel.recorded(details)
        hashes = [source["sha256"] for source in details["data"]]
        few = len(hashes) <= MOST_NAMED
        ancestors = [f"a model of {count_slices(one)}" for one in details.get("ancestors", [])]
        return {
            "Begun with": ", then ".join(ancestors) or "random weights",
            "Data": name_data(details) + (f" (sha256 {', '.join(hashes)})" if few else ""),
            "Pixels": "of unknown size" if voxel is None else voxel.pixel,
            "Slices": f"{len(slices)}, {name_slices(slices)}",
            "Program": f"unetseg, Keras {details['keras']} on {details['backend']}",
            "Epochs": f"{details['epochs_run']}, of which the weights of {details['kept_epoch']}",
            "Minutes": details["minutes_trained"],
            "Options": ", ".join(f"{name} {value}" for name, value in options.items()),
            "Network": ", ".join(f"{name} {value}" for name, value in details["network"].items()),
            "Recipe": ", ".join(f"{name} {value}" for name, value in details["recipe"].items()),
        }

    def _validation(self) -> str:
        scores, held_out = self._details.get("scores"), self._details["held_out"]
        if "validation" in self._details:
            return str(self._details["validation"])
        if not scores:
            return "No slices were held out: how good the model is was not measured."
        return (
            f"Slices {held_out[0]} to {held_out[-1]} (counted from 0) were never trained on. "
            "Predicted by `unetseg predict` and scored by `unetseg evaluate`: "
            f"V_Rand {scores['v_rand']:.4f}, V_Info {scores['v_info']:.4f}, pixel error "
            f"{scores['pixel_error']:.4f}. Without the mirrored border and the averaging of "
            "`unetseg predict` they were not measured. For slices of your own with labels: "
            "`unetseg evaluate --prediction STACK --labels STACK`."
        )

    def _limits(self) -> str:
        number = len(self._details["data"]) // 2
        stacks = "one stack" if number == 1 else f"{number} stacks"
        return (
            f"Trained on {stacks}: tissue, staining, resolution or a microscope that it has not "
            "seen may need training anew, and nothing here says how well it does on them. The "
            "pixels of an image must be as large as those trained on. Slices are seen one by one; "
            "cells are not followed from slice to slice. Check results before you count on them."
        )


def _bullets(facts: dict[str, Any]) -> str:
    return "\n".join(f"- **{name}**: {fact}" for name, fact in facts.items())
