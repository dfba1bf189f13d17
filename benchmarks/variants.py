"""One change at a time to how the default network learns, each in equally much time.

    python benchmarks/variants.py --stacks data/isbi2012 [--minutes 2] [--seeds 0 1]

Trains from nothing by the default recipe, with one thing changed at a time, on two stacks: slices
6-29 of ISBI 2012, scored on 0-5, on which settings are chosen, and a drawn stack of 30 slices, of
which 0-5 are scored, too. How long a step takes is measured first for all variants; each
then takes as many steps as fit into the minutes, so what else the machine does changes no score.
Probabilities are the mean of 8 symmetries, calibrated on two slices apart, and scored at the best
of the challenge's eleven thresholds, and at 0.5. Writes scores.csv and table.md. A run that died
goes on with the same command.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special
from skimage.morphology import skeletonize

from unetseg.arrays.metrics import THRESHOLDS, StackScores
from unetseg.arrays.tiles import Canvas, predict_box
from unetseg.artifacts.manifest import open_stage
from unetseg.artifacts.prepared import open_slices
from unetseg.cli.terminal import Terminal
from unetseg.engine.calibrator import set_apart
from unetseg.engine.course import score_slices
from unetseg.engine.prediction import build_network
from unetseg.network.backend import make_deterministic
from unetseg.network.batches import Batch, Patches, Slices
from unetseg.network.calibration import CERTAIN, calibrate
from unetseg.network.inference import prepare
from unetseg.network.normalisation import BatchNormalization
from unetseg.network.precision import FLOAT32
from unetseg.network.recipes import NETWORKS, RECIPES
from unetseg.network.startup import keras
from unetseg.network.training import Trainer
from unetseg.network.unet import LOGITS
from unetseg.options import AugmentOptions, PreprocessOptions, SynthesizeOptions, TrainOptions
from unetseg.running import run_stage

layers = keras.layers

NETWORK, RECIPE, DEFAULTS = NETWORKS["compact"], RECIPES["default"], TrainOptions()
EDGE, BATCH = DEFAULTS.patch, DEFAULTS.batch_size
EPOCHS = 5
HELD_OUT = "0-5"
STEPS_TO_TIME, ROUNDS = 5, 6
THIN = 8  # channels at full resolution
MEASURES = ("v_rand", "v_info", "v_rand_at_half", "v_info_at_half")

Change = Callable[[Batch, np.random.Generator], Batch]


class Source:
    """What gives batches, as `Patches` does, with the batches changed.

    Parameters
    ----------
    patches : Patches
    change : callable
        Takes a batch and a generator of random numbers, returns a batch.
    """

    def __init__(self, patches: Patches, change: Change) -> None:
        self._patches, self._change = patches, change

    def __len__(self) -> int:
        return len(self._patches)

    def batch(self, epoch: int, index: int) -> Batch:
        """One batch; it depends on epoch and index alone."""
        rng = np.random.default_rng([1, epoch, index])
        return self._change(self._patches.batch(epoch, index), rng)


class InstanceNormalization(layers.GroupNormalization):
    """With one group for each channel; called as the layer that it stands in for."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise every channel of every image."""
        return super().call(inputs)


def rotate(batch: Batch, rng: np.random.Generator) -> Batch:
    """Turn larger patches by any angle, and cut their middle."""
    images, labels, weights = batch
    parts: list[list[npt.NDArray[np.float32]]] = [[], [], []]
    for image, label, weight in zip(images[..., 0], labels[..., 0], weights, strict=True):
        angle = rng.uniform(0, np.pi / 2)  # quarter turns have been drawn already
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = (np.array(image.shape) - 1) / 2
        offset = middle - matrix @ np.full(2, (EDGE - 1) / 2)
        turn = partial(
            ndimage.affine_transform, matrix=matrix, offset=offset, output_shape=(EDGE, EDGE)
        )
        for part, pixels, order in zip(parts, (image, label, weight), (1, 0, 0), strict=True):
            part.append(turn(pixels, order=order, mode="mirror"))
    found = [np.stack(part) for part in parts]
    return found[0][..., None], found[1][..., None], found[2]


