"""What it brings that freed memory stays with the process: time, page faults and peak memory.

    python benchmarks/allocation.py

Steps of training and the prediction of one image, each in a process of its own, with the C
library's own settings and with ours, in turn. Reads what Linux says of a process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

ROUNDS = 3
# What is not ours: a variable that says what the C library does anyway.
LIBRARYS_OWN = {"MALLOC_CHECK_": "0"}


def measure(action: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Milliseconds and page faults of one action, after a first one."""
    action()
    start = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(repeats):
        action()
    return {
        "ms": 1000 * (time.perf_counter() - start) / repeats,
        "faults": (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / repeats,
    }


def work(what: str, repeats: int) -> None:
    """Print what one process needs."""
    import numpy as np

    from unetseg.engine.prediction import Predictor, build_network
    from unetseg.network.recipes import NETWORKS
    from unetseg.network.startup import keras
    from unetseg.options import TrainOptions

    options = TrainOptions()
    network = NETWORKS[options.network]
    model = build_network(network, seed=0)
    rng = np.random.default_rng(0)
    if what == "training step":
        size = (options.batch_size, options.patch, options.patch, 1)
        images, labels = (rng.random(size, dtype=np.float32) for _ in range(2))
        model.compile(keras.optimizers.AdamW(), "binary_crossentropy", jit_compile=False)
        found = measure(lambda: model.train_on_batch(images, labels), repeats)
    else:
        predictor = Predictor(model, network)
        image = rng.random((512, 512), dtype=np.float32)
        found = measure(lambda: predictor.predict_slice(image, tta=False, memory=2e9), repeats)
    found["MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps(found))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20, help="steps, or images")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.repeats)
        return
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    settings = {"the C library's own": {**plain, **LIBRARYS_OWN}, "kept": plain}
    print("| | freed memory | ms | page faults | peak MB |\n| --- | --- | --- | --- | --- |")
    for what in ("training step", "prediction of 512 x 512"):
        found: dict[str, list[dict[str, float]]] = {name: [] for name in settings}
        for _ in range(ROUNDS):
            for name, environment in settings.items():
                command = [sys.executable, __file__, "--work", what]
                command += ["--repeats", str(options.repeats)]
                done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
                found[name].append(json.loads(done.stdout))
        for name, runs in found.items():
            ms, faults, peak = (
                statistics.median(run[key] for run in runs) for key in ("ms", "faults", "MB")
            )
            print(f"| {what} | {name} | {ms:.0f} | {faults:.0f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
