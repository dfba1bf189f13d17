"""Show stacks as layers of napari, which reads only what it shows."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.errors import UnetsegError
from unetseg.stacks.volume import Volume
from unetseg.stacks.voxel import Voxel

# Membrane red, interior clear: additive blending adds it to the grey of the image.
MEMBRANE = {"colors": [[1.0, 0.2, 0.1, 1.0], [0.0, 0.0, 0.0, 1.0]], "name": "membrane"}

# How each kind of stack looks at first.
LOOKS: dict[str, dict[str, Any]] = {
    "image": {"colormap": "gray"},
    "probability": {
        "colormap": MEMBRANE,
        "contrast_limits": (0.0, 1.0),
        "blending": "additive",
        "opacity": 0.6,
    },
    "true labels": {"opacity": 0.4, "visible": False},
    "cells": {"opacity": 0.3},
}
LABELS = ("true labels", "cells")
# From above and the side, in degrees: seen along z, cells would look as in a slice.
OBLIQUE = (-20.0, 25.0, 110.0)


@dataclass(frozen=True)
class Shown:
    """A stack to show.

    Parameters
    ----------
    kind : str
        One of `LOOKS`; also the name of the layer.
    volume : Volume
        Must stay open while it is shown.
    slices : sequence of int, optional
        Which of its slices; all of them by default.
    only : set of int, optional
        Which cells, by number, of a stack of cells; all of them by default.
    """

    kind: str
    volume: Volume
    slices: Sequence[int] | None = None
    only: frozenset[int] = frozenset()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of what is shown, (Z, Y, X)."""
        depth = len(self.volume if self.slices is None else self.slices)
        return depth, *self.volume.shape[1:]


class _Slices:
    """An array-like for Dask, which reads whole slices of a stack from it."""

    ndim = 3

    def __init__(self, shown: Shown) -> None:
        self._volume = shown.volume
        self._slices = shown.slices or range(len(shown.volume))
        self._only = sorted(shown.only)
        self.shape = shown.shape
        self.dtype = shown.volume.dtype
        if shown.kind in LABELS and self.dtype.kind == "f":
            self.dtype = np.dtype(np.uint32)  # napari needs integers

    def __getitem__(self, key: tuple[slice, slice, slice]) -> npt.NDArray[Any]:
        depth, rows, columns = key
        indices = range(*depth.indices(self.shape[0]))
        box = (
            slice(*rows.indices(self.shape[1])),
            slice(*columns.indices(self.shape[2])),
        )
        parts = [self._volume.part(self._slices[index], box) for index in indices]
        pixels = np.stack(parts).astype(self.dtype, copy=False)
        if self._only:
            pixels[~np.isin(pixels, self._only)] = 0
        return pixels


def import_napari() -> Any:
    """Import napari with its Qt, which is needed only to view stacks.

    Raises
    ------
    UnetsegError
        If it is not installed, or there is no screen, in which case Qt would end the process.
    """
    try:
        import napari
        import qtpy.QtWidgets  # noqa: F401 - napari alone may come without any Qt
    except (ImportError, RuntimeError) as error:
        raise UnetsegError(
            "napari: expected the package napari with Qt, found none; pip install 'unetseg[napari]'"
        ) from error
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in screens):
        raise UnetsegError(
            "napari: expected a screen, found none; run this on your own machine, or connect "
            "with ssh -X"
        )
    return napari


def place_of(voxel: Voxel | None) -> dict[str, Any]:
    """Return the axis labels, scale and units of a layer with voxels of this size."""
    place: dict[str, Any] = {"axis_labels": ("z", "y", "x")}
    if voxel is not None:
        place |= {"scale": voxel.edges, "units": ("nm", "nm", "nm")}
    return place


def add_layers(viewer: Any, stacks: Iterable[Shown], *, voxel: Voxel | None) -> None:
    """Add a layer for each stack, aligned, and a scale bar.

    Pixels are read slice by slice when napari shows them; they are never all in memory, except in
    its view of three dimensions.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    stacks : iterable of Shown
        From the bottom to the top.
    voxel : Voxel, optional
        The scale is in pixels without it.
    """
    import dask.array

    place = place_of(voxel)
    for shown in stacks:
        slices = _Slices(shown)
        array = dask.array.from_array(
            slices,
            chunks=(1, *shown.shape[1:]),
            name=False,  # hashing it would read the whole stack
            lock=True,  # files are read by one thread at a time
            meta=np.empty((0, 0, 0), slices.dtype),
        )
        add = viewer.add_labels if shown.kind in LABELS else viewer.add_image
        add(array, name=shown.kind, **place, **LOOKS[shown.kind])
    viewer.canvas.overlays.scale_bar.visible = voxel is not None


def show_in_three_dimensions(viewer: Any) -> None:
    """Turn the view to three dimensions, with the cells as solids if there are some.

    Other layers are hidden, because they would cover the cells.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
        With the layers of `add_layers`.
    """
    if "cells" in viewer.layers:
        for layer in viewer.layers:
            layer.visible = layer.name == "cells"
        cells = viewer.layers["cells"]
        cells.rendering, cells.iso_gradient_mode = "iso_categorical", "smooth"
        cells.opacity = 1.0
    viewer.dims.ndisplay = 3
    viewer.scene.camera.angles = OBLIQUE
