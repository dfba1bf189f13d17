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
