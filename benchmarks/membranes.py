"""How wide membranes between numbered cells have to be drawn, to be those that people draw.

    unetseg download --output data/isbi2012
    python benchmarks/membranes.py [--labels data/isbi2012/train-labels.tif]

The cells of every slice are numbered, and grown until no membrane is left between them; then
membrane is drawn again, as `unetseg augment --membrane` does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from unetseg.arrays.labelling import INTERIOR, MEMBRANE
from unetseg.arrays.membranes import draw_membranes
from unetseg.arrays.segments import label_cells
from unetseg.stacks.labels import open_labels

WIDTHS = range(1, 11)
NEAR = 1  # pixel: what is as near to the border of the labels may be a matter of taste


def measure(label: np.ndarray) -> np.ndarray:
    """A row for each width: shares of pixels, and cells of which nothing is left."""
    inside = label == INTERIOR
    cells = label_cells(inside)
    away = ndimage.distance_transform_edt(~inside)
    grown = watershed(away, cells)
    near = np.where(inside, ndimage.distance_transform_edt(inside), away) <= NEAR
    rows = []
    for width in WIDTHS:
        drawn = draw_membranes(grown, width=width, close=True)
        differ = drawn != label
        kept = draw_membranes(cells, width=width, close=True)
        lost = cells.max() - len(np.unique(grown[drawn == INTERIOR]))
        shares = (differ, differ & ~near, drawn == MEMBRANE, kept != label)
        rows.append([*(100 * share.mean() for share in shares), lost])
    return np.array(rows)


def main() -> None:
    """Print a table: per cent of the pixels, and cells; means over the slices."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--labels", type=Path, default=Path("data/isbi2012/train-labels.tif"))
    with open_labels(parser.parse_args().labels) as labels:
        slices = list(labels)
    means = np.mean([measure(label) for label in slices], axis=0)
    print("| width, px | differ | farther than 1 px | membrane | membrane kept as 0 | cells lost |")
    print("| --- | --- | --- | --- | --- | --- |")
    for width, (differ, far, membrane, kept, lost) in zip(WIDTHS, means, strict=True):
        print(f"| {width} | {differ:.2f} | {far:.2f} | {membrane:.1f} | {kept:.2f} | {lost:.1f} |")
    share = 100 * np.mean([label == MEMBRANE for label in slices])
    print(f"{share:.1f} % of the labels is membrane")


if __name__ == "__main__":
    main()
