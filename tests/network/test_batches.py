"""Patches: all slices, kept together, drawn by the seed."""

from __future__ import annotations

import numpy as np
import pytest

from unetseg.network.batches import Patches, Slices, patch_shape


def slices(count: int = 5, height: int = 40, width: int = 56) -> Slices:
    """Images that say where their pixels come from."""
    z, y, x = np.indices((count, height, width))
    images = (10_000 * z + 100 * y + x).astype(np.float32)
    return Slices(images, (images % 2).astype(np.uint8), images / 2)


def test_patches_cover_every_slice_once_an_epoch():
    data = Patches(slices(), shape=(16, 16), count=5, batch_size=2, overhang=4, seed=0)
    batches = [data.batch(1, i) for i in range(len(data))]
    assert [len(images) for images, _, _ in batches] == [2, 2, 1]
    origin = np.concatenate([images for images, _, _ in batches])[:, 0, 0, 0] // 10_000
    assert sorted(origin) == [0, 1, 2, 3, 4]


def turns_of(count: int, epochs: int) -> list[list[int]]:
    """Which of five slices give the patches of each epoch."""
    data = Patches(slices(), shape=(16, 16), count=count, batch_size=3, overhang=4, seed=0)
    return [
        [
            int(image[0, 0, 0] // 10_000)
            for index in range(len(data))
            for image in data.batch(epoch, index)[0]
        ]
        for epoch in range(epochs)
    ]


@pytest.mark.parametrize("count", [2, 5, 12])
def test_slices_take_turns_whatever_an_epoch_is(count: int):
    epochs = turns_of(count, 20)
    assert {len(epoch) for epoch in epochs} == {count}
    turns = [turn for epoch in epochs for turn in epoch]
    rounds = [turns[first : first + 5] for first in range(0, len(turns), 5)]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in rounds if len(one) == 5)
    assert len(set(map(tuple, rounds))) > len(rounds) / 2


def test_patches_are_of_places_where_something_counts():
    data = slices(1, 64, 64)
    data.weights[:] = 0
    data.weights[:, 8:24, 8:24] = 1  # a sixteenth
    drawn = Patches(data, shape=(16, 16), count=400, batch_size=400, overhang=4, seed=0)
    shares = drawn.batch(0, 0)[2].mean(axis=(1, 2))
    # Of single places 28 of 57 along each axis show some of it, and the mean share is a 13th.
    assert np.mean(shares > 0) == pytest.approx(1 - (1 - (28 / 57) ** 2) ** 4, abs=0.06)
    assert shares.mean() > 2 / 13
    # What counts everywhere is drawn as ever.
    data.weights[:] = 1
    np.testing.assert_array_equal(drawn.batch(0, 0)[2], 1)


def test_patches_stay_together():
    data = Patches(slices(), shape=(16, 16), count=5, batch_size=5, overhang=4, seed=0)
    images, labels, weights = data.batch(1, 0)
    np.testing.assert_array_equal(images % 2, labels)
    np.testing.assert_array_equal(images[..., 0] / 2, weights)


def every_patch(height: int, width: int, *, shape: tuple[int, int]) -> set[bytes]:
    """All patches of many epochs of one slice, whose pixels are numbered line by line."""
    numbers = np.arange(height * width, dtype=np.uint8).reshape(1, height, width)
    one = Slices(numbers.astype(np.float32), numbers, 1 + numbers.astype(np.float32))
    data = Patches(one, shape=shape, count=1, batch_size=1, overhang=4, seed=0)
    seen = set()
    for epoch in range(200):
        (image,), (label,), (weight,) = data.batch(epoch, 0)
        np.testing.assert_array_equal(image, label)
        np.testing.assert_array_equal(image[..., 0] + 1, weight)
        seen.add(label.astype(np.uint8).tobytes())
    return seen


def test_square_patches_come_in_all_eight_symmetries():
    square = np.arange(25, dtype=np.uint8).reshape(5, 5)
    eight = {np.rot90(side, turns).tobytes() for side in (square, square.T) for turns in range(4)}
    assert len(eight) == 8
    assert every_patch(5, 5, shape=(5, 5)) == eight


def test_oblong_patches_are_flipped_and_not_turned():
    oblong = np.arange(15, dtype=np.uint8).reshape(3, 5)
    flips = {oblong[::down, ::right].tobytes() for down in (1, -1) for right in (1, -1)}
    assert every_patch(3, 5, shape=(3, 5)) == flips


