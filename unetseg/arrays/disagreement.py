"""Where two segmentations disagree: cells that were split, and cells that were merged.

The scores say how much; this says where, so that one can go and look. A split is to the truth what
a merge is to the proposal: a region of one is divided among several regions of the other. Both are
found in the same way, with the roles exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from skimage.segmentation import watershed

from unetseg.arrays.segments import FOUR_CONNECTED

IntArray = npt.NDArray[Any]  # of any integer type

# Weight of a pair of pixels at a leak: one such pair outweighs a contact of any length.
SURE = 1 << 32


@dataclass(frozen=True, eq=False)
class Disagreement:
    """One border that is in one segmentation and not in the other.

    Attributes
    ----------
    whole : int
        The undivided region: a cell of the truth (split), a segment of the proposal (merge).
    parts : (int, int)
        The regions of the other segmentation on its two sides.
    pixels : int
        What the border cuts off from the region, or would cut off: the smaller of its two sides,
        with all parts that are connected to it.
    rows, columns : (N,) int
        The pixels on both sides of the border.
    row, column : int
        The one of these pixels nearest to their mean.
    """

    whole: int
    parts: tuple[int, int]
    pixels: int
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    row: int
    column: int


def find_splits(truth: IntArray, proposal: IntArray, *, depth: float) -> list[Disagreement]:
    """Find the borders that the proposal draws inside cells of the truth.

    A cell in which n segments have a part has n - 1 splits.

    Parameters
    ----------
    truth : (H, W) int
        Cells as `label_cells` numbers them, 0 on membrane.
    proposal : (H, W) int
        Segments as `thin_borders` numbers them, 0 on dams.
    depth : float
        A part counts if one of its pixels is at least this far, in pixels, from everything outside
        the part. Thinner parts come from borders drawn a little beside the true ones.

    Returns
    -------
    list of Disagreement
        Those that cut off most pixels first.
    """
    nowhere = np.zeros(truth.shape, np.bool_)
    return _ordered(_find(truth, proposal, sure=nowhere, depth=depth))


def find_merges(
    truth: IntArray, proposal: IntArray, *, interior: npt.NDArray[np.bool_], depth: float
) -> list[Disagreement]:
    """Find the borders of the truth that the proposal lacks.

    A segment that joins n cells is n - 1 merges. The border is where the segment leaks from one
    cell into the other: where pixels called interior touch midway between the two. Where none do
    (the proposal has lost a small cell altogether, and the flood has filled it), it is the whole
    line midway.

    Parameters
    ----------
    truth, proposal, depth
        As for `find_splits`.
    interior : (H, W) bool
        What the proposal was made from, before its borders were thinned.

    Returns
    -------
    list of Disagreement
        Those that join most pixels first.
    """
    return _ordered(_find(proposal, truth, sure=interior, depth=depth))


def _ordered(found: Iterator[Disagreement]) -> list[Disagreement]:
    return sorted(found, key=lambda d: (-d.pixels, d.row, d.column))


def _find(
    wholes: IntArray, pieces: IntArray, *, sure: npt.NDArray[np.bool_], depth: float
) -> Iterator[Disagreement]:
    """Yield the borders of `pieces` inside each region of `wholes`."""
    for number, found in enumerate(ndimage.find_objects(wholes), start=1):
        if found is None:
            continue
        box = _widened(found, wholes.shape)
        region = wholes[box] == number
        inside = np.where(region, pieces[box], 0)
        parts = _deep_parts(inside, depth)
        if len(parts) > 1:
            offset = (box[0].start, box[1].start)
            yield from _borders(number, region, inside, parts, sure[box], offset)


def _deep_parts(inside: IntArray, depth: float) -> list[int]:
    """Numbers of the parts that are more than a sliver."""
    sizes = np.bincount(inside.ravel())
    sizes[0] = 0
    large = np.flatnonzero(sizes >= depth**2)  # a disc of that radius has three times that
    if len(large) < 2:
        return []
    boxes = ndimage.find_objects(inside)
    return [
        int(part)
        for part in large
        if ndimage.distance_transform_edt(
            inside[_widened(boxes[part - 1], inside.shape)] == part
        ).max()
        >= depth
    ]


def _widened(box: tuple[slice, ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Widen a box by one pixel, but not beyond the slice: its edge is no border."""
    return tuple(
        slice(max(side.start - 1, 0), min(side.stop + 1, edge))
        for side, edge in zip(box, shape, strict=True)
    )


