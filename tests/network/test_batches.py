"""Patches: all slices, kept together, drawn by the seed."""

from __future__ import annotations

import numpy as np

from unetseg.network.batches import Patches, Slices, patch_shape


def slices(count: int = 5, height: int = 40, width: int = 56) -> Slices:
    """Images that say where their pixels come from."""
    z, y, x = np.indices((count, height, width))
    images = (10_000 * z + 100 * y + x).astype(np.float32)
    return Slices(images, (images % 2).astype(np.uint8), images / 2)


def test_patches_cover_every_slice_once_an_epoch():
    data = Patches(slices(), shape=(16, 16), batch_size=2, seed=0)
    batches = [data.batch(1, i) for i in range(len(data))]
    assert [len(images) for images, _, _ in batches] == [2, 2, 1]
    origin = np.concatenate([images for images, _, _ in batches])[:, 0, 0, 0] // 10_000
    assert sorted(origin) == [0, 1, 2, 3, 4]


def test_patches_stay_together():
    data = Patches(slices(), shape=(16, 16), batch_size=5, seed=0)
    images, labels, weights = data.batch(1, 0)
    np.testing.assert_array_equal(images % 2, labels)
    np.testing.assert_array_equal(images[..., 0] / 2, weights)


def every_patch(height: int, width: int, *, shape: tuple[int, int]) -> set[bytes]:
    """All patches of many epochs of one slice, whose pixels are numbered line by line."""
    numbers = np.arange(height * width, dtype=np.uint8).reshape(1, height, width)
    one = Slices(numbers.astype(np.float32), numbers, numbers.astype(np.float32))
    data = Patches(one, shape=shape, batch_size=1, seed=0)
    seen = set()
    for epoch in range(200):
        (image,), (label,), (weight,) = data.batch(epoch, 0)
        np.testing.assert_array_equal(image, label)
        np.testing.assert_array_equal(image[..., 0], weight)
        seen.add(weight.astype(np.uint8).tobytes())
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


def test_patches_depend_on_seed_epoch_and_index():
    def first(seed: int, epoch: int) -> bytes:
        data = Patches(slices(), shape=(16, 16), batch_size=2, seed=seed)
        data.batch(epoch, 1)
        return data.batch(epoch, 0)[0].tobytes()

    assert first(0, 0) == first(0, 0)
    assert len({first(0, 0), first(0, 1), first(1, 0)}) == 3


def test_small_slices_are_mirrored_outwards():
    assert patch_shape((20, 500), patch=256, multiple=16) == (32, 256)
    data = Patches(slices(1, 20, 60), shape=(32, 48), batch_size=1, seed=0)
    images, _, _ = data.batch(1, 0)
    assert images.shape == (1, 32, 48, 1)
    rows = np.sort(images[0, :, 0, 0] // 100)
    assert rows.tolist() == sorted([*range(20), *range(8, 20)])