def test_patches_come_from_everywhere():
    # Of one pixel, so that no symmetry shows.
    assert every_patch(4, 6, shape=(1, 1)) == {bytes([number]) for number in range(24)}


def test_the_border_is_seen_too():
    # Along a slice of 40 pixels that is as narrow as a patch: how often each of them is seen.
    numbers = np.arange(40, dtype=np.uint8).reshape(1, 40, 1)
    data = Patches(
        Slices(numbers.astype(np.float32), numbers, np.ones((1, 40, 1), np.float32)),
        shape=(16, 1),
        count=1,
        batch_size=1,
        overhang=4,
        seed=0,
    )
    epochs = 4000
    seen = np.zeros(40)
    for epoch in range(epochs):
        np.add.at(seen, data.batch(epoch, 0)[1].astype(int).ravel(), 1)
    # Of 33 places along the slice 5 show the outermost pixel, and 4 of these its image beside it.
    for number, places in ((0, 9), (39, 9), (20, 16)):
        assert seen[number] == pytest.approx(epochs * places / 33, rel=0.1)


def test_what_overhangs_is_mirrored():
    data = Patches(slices(1, 40, 56), shape=(32, 32), count=1, batch_size=1, overhang=4, seed=0)
    overhanging = 0
    for epoch in range(50):
        (image,), (label,), (weight,) = data.batch(epoch, 0)
        np.testing.assert_array_equal(image % 2, label)
        np.testing.assert_array_equal(image[..., 0] / 2, weight)
        steps = np.abs([*np.diff(image, axis=0).ravel(), *np.diff(image, axis=1).ravel()])
        # Neighbours are neighbours in the slice, or at its edge one pixel and its image.
        assert set(steps) <= {0, 1, 100}
        overhanging += 0 in steps
    # 8 of 17 places overhang along one axis, 8 of 33 along the other: 30 of 50, more or less.
    assert 18 < overhanging < 42


def test_what_weighs_nothing_counts_for_nothing_in_any_recipe():
    data = slices(2)
    data.weights[1, :, :28] = 0
    data.weights[1, :, 28:] = 7
    images, labels, weights = Patches(
        data.only([1]).unweighted(), shape=(48, 64), count=1, batch_size=2, overhang=4, seed=0
    ).batch(1, 0)
    # One slice, whole, and mirrored to the next multiple of 16.
    assert images.shape == (1, 48, 64, 1)
    np.testing.assert_array_equal(weights, (images[..., 0] % 100 >= 28).astype(np.float32))
    np.testing.assert_array_equal(images % 2, labels)


def test_of_a_file_only_the_patch_is_read():
    """What is asked of the stacks, each time, is one slice and no more than a patch of it."""

    class Asked:
        shape = (3, 90, 70)

        def __init__(self) -> None:
            self.pieces: list[tuple[int, slice, slice]] = []

        def __len__(self) -> int:
            return self.shape[0]

        def __getitem__(self, key: tuple[int, slice, slice]) -> np.ndarray:
            self.pieces.append(key)
            return np.ones(self.shape, np.float32)[key]

    asked = Asked()
    data = Patches(
        Slices(asked, asked, asked), shape=(16, 16), count=1, batch_size=1, overhang=4, seed=0
    )
    for epoch in range(50):
        data.batch(epoch, 0)
    assert len(asked.pieces) == 150
    for _, rows, columns in asked.pieces:
        assert 8 <= rows.stop - rows.start <= 16
        assert 8 <= columns.stop - columns.start <= 16


def test_patches_depend_on_seed_epoch_and_index():
    def first(seed: int, epoch: int) -> bytes:
        data = Patches(slices(), shape=(16, 16), count=5, batch_size=2, overhang=4, seed=seed)
        data.batch(epoch, 1)
        return data.batch(epoch, 0)[0].tobytes()

    assert first(0, 0) == first(0, 0)
    assert len({first(0, 0), first(0, 1), first(1, 0)}) == 3


def test_small_slices_are_mirrored_outwards():
    assert patch_shape((20, 500), patch=256, multiple=16) == (32, 256)
    data = Patches(slices(1, 20, 60), shape=(32, 48), count=1, batch_size=1, overhang=4, seed=0)
    images, _, _ = data.batch(1, 0)
    assert images.shape == (1, 32, 48, 1)
    rows = np.sort(images[0, :, 0, 0] // 100)
    assert rows.tolist() == sorted([*range(20), *range(8, 20)])