def blur(batch: Batch, rng: np.random.Generator) -> Batch:
    """Blur a fifth of the images, and halve the resolution of a quarter or less."""
    images = batch[0].copy()
    for image in images[..., 0]:
        if rng.random() < 0.2:
            image[...] = ndimage.gaussian_filter(image, rng.uniform(0.5, 1.0))
        if rng.random() < 0.25:
            step = rng.uniform(1.0, 2.0)
            edge = round(EDGE / step)
            small = ndimage.zoom(image, edge / EDGE, order=0, grid_mode=True, mode="nearest")
            image[...] = ndimage.zoom(
                small, EDGE / len(small), order=3, grid_mode=True, mode="nearest"
            )
    return images, *batch[1:]


def stress_skeleton(batch: Batch, rng: np.random.Generator) -> Batch:
    """Let the middle lines of membranes weigh 2 more, where anything counts."""
    images, labels, weights = batch
    lines = np.stack([skeletonize(label == 0) for label in labels[..., 0]])
    return images, labels, weights + np.float32(2) * (lines & (weights > 0))


def repeat_labels(batch: Batch, rng: np.random.Generator) -> Batch:
    """A copy of the labels for each output of a network with deep supervision."""
    return batch[0], np.repeat(batch[1], NETWORK.depth, axis=-1), batch[2]


def replace_layers(model: keras.Model, kind: type, make: Callable[[], Any]) -> keras.Model:
    """The network with all layers of a kind replaced, which have no weights to keep."""
    return keras.models.clone_model(
        model,
        clone_function=lambda one: (
            make() if type(one) is kind else type(one).from_config(one.get_config())
        ),
    )


def levels_of(model: keras.Model) -> list[Any]:
    """What each level of the way up ends with, the lowest first."""
    found: list[Any] = []
    for layer in model.layers:
        if isinstance(layer, layers.Concatenate):
            found.append(None)
        elif isinstance(layer, layers.ReLU) and found:
            found[-1] = layer.output
    return found


def supervise_deeply(model: keras.Model) -> keras.Model:
    """Logits of every level of the way up, raised to full size, those to predict with first."""
    logits = [model.get_layer(LOGITS).output]
    for level, x in enumerate(reversed(levels_of(model)[:-1]), 1):
        x = layers.Conv2D(1, 1, name=f"logits_{level}")(x)
        size = NETWORK.stride << level
        logits.append(layers.UpSampling2D(size, interpolation="bilinear")(x))
    # The name that the trainer looks for belongs to all of them.
    model.get_layer(LOGITS).name = "logits_0"
    together = layers.Concatenate(name=LOGITS)(logits)
    return keras.Model(model.input, layers.Activation("sigmoid")(together))


def add_full_resolution(model: keras.Model) -> keras.Model:
    """Logits from the last level, raised, beside a thin convolution of the image itself."""
    raised = layers.Conv2DTranspose(THIN, NETWORK.stride, strides=NETWORK.stride)(
        levels_of(model)[-1]
    )
    fine = layers.ReLU()(layers.Conv2D(THIN, 3, padding="same")(model.input))
    x = layers.Concatenate()([raised, fine])
    x = layers.ReLU()(layers.Conv2D(THIN, 3, padding="same")(x))
    logits = layers.Conv2D(1, 1, name=LOGITS)(x)
    return keras.Model(model.input, layers.Activation("sigmoid")(logits))


@dataclass(frozen=True)
class Variant:
    """What is changed: the network, the batches, or the slices that they are cut from.

    A margin makes the patches that `change` is given larger on all sides.
    """

    network: Callable[[keras.Model], keras.Model] = lambda model: model
    change: Change | None = None
    margin: int = 0
    originals: bool = False

    def build(self, seed: int) -> keras.Model:
        """The network, with its first weights."""
        keras.utils.set_random_seed(seed)
        return self.network(build_network(NETWORK, seed=seed))

    def patches(self, data: Data, *, count: int, seed: int) -> Any:
        """The batches."""
        slices = data.training.only(data.originals) if self.originals else data.training
        patches = Patches(
            slices,
            shape=(EDGE + 2 * self.margin,) * 2,
            count=count,
            batch_size=BATCH,
            overhang=NETWORK.border + self.margin,
            seed=seed,
        )
        return patches if self.change is None else Source(patches, self.change)


