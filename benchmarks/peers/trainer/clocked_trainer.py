"""What a user of nnU-Net writes so that it trains for minutes: its epochs take longer than that."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from nnunetv2.training.nnUNetTrainer.variants.optimizer.nnUNetTrainerAdam import (
    nnUNetTrainerAdam1en3,
)


class ClockedTrainer(nnUNetTrainerAdam1en3):
    """nnU-Net's own step, loss and augmentation; its own decay of the rate, laid out in time."""

    def run_training(self):
        """Take steps until time is up, and keep the last weights."""
        limit = float(os.environ["TRAINING_MINUTES"]) * 60
        self.on_train_start()
        self.network.train()
        steps, began = 0, time.monotonic()
        while (done := (time.monotonic() - began) / limit) < 1:
            for group in self.optimizer.param_groups:
                group["lr"] = self.initial_lr * (1 - done) ** 0.9
            self.train_step(next(self.dataloader_train))
            steps += 1
        spent = {"seconds": time.monotonic() - began, "steps": steps}
        spent.update(batch=self.batch_size, patch=self.configuration_manager.patch_size[0])
        Path(os.environ["TRAINING_JSON"]).write_text(json.dumps(spent))
        self.current_epoch = 1
        self.on_train_end()

    def perform_actual_validation(self, save_probabilities=False):
        """Nothing: the slices to score are no part of the dataset."""
