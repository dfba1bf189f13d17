"""What a user of nnU-Net writes beside its commands.

    python membranes_nnunet.py FOLDER dataset       before nnUNetv2_plan_and_preprocess
    python membranes_nnunet.py FOLDER plan          after it
    python membranes_nnunet.py FOLDER collect       after nnUNetv2_predict

The folder holds train-volume.tif, train-labels.tif and test-volume.tif.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import tifffile
from skimage.io import imsave

NAME = "Dataset001_Membranes"


def write_dataset(folder):
    """PNGs of all slices, with membrane as the one class, as nnU-Net wants them."""
    dataset = Path(os.environ["nnUNet_raw"], NAME)  # noqa: SIM112
    labels = tifffile.imread(folder / "train-labels.tif")
    for name, stack in (
        ("imagesTr/{:04}_0000.png", tifffile.imread(folder / "train-volume.tif")),
        ("labelsTr/{:04}.png", (labels == 0).astype(np.uint8)),
        ("imagesTs/{:04}_0000.png", tifffile.imread(folder / "test-volume.tif")),
    ):
        for index, image in enumerate(stack):
            path = dataset / name.format(index)
            path.parent.mkdir(parents=True, exist_ok=True)
            imsave(path, image, check_contrast=False)
    description = {
        "channel_names": {"0": "EM"},
        "labels": {"background": 0, "membrane": 1},
        "numTraining": len(labels),
        "file_ending": ".png",
    }
    (dataset / "dataset.json").write_text(json.dumps(description))


def change_plan():
    """Smaller patches, of which a CPU takes more steps."""
    path = Path(os.environ["nnUNet_preprocessed"], NAME, "nnUNetPlans.json")  # noqa: SIM112
    plans = json.loads(path.read_text())
    smaller = {"inherits_from": "2d", "patch_size": [256, 256], "batch_size": 4}
    plans["configurations"]["2d_256"] = smaller
    path.write_text(json.dumps(plans))


def collect(folder):
    """One stack of the probability of lying inside a cell."""
    slices = [np.load(path)["probabilities"] for path in sorted(folder.glob("predicted/*.npz"))]
    result = np.stack([np.squeeze(one[0]) for one in slices]).astype(np.float32)
    tifffile.imwrite(folder / "prediction.tif", result, photometric="minisblack")


def main():
    """Do one of the three."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("step", choices=("dataset", "plan", "collect"))
    options = parser.parse_args()
    if options.step == "dataset":
        write_dataset(options.folder)
    elif options.step == "plan":
        change_plan()
    else:
        collect(options.folder)


if __name__ == "__main__":
    main()
