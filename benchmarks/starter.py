"""Make the model that comes with unetseg, and measure it.

    python benchmarks/starter.py [--stacks data/isbi2012]

Draws stacks of many looks, trains on them, and puts the model where `--model starter` finds it. No
image of a microscope is trained on. With `--stacks`, predicts and scores those afterwards: the
first slices, which were looked at when stacks were chosen, and the others. A run that died goes on
with the same command.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import tifffile

from unetseg.artifacts.finding import STARTER, STARTER_FOLDER
from unetseg.artifacts.manifest import MANIFEST, Manifest
from unetseg.artifacts.writer import StageWriter
from unetseg.cli.terminal import Terminal
from unetseg.models.modelcard import ModelCard
from unetseg.options import (
    NOTHING,
    AugmentOptions,
    EvaluateOptions,
    Options,
    PredictOptions,
    PreprocessOptions,
    SynthesizeOptions,
    TrainOptions,
)
from unetseg.running import run_stage

# Of each seed two stacks, each of a look of its own. Most are of the pixels that the model says it
# knows; the others are for stacks of which nobody says how large theirs are.
GROUPS = (
    (range(200, 272), 1.0, (4.0, 3.0, 4.0, 5.0, 4.0, 6.0, 4.0, 8.0)),
    (range(272, 308), 0.5, (4.0,)),
)
"""Seeds, variety, and pixel sizes in nm, one after the other."""
VOXEL = "50 4 4"
SLICES = {"slices": 3, "test_slices": 1, "height": 384, "width": 384}
COPIES = 3
EPOCH_SIZE, EPOCHS = 1700, 24

CHOSEN_ON = 6  # slices of ISBI 2012 that anything was chosen by

MEASURES = ("v_rand", "v_info")
NAMES = ("model.keras", "README.md")


def run(stage: str, options: Options) -> dict[str, Any]:
    """Run a stage, and return what it says of its results."""
    return run_stage(stage, options, Terminal()).data


def draw(output: Path) -> list[tuple[Path, Path]]:
    """Images and labels of all stacks."""
    pairs = []
    for seeds, variety, pixels in GROUPS:
        for seed, pixel in zip(seeds, cycle(pixels), strict=False):
            folder = output / str(seed)
            look = {"variety": variety, "pixel_size": pixel}
            run("synthesize", SynthesizeOptions(output=folder, seed=seed, **look, **SLICES))
            pairs += [
                (folder / f"{kind}-volume.tif", folder / f"{kind}-labels.tif")
                for kind in ("train", "test")
            ]
    return pairs


def train(pairs: list[tuple[Path, Path]], output: Path) -> Path:
    """Train on all of them; the folder of the model."""
    volumes, labels = zip(*pairs, strict=True)
    augmented, preprocessed, model = (
        output / stage for stage in ("augmented", "preprocessed", "model")
    )
    run(
        "augment",
        AugmentOptions(
            volume=volumes,
            labels=labels,
            output=augmented,
            voxel=VOXEL,
            copies=COPIES,
            preview=False,
        ),
    )
    run("preprocess", PreprocessOptions(input=augmented, output=preprocessed, held_out="none"))
    run(
        "train",
        TrainOptions(
            input=preprocessed,
            output=model,
            from_=NOTHING,
            epoch_size=EPOCH_SIZE,
            epochs=EPOCHS,
        ),
    )
    return model


def publish(model: Path, validation: str | None = None) -> None:
    """Leave the model where unetseg looks for it, with its card."""
    known = Manifest.read(model / MANIFEST)
    details = {**known.details, **({"validation": validation} if validation else {})}
    card = ModelCard(replace(known, details=details)).document()
    learned_from = Manifest.read(model.parent / "preprocessed" / MANIFEST)
    # Beside its inputs, so that the manifest names no path of this machine.
    folder = model.parent / STARTER
    with StageWriter(
        folder, stage="train", options=known.options, inputs=[learned_from], names=NAMES
    ) as writer:
        compress(model / NAMES[0], writer.path(NAMES[0]))
        writer.path("README.md").write_text(card, encoding="utf-8")
        writer.details.update(details)
    shutil.copytree(folder, STARTER_FOLDER, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))


def compress(model: Path, copy: Path) -> None:
    """Copy a .keras file, which is a zip: Keras reads it as well when it is smaller."""
    with ZipFile(model) as source, ZipFile(copy, "w", ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry, source.read(entry), ZIP_DEFLATED)


def measure(stacks: Path, output: Path) -> str:
    """Scores of the slices that were looked at, and of the others, in words."""
    volume, labels = (
        tifffile.imread(stacks / f"train-{kind}.tif") for kind in ("volume", "labels")
    )
    found = []
    for first, end in ((0, CHOSEN_ON), (CHOSEN_ON, len(volume))):
        folder = output / f"{first}-{end - 1}"
        folder.mkdir(parents=True, exist_ok=True)
        for kind, stack in (("volume", volume), ("labels", labels)):
            tifffile.imwrite(folder / f"{kind}.tif", stack[first:end], photometric="minisblack")
        predicted = folder / "prediction"
        run(
            "predict",
            PredictOptions(model=(STARTER,), volume=folder / "volume.tif", output=predicted),
        )
        scores = run(
            "evaluate",
            EvaluateOptions(
                prediction=predicted, labels=folder / "labels.tif", output=folder / "scores"
            ),
        )
        middle = scores["curves"]["threshold"].index(0.5)
        at_best = [scores[name] for name in MEASURES]
        at_middle = [scores["curves"][name][middle] for name in MEASURES]
        found.append(
            f"{first} to {end - 1}: V_Rand {at_best[0]:.4f}, V_Info {at_best[1]:.4f} at the best "
            f"threshold, {at_middle[0]:.4f} and {at_middle[1]:.4f} at 0.5"
        )
    return (
        "No image of a microscope was trained on. The stack of ISBI 2012, predicted by `unetseg "
        f"predict` and scored by `unetseg evaluate`: slices {found[1]}; slices {found[0]}. The "
        "latter were looked at when the stacks to draw were chosen."
    )


def main() -> None:
    """Draw, train, publish, and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("work/starter"))
    parser.add_argument("--stacks", type=Path, help="ISBI 2012, to measure it on")
    options = parser.parse_args()
    model = train(draw(options.output / "stacks"), options.output)
    publish(model)
    if options.stacks is not None:
        validation = measure(options.stacks, options.output / "measured")
        publish(model, validation)
        print(validation)


if __name__ == "__main__":
    main()