VARIANTS = {
    "default": Variant(),
    "deep supervision": Variant(network=supervise_deeply, change=repeat_labels),
    "any angle": Variant(change=rotate, margin=54),
    "any angle, no stored copies": Variant(change=rotate, margin=54, originals=True),
    "instance normalisation": Variant(
        network=partial(
            replace_layers,
            kind=BatchNormalization,
            make=partial(InstanceNormalization, groups=-1),
        )
    ),
    "LeakyReLU": Variant(
        network=partial(
            replace_layers, kind=layers.ReLU, make=partial(layers.LeakyReLU, negative_slope=0.01)
        )
    ),
    "blur and low resolution": Variant(change=blur),
    "skeletons weigh more": Variant(change=stress_skeleton),
    "thin path at full resolution": Variant(network=add_full_resolution),
}


@dataclass(frozen=True)
class Data:
    """Prepared slices: to train on, to calibrate with, and to score."""

    training: Slices
    apart: Slices
    held_out: Slices
    originals: list[int]

    @classmethod
    def open(cls, folder: Path) -> Data:
        """Set two slices apart, with their copies, as `unetseg train` does."""
        manifest = open_stage(folder, stage="preprocess", fresh=True)
        slices = open_slices(folder, manifest, "train")
        sources = manifest.details["train_sources"]
        apart = set_apart(sources)
        firsts = {source: index for index, source in reversed(list(enumerate(sources)))}
        kept = [index for index, source in enumerate(sources) if source not in apart]
        return cls(
            training=slices.only(kept),
            apart=slices.only([firsts[source] for source in apart]),
            held_out=open_slices(folder, manifest, "held-out"),
            originals=[index for source, index in firsts.items() if source not in apart],
        )


def prepare_stack(stacks: Path, output: Path) -> Data:
    """Augment and preprocess, unless that is done."""
    paths = {kind: (stacks / f"train-{kind}.tif",) for kind in ("volume", "labels")}
    augmented = AugmentOptions(**paths, output=output / "augmented", preview=False)
    run_stage("augment", augmented, Terminal())
    arrays = PreprocessOptions(
        input=augmented.output, output=output / "preprocessed", held_out=HELD_OUT
    )
    run_stage("preprocess", arrays, Terminal())
    return Data.open(arrays.output)


