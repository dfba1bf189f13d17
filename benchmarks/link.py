"""Cells through the slices: `unetseg segment --link` against greedy linking, on known cells.

    python benchmarks/link.py --model work/model [--seeds 910 911 912 913] [--drift 6] [--lost 3]
    python benchmarks/link.py --model work/model --seeds 900 901 902 --fit
    python benchmarks/link.py --labels data/train-labels.tif

Draws synthetic stacks of 30 slices of 512 x 512, lets the model predict them, and compares cells
with the true ones through all slices: variation of information (bits; its part of splits, that of
merges, and their sum) and adapted Rand error, both of scikit-image, where truth is a cell. Rows:

    unlinked        every section a cell of its own
    greedy          each section goes on in the one of the next slice with which it has the largest
                    overlap over union, above a threshold
    greedy, mutual  and only where that is so in both directions
    --link          as the product does it
    truth           each section is given the true cell that it overlaps most: no linking is better

`--drift` moves each slice by up to so many pixels, `--lost` takes the tissue from each so-manieth.
`--fit` prints the constants of unetseg/arrays/linking.py, and which thresholds are best for greedy
linking; the constants there and the thresholds here are of seeds 900 to 902.

`--labels` says, of pairs of slices 1 to 10 apart and of parts of them, which share looks like
neighbours: real labels, smoothed by a Gaussian of one pixel.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from skimage.metrics import adapted_rand_error, variation_of_information

from unetseg.arrays.cells import WHOLE, segment_cells
from unetseg.arrays.layers import Layer, lie_together
from unetseg.arrays.linking import REACH, Edges, Linker, link_neighbours, link_slices
from unetseg.options import SegmentOptions

SETTINGS = {
    key: value
    for key, value in dataclasses.asdict(SegmentOptions()).items()
    if key in ("smoothing", "seed_threshold", "smallest", "grow")
}
THRESHOLDS = {False: 0.25, True: 0.1}  # of greedy linking, by whether it is mutual


@dataclass(frozen=True)
class Case:
    """A stack: sections numbered through, the truth, and what linking sees; (Z, Y, X) each."""

    sections: np.ndarray
    truth: np.ndarray
    layers: list[Layer]


def make_case(seed: int, args: argparse.Namespace) -> Case:
    """Draw, predict and segment a stack."""
    data, predicted = args.work / f"data-{seed}", args.work / f"prediction-{seed}"
    size = ["--slices", 30, "--height", 512, "--width", 512]
    run("synthesize", *size, "--seed", seed, "--output", data)
    volume = data / "train-volume.tif"
    run("predict", "--model", args.model, "--volume", volume, "--output", predicted)
    probability = tifffile.imread(predicted / "prediction.tif")
    truth = tifffile.imread(data / "train-cells.tif").astype(np.int64)
    rng = np.random.default_rng(seed)
    layers, total = [], 0
    for z in range(len(truth)):
        by = tuple(rng.integers(-args.drift, args.drift, 2, endpoint=True))
        probability[z], truth[z] = (np.roll(each[z], by, (0, 1)) for each in (probability, truth))
        if args.lost and z % args.lost == args.lost // 2:
            probability[z], truth[z] = 0, 0
        cells = segment_cells(probability[z], **SETTINGS, zero_is_missing=True, cut=WHOLE)
        sections = np.where(cells > 0, cells + total, 0)
        layers.append(Layer(z, sections, probability[z], probability[z] > 0))
        total += int(cells.max())
    return Case(np.stack([layer.sections for layer in layers]), truth, layers)


def run(*command: Any) -> None:
    """Run a stage; what is there already is left as it is."""
    subprocess.run([sys.executable, "-m", "unetseg", *map(str, command), "--quiet"], check=True)


def link(case: Case) -> np.ndarray:
    """Number of the cell of each section, as the product finds it."""
    linker = Linker()
    for layer in case.layers:
        linker.add(layer)
    return linker.solve(int(case.sections.max()))


def link_greedily(case: Case, threshold: float, *, mutual: bool) -> np.ndarray:
    """Number of the cell of each section, each linked with the best in the next slice."""
    areas = np.bincount(case.sections.ravel()).astype(float)
    links = [np.empty((0, 2), np.int64)]
    for one, other in zip(case.sections[:-1], case.sections[1:], strict=True):
        both = (one > 0) & (other > 0)
        pairs, shared = np.unique(
            np.stack([one[both], other[both]], axis=1), axis=0, return_counts=True
        )
        share = shared / (areas[pairs].sum(axis=1) - shared)
        best = is_best(pairs[:, 0], share)
        if mutual:
            best &= is_best(pairs[:, 1], share)
        links.append(pairs[best & (share > threshold)])
    pairs = np.concatenate(links)
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(areas), len(areas)))
    return np.asarray(connected_components(graph, directed=False)[1])


def is_best(owner: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Whether a share is the largest of its owner, the first of equal ones."""
    order = np.lexsort((-share, owner))
    best = np.zeros(len(owner), bool)
    best[order[np.diff(owner[order], prepend=-1) > 0]] = True
    return best


