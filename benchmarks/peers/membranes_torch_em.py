"""What a user of torch-em writes to train on a stack, and to predict another.

    python membranes_torch_em.py FOLDER --minutes 8
    python membranes_torch_em.py FOLDER

The folder holds train-volume.tif, train-labels.tif and test-volume.tif.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import tifffile
import torch_em
from torch_em.model import UNet2d
from torch_em.util import load_model
from torch_em.util.prediction import predict_with_halo

PATCH, BATCH = 256, 2


class ClockedTrainer(torch_em.trainer.DefaultTrainer):
    """Ends by the clock, which begins with the first step."""

    limit, began = 0.0, None

    def _forward_and_loss(self, x, y):
        self.began = self.began or time.monotonic()
        if self.model.training and time.monotonic() - self.began >= self.limit:
            self.max_iteration, self.early_stopping = 0, -1  # of steps and epochs the last
        return super()._forward_and_loss(x, y)


def is_membrane(labels):
    """The target, from labels that are higher inside cells."""
    return labels == 0


def build():
    """The network of the ISBI example."""
    return UNet2d(in_channels=1, out_channels=1, final_activation="Sigmoid")


def load(folder, slices):
    """Patches of these slices."""
    return torch_em.default_segmentation_loader(
        str(folder / "train-volume.tif"),
        None,
        str(folder / "train-labels.tif"),
        None,
        batch_size=BATCH,
        patch_shape=(1, PATCH, PATCH),
        ndim=2,
        label_transform=is_membrane,
        rois=np.s_[slices, :, :],
        shuffle=True,
    )


def train(folder, minutes):
    """Train on nine slices in ten, and keep the weights that do best on the others."""
    slices = len(tifffile.imread(folder / "train-volume.tif"))
    kept = slices - max(1, slices // 10)
    has_bfloat16 = "bf16" in Path("/proc/cpuinfo").read_text()
    trainer = torch_em.default_segmentation_trainer(
        name="membranes",
        model=build(),
        train_loader=load(folder, slice(0, kept)),
        val_loader=load(folder, slice(kept, slices)),
        learning_rate=1e-3,
        device="cpu",
        mixed_precision_dtype="bfloat16" if has_bfloat16 else None,
        compile_model=False,
        trainer_class=ClockedTrainer,
        save_root=str(folder),
    )
    trainer.limit = minutes * 60
    trainer.fit(epochs=100_000)
    spent = {"seconds": time.monotonic() - trainer.began, "steps": trainer.iteration}
    (folder / "training.json").write_text(json.dumps({**spent, "batch": BATCH, "patch": PATCH}))


def predict(model, image):
    """Probability of lying inside a cell."""
    blocks = {"block_shape": (PATCH, PATCH), "halo": (64, 64), "disable_tqdm": True}
    return 1 - predict_with_halo(image, model, ["cpu"], **blocks)[0]


def average(model, image):
    """The same over the 8 flips and rotations, which torch-em leaves to its users."""
    total = np.zeros(image.shape, np.float32)
    for turns in range(4):
        turned = np.rot90(image, turns)
        total += np.rot90(predict(model, turned.copy()), -turns)
        total += np.rot90(predict(model, turned[:, ::-1].copy())[:, ::-1], -turns)
    return total / 8


def main():
    """Train, or predict with what was trained."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--average", action="store_true")
    options = parser.parse_args()
    if options.minutes:
        train(options.folder, options.minutes)
        return
    model = load_model(str(options.folder / "checkpoints" / "membranes"), model=build())
    model.eval()
    images = tifffile.imread(options.folder / "test-volume.tif")
    predictor, name = (average, "averaged") if options.average else (predict, "prediction")
    result = np.stack([predictor(model, image) for image in images]).astype(np.float32)
    tifffile.imwrite(options.folder / f"{name}.tif", result, photometric="minisblack")


if __name__ == "__main__":
    main()