def _borders(
    number: int,
    region: npt.NDArray[np.bool_],
    inside: IntArray,
    parts: list[int],
    sure: npt.NDArray[np.bool_],
    offset: tuple[int, int],
) -> Iterator[Disagreement]:
    """Yield borders between the parts of one region, just enough to connect all parts."""
    markers = np.zeros(int(inside.max()) + 1, np.int32)
    markers[parts] = np.arange(1, len(parts) + 1)
    seeds = markers[inside]
    sizes = np.bincount(seeds.ravel(), minlength=len(parts) + 1)[1:]
    # On a level image the flood goes ring by ring, and meets midway.
    level = np.zeros(region.shape, np.uint8)
    basins = watershed(level, seeds, mask=region, connectivity=FOUR_CONNECTED)
    ones, others = _touching(basins)
    low, high = np.sort(np.stack([basins.ravel()[ones], basins.ravel()[others]]), axis=0) - 1
    leaks = sure.ravel()[ones] & sure.ravel()[others]
    contacts, which = np.unique(low.astype(np.int64) * len(parts) + high, return_inverse=True)
    weights = np.bincount(which, np.where(leaks, SURE, 1)).astype(np.float64)
    of_contact = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
    for contact, pixels in _spanning_tree(contacts, weights, sizes):
        here = of_contact[contact]
        if leaks[here].any():
            here = here[leaks[here]]
        rows, columns = np.unravel_index(
            np.unique(np.concatenate([ones[here], others[here]])), region.shape
        )
        middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        one, other = divmod(int(contacts[contact]), len(parts))
        yield Disagreement(
            whole=number,
            parts=(parts[one], parts[other]),
            pixels=pixels,
            rows=rows + offset[0],
            columns=columns + offset[1],
            row=int(rows[middle]) + offset[0],
            column=int(columns[middle]) + offset[1],
        )


def _touching(basins: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Flat indices of both pixels of each pair of neighbours in different basins."""
    index = np.arange(basins.size).reshape(basins.shape)
    pairs = []
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        apart = (basins[one] != basins[other]) & (basins[one] > 0) & (basins[other] > 0)
        pairs.append((index[one][apart], index[other][apart]))
    return (
        np.concatenate([pair[0] for pair in pairs]),
        np.concatenate([pair[1] for pair in pairs]),
    )


def _spanning_tree(
    contacts: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.intp],
) -> Iterator[tuple[int, int]]:
    """Find the heaviest contacts that just connect all parts: these are the most evident borders.

    Yields the index of each such contact, and the size of the smaller of the two sides into which
    the tree falls without it. A contact is low part * number of parts + high part.
    """
    count = len(sizes)
    # 32 bits, because older versions of SciPy traverse no other graph.
    low, high = (ends.astype(np.int32) for ends in np.divmod(contacts, count))
    graph = sparse.coo_array((-weights, (low, high)), shape=(count, count)).tocsr()
    tree = csgraph.minimum_spanning_tree(graph)
    order, parents = csgraph.breadth_first_order(tree, 0, directed=False)
    hanging = sizes.astype(np.int64)
    for part in order[:0:-1]:  # from the leaves to the root
        parent = int(parents[part])
        side = int(hanging[part])
        hanging[parent] += side
        contact = min(part, parent) * count + max(part, parent)
        yield int(np.searchsorted(contacts, contact)), min(side, int(sizes.sum()) - side)
