"""The challenge's evaluation by its definitions, one slow step at a time, without a line of ours.

Arganda-Carreras et al. 2015, doi 10.3389/fnana.2015.00142, section 2.4, and the flooding of
Vincent and Soille (IEEE PAMI 13(6), 1991, section IV) in the variant of the organisers' program.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator

import numpy as np

MARKED, QUEUED = -1, -2


def neighbours(y: int, x: int, shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The four pixels beside one, in the order of the organisers."""
    for b, a in ((y, x - 1), (y - 1, x), (y, x + 1), (y + 1, x)):
        if 0 <= b < shape[0] and 0 <= a < shape[1]:
            yield b, a


def fill(labels: np.ndarray, start: tuple[int, int], number: int) -> None:
    """Give a pixel, and all that are joined to it and have the same label, another label."""
    old = labels[start]
    labels[start] = number
    reached = [start]
    while reached:
        for beside in neighbours(*reached.pop(), labels.shape):
            if labels[beside] == old:
                labels[beside] = number
                reached.append(beside)


def number_cells(interior: np.ndarray) -> np.ndarray:
    """4-connected components, numbered line by line; 0 on membrane."""
    labels = np.where(interior, MARKED, 0)
    number = 0
    for pixel in np.ndindex(labels.shape):
        if labels[pixel] == MARKED:
            number += 1
            fill(labels, pixel, number)
    return labels


def thin(interior: np.ndarray) -> np.ndarray:
    """Grow the cells of a slice until dams of one pixel, which are 0, are left between them."""
    height, width = interior.shape
    labels = number_cells(interior)
    level = [(y, x) for x in range(width) for y in range(height) if not interior[y, x]]
    for pixel in level:
        labels[pixel] = MARKED
    queue = []
    for pixel in level:
        if any(labels[beside] >= 0 for beside in neighbours(*pixel, labels.shape)):
            labels[pixel] = QUEUED
            queue.append(pixel)
    flag = False
    while queue:
        pixel = queue.pop(0)
        for beside in neighbours(*pixel, labels.shape):
            if labels[beside] > 0:
                if labels[pixel] == QUEUED or (labels[pixel] == 0 and flag):
                    labels[pixel] = labels[beside]
                elif labels[pixel] > 0 and labels[pixel] != labels[beside]:
                    labels[pixel] = 0
                    flag = False
            elif labels[beside] == 0:
                if labels[pixel] == QUEUED:
                    labels[pixel] = 0
                    flag = True
            elif labels[beside] == MARKED:
                labels[beside] = QUEUED
                queue.append(beside)
    for pixel in level:
        if labels[pixel] == MARKED:
            fill(labels, pixel, max(0, labels.max()) + 1)
    return labels


def compare(truth: np.ndarray, proposal: np.ndarray) -> tuple[float, float]:
    """V_Rand and V_Info, alpha = 1/2, over the pixels inside the truth's cells.

    A pixel on a dam of the proposal is a segment by itself.
    """
    pairs: list[tuple[Hashable, Hashable]] = [
        (int(truth[pixel]), int(proposal[pixel]) or pixel)
        for pixel in np.ndindex(truth.shape)
        if truth[pixel]
    ]

    def shares(segments: Iterable[Hashable]) -> list[float]:
        return [count / len(pairs) for count in Counter(segments).values()]

    both, s, t = shares(pairs), shares(i for i, _ in pairs), shares(j for _, j in pairs)
    squares = [sum(share**2 for share in part) for part in (both, s, t)]
    entropies = [-sum(share * math.log(share) for share in part) for part in (both, s, t)]
    rand = squares[0] / (squares[1] / 2 + squares[2] / 2)
    if entropies == [0, 0, 0]:
        return rand, 1.0  # one segment in both, which is perfect agreement
    shared = entropies[1] + entropies[2] - entropies[0]
    return rand, shared / (entropies[1] / 2 + entropies[2] / 2)


def score(prediction: np.ndarray, labels: np.ndarray) -> tuple[list[float], list[float]]:
    """V_Rand and V_Info of a stack at each of the eleven thresholds: means over its slices."""
    rands, informations = [], []
    threshold = 0.0
    for _ in range(11):
        scores = [
            compare(number_cells(label > 0), thin(probability > threshold))
            for probability, label in zip(prediction.astype(float), labels, strict=True)
        ]
        rands.append(sum(rand for rand, _ in scores) / len(scores))
        informations.append(sum(information for _, information in scores) / len(scores))
        threshold += 0.1
    return rands, informations


def draw_stacks() -> tuple[np.ndarray, np.ndarray]:
    """A prediction and its labels, (3, 40, 56): the same to the last bit on every machine.

    All is done with whole numbers, drawn from the raw stream of a bit generator: the one that NumPy
    promises never to change. (`unetseg.arrays.synthetic` looks better, but sums up in float32, and
    another processor may round another way.)
    """
    stream = np.random.PCG64(2012)

    def draw(shape: tuple[int, ...], below: int) -> np.ndarray:
        raw = stream.random_raw(math.prod(shape)) >> np.uint64(32)
        return (raw.astype(np.int64) % below).reshape(shape)

    predictions, labels = [], []
    rows, columns = np.indices((40, 56))
    for brightest in (255, 255, 254):  # of the last slice nothing passes the last threshold
        y, x = draw((14,), 40), draw((14,), 56)
        # A pixel belongs to the nearest of 14 places, and is membrane where two are about as near.
        squares = [(rows - b) ** 2 + (columns - a) ** 2 for b, a in zip(y, x, strict=True)]
        nearest, second = np.sort(squares, axis=0)[:2]
        clear = second - nearest
        labels.append(np.where(clear > 24, 255, 0).astype(np.uint8))
        # Blots of 4 x 4 pixels close membranes and open them, noise of single ones leaves specks.
        blots = draw((10, 14), 141).repeat(4, axis=0).repeat(4, axis=1)
        grey = 3 * clear // 2 + blots - 40 + draw((40, 56), 61) - 30
        predictions.append(grey.clip(0, brightest).astype(np.float32) / np.float32(255))
    return np.stack(predictions), np.stack(labels)