def link_by_truth(case: Case) -> np.ndarray:
    """Number of the true cell that each section overlaps most; a new one where there is none."""
    inside = (case.sections > 0) & (case.truth > 0)
    pairs, shared = np.unique(
        np.stack([case.sections[inside], case.truth[inside]], axis=1), axis=0, return_counts=True
    )
    best = pairs[is_best(pairs[:, 0], shared)]
    numbers = np.arange(case.sections.max() + 1) + case.truth.max() + 1
    numbers[best[:, 0]] = best[:, 1]
    numbers[0] = 0
    return numbers


def score(case: Case, numbers: np.ndarray) -> np.ndarray:
    """VI of splits, of merges, their sum, and adapted Rand error, where truth is a cell."""
    inside = case.truth > 0
    truth, found = case.truth[inside], numbers[case.sections[inside]]
    split, merge = variation_of_information(truth, found)
    return np.array([split, merge, split + merge, adapted_rand_error(truth, found)[0]])


def all_edges(case: Case) -> Iterator[Edges]:
    """Edges of a stack."""
    for z, layer in enumerate(case.layers):
        yield link_neighbours(layer)
        for before in case.layers[max(0, z - REACH) : z]:
            yield link_slices(before, layer)


def fit(cases: list[Case]) -> None:
    """Print weights by logistic regression, and thresholds for greedy linking."""
    measures: dict[int, list[np.ndarray]] = {distance: [] for distance in range(REACH + 1)}
    signs: dict[int, list[np.ndarray]] = {distance: [] for distance in measures}
    for case in cases:
        true = link_by_truth(case)
        for edges in all_edges(case):
            measures[edges.distance].append(edges.measures)
            same = true[edges.pairs[:, 0]] == true[edges.pairs[:, 1]]
            signs[edges.distance].append(np.where(same, 1.0, -1.0))
    for distance in measures:
        weights = regress(np.concatenate(measures[distance]), np.concatenate(signs[distance]))
        print(
            f"weights at distance {distance}: {', '.join(f'{w:.2f}' for w in weights)}", flush=True
        )
    for mutual in (False, True):
        for threshold in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4):
            found = [score(c, link_greedily(c, threshold, mutual=mutual))[2] for c in cases]
            print(f"greedy above {threshold}, mutual {mutual}: VI {np.mean(found):.3f}")


def regress(measures: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Weights of logistic regression, with a little ridge."""

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (measures @ weights)
        slope = -(sign / (1 + np.exp(margin))) @ measures / len(sign)
        ridge = 1e-3 * weights
        return float(np.logaddexp(0, -margin).mean() + ridge @ weights / 2), slope + ridge

    found = minimize(loss, np.zeros(measures.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x)


def look_for_neighbours(path: Path) -> None:
    """Print which share of pairs of slices looks like neighbours in a stack."""
    labels = tifffile.imread(path) > 0
    stack = np.stack([gaussian_filter(label.astype(np.float32), 1) for label in labels])
    for edge in (512, 256, 128, 64):
        shares = []
        for apart in (1, 2, 3, 5, 10):
            found = [
                lie_together(
                    *(as_layer(stack[at, y : y + edge, x : x + edge]) for at in (z, z + apart))
                )
                for z in range(len(stack) - apart)
                for y, x in ([(0, 0)] if edge == 512 else [(0, 0), (edge, edge)])
            ]
            shares.append(f"{apart}: {np.mean(found):.0%} of {len(found)}")
        print(f"{edge} x {edge}, slices apart, {', '.join(shares)}", flush=True)


def as_layer(probability: np.ndarray) -> Layer:
    """A slice of tissue, of which no sections are known."""
    return Layer(0, np.empty((0, 0), int), probability, np.ones(probability.shape, bool))


def main() -> None:
    """Print a table, or constants."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("work/model"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[910, 911, 912, 913])
    parser.add_argument("--work", type=Path, default=Path("work/link"))
    parser.add_argument("--drift", type=int, default=0)
    parser.add_argument("--lost", type=int, default=0)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--labels", type=Path)
    args = parser.parse_args()
    if args.labels is not None:
        look_for_neighbours(args.labels)
        return
    cases = [make_case(seed, args) for seed in args.seeds]
    if args.fit:
        fit(cases)
    rows = {
        "unlinked": lambda case: np.arange(case.sections.max() + 1),
        "greedy": lambda case: link_greedily(case, THRESHOLDS[False], mutual=False),
        "greedy, mutual": lambda case: link_greedily(case, THRESHOLDS[True], mutual=True),
        "--link": link,
        "truth": link_by_truth,
    }
    print("                 VI split  merge  total   adapted Rand error   (total of each seed)")
    for name, number in rows.items():
        scores = np.array([score(case, number(case)) for case in cases])
        split, merge, total, rand = scores.mean(axis=0)
        each = " ".join(f"{value:.2f}" for value in scores[:, 2])
        print(f"{name:17}{split:8.3f}{merge:7.3f}{total:7.3f}{rand:21.3f}   ({each})", flush=True)


if __name__ == "__main__":
    main()
