"""Read folders of `unetseg preprocess`: arrays that are small on disk, and ready to train on.

Images are those of the stack, memory-mapped, and normalised when a part is read. Labels and
weights are compressed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.arrays.intensity import NormalisedStack
from unetseg.artifacts.manifest import Manifest
from unetseg.errors import InputError
from unetseg.network.batches import Slices
from unetseg.stacks.compressed import open_compressed
from unetseg.stacks.npy import open_npy
from unetseg.stacks.volume import DTYPES

PARTS = ("train", "held-out")
FILES = {"images": "images.npy", "labels": "labels.h5", "weights": "weights.h5"}
COMPRESSED: dict[str, npt.DTypeLike] = {"labels": np.uint8, "weights": np.float32}


def ranges_name(part: str) -> str:
    """Key of the grey-level percentiles of a part's slices in the details of the manifest."""
    return f"{part.replace('-', '_')}_grey_ranges"


def open_slices(folder: Path, manifest: Manifest, part: str) -> Slices:
    """Open the slices of one of the `PARTS`.

    Parameters
    ----------
    folder : Path
    manifest : Manifest
        Manifest of that folder.
    part : str

    Returns
    -------
    Slices

    Raises
    ------
    InputError
        If they do not match the manifest.
    """
    labels, weights = (
        _open_compressed(folder / f"{part}-{FILES[kind]}", dtype)
        for kind, dtype in COMPRESSED.items()
    )
    return Slices(_open_images(folder, manifest, part), labels, weights)


def _open_compressed(path: Path, dtype: npt.DTypeLike) -> Any:
    earlier = path.with_suffix(".npy")  # from versions that did not compress them
    if earlier.exists():
        return open_npy(earlier, dtype=dtype)
    return open_compressed(path, dtype=dtype)


def _open_images(folder: Path, manifest: Manifest, part: str) -> Any:
    path = folder / f"{part}-{FILES['images']}"
    ranges = manifest.details.get(ranges_name(part))
    if ranges is None:  # from versions that stored normalised images
        return open_npy(path, dtype=np.float32)
    images = open_npy(path, dtype=DTYPES)
    if len(ranges) != len(images) or any(len(pair) != 2 for pair in ranges):
        raise InputError(
            path,
            expected=f"low and high grey levels of {len(images)} slices in the manifest",
            found=f"{len(ranges)}",
            remedy="run unetseg preprocess again",
        )
    return NormalisedStack(images, ranges)