def trainer_of(
    variant: Variant, data: Data, *, steps: int, epochs: int, seed: int
) -> tuple[keras.Model, Trainer]:
    """A network, and its course of so many steps."""
    make_deterministic(seed)
    model = variant.build(seed)
    settings = {**RECIPE.for_trainer(), "epochs": epochs}
    patches = variant.patches(data, count=BATCH * (steps // epochs), seed=seed)
    return model, Trainer(model, patches, minutes=0, precision=FLOAT32, **settings)


def time_step(variant: Variant, data: Data) -> float:
    """Seconds of a training step: the median over some epochs, the first left out."""
    steps = STEPS_TO_TIME * ROUNDS
    _, trainer = trainer_of(variant, data, steps=steps, epochs=ROUNDS, seed=0)
    ended: list[float] = []
    trainer.run(lambda epoch: ended.append(epoch.seconds))
    return statistics.median(np.diff(ended)) / STEPS_TO_TIME


def predict(model: keras.Model) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """Probability of interior of a normalised slice, the mean of 8 symmetries."""
    run = prepare(model)

    def probability(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        height, width = image.shape
        canvas = Canvas(height, width, border=NETWORK.border, multiple=NETWORK.multiple)
        whole = (slice(0, height), slice(0, width))
        halo = NETWORK.halo  # beyond the border: the whole canvas is seen at once
        return predict_box(image.__getitem__, whole, run, canvas=canvas, halo=halo, tta=True)

    return probability


def score(model: keras.Model, data: Data) -> dict[str, float]:
    """Scores of the held-out slices at the best threshold, and at 0.5."""
    probability = predict(model)
    scale, shift = calibrate(probability, data.apart) or (1.0, 0.0)

    def calibrated(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        certain = np.clip(probability(image), CERTAIN, 1 - CERTAIN).astype(np.float64)
        return special.expit(scale * special.logit(certain) + shift).astype(np.float32)

    scored = score_slices(
        map(calibrated, data.held_out.images), data.held_out, thresholds=THRESHOLDS
    )
    scores = StackScores.from_slices(list(scored))
    middle = THRESHOLDS.index(0.5)
    return {
        "v_rand": max(scores.v_rand),
        "v_info": max(scores.v_info),
        "v_rand_at_half": scores.v_rand[middle],
        "v_info_at_half": scores.v_info[middle],
    }


def read_rows(path: Path) -> list[dict[str, str]]:
    """What was measured before."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def format_table(
    rows: Sequence[Mapping[str, str]], seconds: Mapping[str, float], stacks: Sequence[str]
) -> str:
    """A row for each variant, as Markdown: the means over the seeds."""
    heads = " | ".join(f"{name}: V_Rand / V_Info | at 0.5" for name in stacks)
    lines = [f"| | step | {heads} |", "| --- | --- " + "| --- | --- " * len(stacks) + "|"]
    for name in VARIANTS:
        cells = [f"{seconds[name] / seconds['default']:.2f}"]
        for stack in stacks:
            mine = [row for row in rows if (row["variant"], row["stack"]) == (name, stack)]
            for pair in (MEASURES[:2], MEASURES[2:]):
                means = [statistics.fmean(float(row[key]) for row in mine) for key in pair]
                cells.append(" / ".join(f"{mean:.4f}" for mean in means) if mine else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stacks", type=Path, default=Path("data"), help="images and labels")
    parser.add_argument("--minutes", type=float, default=2, help="of each course")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--output", type=Path, default=Path("work/variants"))
    options = parser.parse_args()
    drawn = SynthesizeOptions(
        output=options.output / "drawn" / "stacks",
        slices=30,
        height=512,
        width=512,
        variety=1.0,
        pixel_size=4.0,
        seed=900,
    )
    run_stage("synthesize", drawn, Terminal())
    data = {
        "ISBI 2012": prepare_stack(options.stacks, options.output / "isbi"),
        "drawn": prepare_stack(drawn.output, options.output / "drawn"),
    }
    times = options.output / "seconds.json"
    if not times.exists():
        measured = {name: time_step(one, data["ISBI 2012"]) for name, one in VARIANTS.items()}
        times.write_text(json.dumps(measured), encoding="utf-8")
    seconds = json.loads(times.read_text(encoding="utf-8"))
    path = options.output / "scores.csv"
    rows = read_rows(path)
    done = {(row["variant"], row["stack"], row["seed"]) for row in rows}
    with path.open("a", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ("variant", "stack", "seed", "steps", *MEASURES))
        if not rows:
            table.writeheader()
        for seed in options.seeds:
            for stack, slices in data.items():
                for name, variant in VARIANTS.items():
                    if (name, stack, str(seed)) in done:
                        continue
                    steps = round(60 * options.minutes / seconds[name])
                    model, trainer = trainer_of(
                        variant, slices, steps=steps, epochs=EPOCHS, seed=seed
                    )
                    trainer.run(lambda epoch: print(f"  epoch {epoch.number}, {epoch.loss:.4f}"))
                    row = {"variant": name, "stack": stack, "seed": seed, "steps": steps}
                    row |= score(model, slices)
                    table.writerow(row)
                    file.flush()
                    print(row, flush=True)
    text = format_table(read_rows(path), seconds, list(data))
    (options.output / "table.md").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
