"""Seconds that the challenge's scores of one slice take, on one core.

    python benchmarks/evaluate.py [--size 512]

The limit: border thinning visits every membrane pixel once at each of the 11 thresholds, in an
order that each visit depends on, so that it cannot be done for all pixels at once.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy import ndimage

from unetseg.arrays.metrics import THRESHOLDS, score_slice
from unetseg.arrays.segments import thin_borders
from unetseg.arrays.synthetic import synthesize


def main() -> None:
    """Score a blurred label with noise, which is what a prediction looks like."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    size = parser.parse_args().size
    rng = np.random.default_rng(0)
    _, labels = synthesize(slices=1, height=size, width=size, rng=rng)
    blurred = ndimage.gaussian_filter(labels[0] / 255, 1.5)
    probability = np.clip(blurred + rng.normal(0, 0.05, blurred.shape), 0, 1).astype(np.float32)

    start = time.perf_counter()
    score_slice(probability, labels[0], thresholds=THRESHOLDS)
    whole = time.perf_counter() - start
    start = time.perf_counter()
    for threshold in THRESHOLDS:
        thin_borders(probability > threshold)
    thinning = time.perf_counter() - start
    visits = sum(int(np.count_nonzero(probability <= t)) for t in THRESHOLDS)
    print(f"{size} x {size}, 11 thresholds: {whole:.2f} s, {thinning / whole:.0%} of it thinning")
    print(f"{visits} membrane pixels visited, {thinning / visits * 1e6:.2f} microseconds each")


if __name__ == "__main__":
    main()
