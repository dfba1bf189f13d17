"""What a user of BiaPy writes beside its YAML: files of slices, epochs for the minutes.

    python membranes_biapy.py FOLDER --minutes 8
    python membranes_biapy.py FOLDER

The folder holds train-volume.tif, train-labels.tif and test-volume.tif.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import tifffile
import yaml
from biapy import BiaPy
from biapy.engine import base_workflow

TRIAL = 3  # epochs


def write_slices(folder, stack):
    """A file for each slice."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(stack):
        tifffile.imwrite(folder / f"{index:04}.tif", image)


def configure(*, epochs=None):
    """The configuration, to train for so many epochs or to predict."""
    config = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
    config["TRAIN"]["ENABLE"], config["TEST"]["ENABLE"] = bool(epochs), not epochs
    config["TRAIN"]["EPOCHS"] = epochs or 1
    config["SYSTEM"] = {"SEED": int(os.environ["TRAINING_SEED"])}
    config["MODEL"]["LOAD_CHECKPOINT"] = not epochs
    return config


def run_epochs(epochs, name):
    """Train, and say when every epoch began, when the last one ended, and their steps."""
    times, steps = [], []
    inner = base_workflow.train_one_epoch

    def timed(*args, **kwargs):
        times.append(time.monotonic())
        steps.append(len(kwargs["data_loader"]))
        return inner(*args, **kwargs)

    base_workflow.train_one_epoch = timed
    BiaPy(configure(epochs=epochs), result_dir="results", name=name).train()
    base_workflow.train_one_epoch = inner
    return np.diff(times), sum(steps)


def train(minutes):
    """Measure an epoch, and train for as many as fill the minutes."""
    for kind in ("images", "labels"):
        stack = tifffile.imread("train-volume.tif" if kind == "images" else "train-labels.tif")
        write_slices(Path("train", kind), stack if kind == "images" else (stack > 0).astype("u1"))
    began = time.monotonic()
    took, _ = run_epochs(TRIAL, "trial")
    planning = time.monotonic() - began
    epochs = math.ceil(minutes * 60 / took[-1])
    took, steps = run_epochs(epochs, "membranes")
    # The last epoch ends among other work, and is taken to be as long as the others.
    seconds = took.sum() + np.median(took) if len(took) else minutes * 60
    spent = {"seconds": float(seconds), "steps": steps, "planning": planning}
    Path("training.json").write_text(json.dumps({**spent, "batch": 6, "patch": 256}))


def predict():
    """Predict with the weights that did best on the slices set apart."""
    write_slices(Path("test", "images"), tifffile.imread("test-volume.tif"))
    BiaPy(configure(), result_dir="results", name="membranes").test()
    (found,) = Path("results").glob("membranes/results/*/per_image")
    slices = [np.squeeze(tifffile.imread(path)) for path in sorted(found.glob("*.tif"))]
    tifffile.imwrite("prediction.tif", np.stack(slices), photometric="minisblack")


def main():
    """Train, or predict with what was trained."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float)
    options = parser.parse_args()
    os.chdir(options.folder)
    if options.minutes:
        train(options.minutes)
    else:
        predict()


if __name__ == "__main__":
    main()
