"""Scores of numbered cells against labels, for `unetseg evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.cellscores import (
    Division,
    adapted_rand,
    find_inside,
    variation_of_information,
    worst_merges,
    worst_splits,
)
from unetseg.arrays.contingency import Overlaps, OverlapSum, count_overlaps, count_shared
from unetseg.arrays.labelling import INTERIOR
from unetseg.arrays.metrics import name_scores, segmentation_scores
from unetseg.arrays.segments import label_sections
from unetseg.artifacts.finding import find_writer, stacks_of
from unetseg.engine.parallel import ordered_map
from unetseg.errors import InputError
from unetseg.progress import Progress
from unetseg.stacks.labelforms import look_numbered
from unetseg.stacks.labels import Labels
from unetseg.stacks.opening import open_numbers
from unetseg.stacks.volume import Volume, name_in

WORST = 10  # splits, and as many merges, that scores.json lists
PARTS = 5  # largest parts that are listed for each of them
SAID = 3  # of the worst that are shown to the user
PAIRS = 5  # of neighbouring slices that are compared to see whether numbers continue


def holds_cells(path: Path, *, said: str) -> bool:
    """Whether a stack holds numbered cells, not probabilities.

    Parameters
    ----------
    path : Path
        Path of the stack.
    said : str
        'cells', 'probabilities', or 'auto' to decide by what wrote it, or by its pixels.
    """
    if said != "auto":
        return said == "cells"
    manifest = find_writer(path)
    if manifest is not None and manifest.stage in ("segment", "predict", "train"):
        return manifest.stage == "segment" and path.name in stacks_of(manifest)
    try:
        stack = open_numbers(path)
    except InputError:
        return False  # the error is raised where it is opened
    with stack:
        if stack.dtype.kind == "f":
            return False
        # Probabilities are not read from integers of more than 16 bits.
        return stack.dtype.itemsize > 2 or look_numbered(stack)


def check_cells(prediction: Volume) -> None:
    """Raise an InputError unless pixels are numbers of cells: whole, and 0 or more."""
    if prediction.dtype.kind == "u":
        return
    for index in range(len(prediction)):
        pixels = prediction.own(index)
        others = pixels[(pixels < 0) | (pixels != np.floor(pixels))]
        if len(others):
            raise InputError(
                prediction.path,
                expected="numbers of cells, whole ones from 0 on",
                found=f"{others[0]:g} in {name_in(prediction, [index])}",
                remedy="give 0 where there is no cell, or leave out --prediction-as cells if these "
                "are probabilities",
            )


def score_cells(
    prediction: Volume, labels: Labels, counted: Sequence[int], *, jobs: int, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """Score cells slice by slice, and through the slices if labels number the cells through them.

    Parameters
    ----------
    prediction : Volume
        Numbers of cells.
    labels : Labels
        Of the same shape.
    counted : sequence of int
        Slices in which anything counts.
    jobs : int
    progress : Progress

    Returns
    -------
    data : dict
        For scores.json.
    notes : list of str
        Lines for people.
    """
    rows: list[dict[str, float] | None] = [None] * len(labels)
    overlaps = OverlapSum()
    work = ((_truth(labels, index), prediction[index], index) for index in counted)
    scored = ordered_map(_score, work, jobs=jobs)
    tracked = progress.track(scored, total=len(counted), label="evaluate", unit="slice")
    for index, (row, table) in zip(counted, tracked, strict=True):
        rows[index] = row
        if labels.numbered and not labels.separate:
            overlaps.add(table)
    found = [row for row in rows if row is not None]
    data: dict[str, Any] = {"prediction_as": "cells"}
    data |= {name: float(np.mean([row[name] for row in found])) for name in found[0]}
    notes = [
        f"{title:8}{data[key]:.4f}  slice by slice (merge {data[key + '_merge']:.4f}, "
        f"split {data[key + '_split']:.4f})"
        for key, title in (("v_rand", "V_Rand"), ("v_info", "V_Info"))
    ]
    why_not = _why_not_through(labels, overlaps)
    if why_not:
        data |= {"through_slices": None, "worst": None}
        notes.append(f"scores through the slices are left out: {why_not}")
    else:
        _warn_of_numbers(prediction, labels, overlaps, counted, progress)
        total = overlaps.total()
        data["through_slices"] = through = _score_through(total)
        data["worst"] = worst = _find_worst(total, prediction, labels)
        notes += [*_say_through(through), *_say_worst(worst)]
    data["slices"] = rows
    return data, notes


def _truth(labels: Labels, index: int) -> npt.NDArray[Any]:
    """True cells of a slice by number; if labels do not number them, 1 in all cells."""
    if labels.numbered:
        return labels.numbers(index)
    inside: npt.NDArray[np.uint8] = (labels[index] == INTERIOR).astype(np.uint8)
    return inside


def _score(
    work: tuple[npt.NDArray[Any], npt.NDArray[Any], int],
) -> tuple[dict[str, float], Overlaps]:
    """Score the sections of one slice, and count the overlaps of its cells."""
    truth, proposal, index = work
    scores = segmentation_scores(label_sections(truth), label_sections(proposal))
    return name_scores(*scores), count_overlaps(truth, proposal, place=index)


def _why_not_through(labels: Labels, overlaps: OverlapSum) -> str:
    """Say why labels do not tell which sections are one cell; empty if they do."""
    if labels.separate:
        return "these are separate micrographs"
    if not labels.numbered:
        return (
            f"{labels.path} holds two classes, which do not say what sections are one cell; labels "
            "that number the cells do"
        )
    if overlaps.slices > 1 and len(np.unique(overlaps.total().truth)) == overlaps.truth_sections:
        return f"in {labels.path} no number is in two slices; give a cell the same one in all"
    return ""


def _warn_of_numbers(
    prediction: Volume,
    labels: Labels,
    overlaps: OverlapSum,
    counted: Sequence[int],
    progress: Progress,
) -> None:
    """Warn if numbers of cells do not seem to continue from slice to slice."""
    cells = np.count_nonzero(np.unique(overlaps.total().proposal))
    if overlaps.slices > 1 and cells == overlaps.proposal_sections > 0:
        progress.warn(
            f"{prediction.path}: no number is in two slices, so every cell counts as split between "
            "all of its slices: only the scores slice by slice mean anything"
        )
    for stack, read in ((labels, labels.numbers), (prediction, prediction.__getitem__)):
        if _begin_anew(read, counted):
            progress.warn(
                f"{stack.path}: most numbers in two neighbouring slices are at different places; "
                "if numbers start over in every slice, scores through the slices mean nothing"
            )


def _begin_anew(read: Callable[[int], npt.NDArray[Any]], counted: Sequence[int]) -> bool:
    """Whether most numbers shared by neighbouring slices are at different places in them."""
    neighbours = [(one, two) for one, two in pairwise(counted) if two == one + 1]
    chosen = neighbours[:: max(1, len(neighbours) // PAIRS)][:PAIRS]
    found = [count_shared(read(one), read(two)) for one, two in chosen]
    return 2 * sum(lying_over for _, lying_over in found) < sum(shared for shared, _ in found)


def _score_through(table: Overlaps) -> dict[str, Any]:
    """Scores through the slices, by their names in scores.json."""
    information, rand = variation_of_information(table), adapted_rand(table)
    voxels = int(table.voxels.sum())
    return {
        "voi": information.total,
        "voi_split": information.split,
        "voi_merge": information.merge,
        "voi_split_at_zero": information.split_at_zero,
        "voi_merge_at_zero": information.merge_at_zero,
        "adapted_rand_error": 1 - rand.value,
        "adapted_rand_precision": rand.merge,
        "adapted_rand_recall": rand.split,
        "voxels": voxels,
        "share_at_zero": float(table.voxels[table.proposal == 0].sum() / voxels),
        "cells": len(np.unique(table.truth)),
        "predicted_cells": int(np.count_nonzero(np.unique(table.proposal))),
    }


def _find_worst(table: Overlaps, prediction: Volume, labels: Labels) -> dict[str, Any]:
    """The worst splits and merges, and where they are."""
    splits = worst_splits(table, most=WORST, parts=PARTS)
    merges = worst_merges(table, most=WORST, parts=PARTS)
    wanted = {(part.place, s.number, part.number) for s in splits for part in s.largest}
    wanted |= {(part.place, part.number, m.number) for m in merges for part in m.largest}
    places = dict(_locate(sorted(wanted), prediction, labels))
    return {
        "splits": [_row(s, "cell", "predicted", places, truth_first=True) for s in splits],
        "merges": [_row(m, "predicted", "cell", places, truth_first=False) for m in merges],
    }


Place = tuple[int, int, int]  # slice, true cell, predicted cell


def _locate(
    wanted: Sequence[Place], prediction: Volume, labels: Labels
) -> Iterator[tuple[Place, tuple[int, int]]]:
    """Yield a pixel of each place; as places are sorted by slice, each slice is read once."""
    read = -1
    for place in wanted:
        index, cell, number = place
        if index != read:
            truth, proposal, read = labels.numbers(index), prediction[index], index
        yield place, find_inside((truth == cell) & (proposal == number))


def _row(
    division: Division,
    whole: str,
    part: str,
    places: dict[Place, tuple[int, int]],
    *,
    truth_first: bool,
) -> dict[str, Any]:
    """Return a split or a merge as an entry of scores.json."""
    largest = []
    for each in division.largest:
        pair = (division.number, each.number) if truth_first else (each.number, division.number)
        y, x = places[each.place, *pair]
        largest.append(
            {part: each.number, "voxels": each.voxels, "slice": each.place, "y": y, "x": x}
        )
    return {
        whole: division.number,
        "voxels": division.voxels,
        "parts": division.parts,
        "bits": division.bits,
        "largest": largest,
    }


def _say_through(through: dict[str, Any]) -> list[str]:
    lines = [
        f"{'VOI':8}{through['voi']:.4f}  bits through the slices "
        f"(merge {through['voi_merge']:.4f}, split {through['voi_split']:.4f})",
        f"{'ARE':8}{through['adapted_rand_error']:.4f}  adapted Rand error through the slices "
        f"(precision {through['adapted_rand_precision']:.4f}, "
        f"recall {through['adapted_rand_recall']:.4f})",
    ]
    if through["share_at_zero"]:
        lines.append(
            f"the prediction is 0 in {through['share_at_zero']:.1%} of the cells' voxels: "
            f"{through['voi_merge_at_zero']:.4f} of merge, {through['voi_split_at_zero']:.4f} of "
            "split are theirs"
        )
    return lines


def _say_worst(worst: dict[str, Any]) -> list[str]:
    """Describe the worst splits and merges in lines."""
    lines = []
    for kind, whole, part, does in (
        ("splits", "cell", "predicted", "is split among"),
        ("merges", "predicted", "cell", "merges"),
    ):
        for row in worst[kind][:SAID]:
            shown = "; ".join(
                f"{each[part]} at slice {each['slice']}, y {each['y']}, x {each['x']}"
                for each in row["largest"][:2]
            )
            more = f"; {row['parts'] - 2} more" if row["parts"] > 2 else ""
            lines.append(
                f"{whole} {row[whole]} {does} {row['parts']} cells ({row['bits']:.4f} bits): "
                f"{shown}{more}"
            )
    return lines
