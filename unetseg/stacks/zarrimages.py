"""Find the array of a Zarr that is the image, and what its metadata say about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetseg.errors import InputError, first_of
from unetseg.stacks.voxel import Voxel

SHOWN = 8  # paths that an error lists
OLDEST_AXES = "tczyx"  # of OME-Zarr 0.1 and 0.2, which do not name them


@dataclass(frozen=True)
class Image:
    """An array, the names of its axes where they are known, and the size of a voxel."""

    array: Any
    names: list[str] | None = None
    voxel: Voxel | None = None


def find_image(node: Any, path: Path) -> Image:
    """Find the image in a Zarr.

    Parameters
    ----------
    node : zarr.Array or zarr.Group
    path : Path
        As the user gave it, for errors.

    Returns
    -------
    Image
        The array itself; in an OME-Zarr image, the one of full resolution; in a group, the only
        image or array of two or three axes.

    Raises
    ------
    InputError
        If there is none, or there are several.
    """
    if not hasattr(node, "members"):
        return Image(node, _dimension_names(node))
    attributes = _attributes(node)
    if "multiscales" in attributes:
        return _image(node, attributes["multiscales"][0])
    if "plate" in attributes:
        well = attributes["plate"]["wells"][0]["path"]
        raise InputError(
            path,
            expected="one image",
            found="a plate of wells",
            remedy=f"give one image of it, such as {path}/{well}/0",
        )
    stacks = _stacks_in(node, "")
    if len(stacks) == 1:
        return find_image(node[stacks[0]], path)
    shown = first_of(stacks, most=SHOWN)
    raise InputError(
        path,
        expected="one image, or one array of two or three axes",
        found=f"{len(stacks)} ({shown})" if stacks else "none",
        remedy=f"give one of them, such as {path}/{stacks[0]}" if stacks else "check the path",
    )


def _attributes(group: Any) -> Any:
    """Return the attributes of OME-Zarr, which version 0.5 puts under the key "ome"."""
    return group.attrs.get("ome", group.attrs)


def _stacks_in(group: Any, prefix: str) -> list[str]:
    """Return the paths of images, and of arrays outside of images."""
    found: list[str] = []
    for name, member in sorted(group.members()):
        if not hasattr(member, "members"):
            if len(member.shape) >= 2 and sum(size > 1 for size in member.shape) in (2, 3):
                found.append(prefix + name)
        elif "multiscales" in _attributes(member):
            found.append(prefix + name)
        else:
            found += _stacks_in(member, f"{prefix}{name}/")
    return found


def _dimension_names(array: Any) -> list[str] | None:
    """Return the names of an array's axes, if all of them are known: t, c, z, y or x."""
    names = getattr(array.metadata, "dimension_names", None) or ()
    known = names and all(str(name).lower() in OLDEST_AXES for name in names)
    return [str(name) for name in names] if known else None


def _image(group: Any, image: dict[str, Any]) -> Image:
    """Return the image that metadata of OME-Zarr describe."""
    array = group[image["datasets"][0]["path"]]
    axes = image.get("axes")
    if axes is None:
        whole = len(array.shape) == len(OLDEST_AXES)
        return Image(array, list(OLDEST_AXES) if whole else None)
    # Strings in version 0.3.
    described = [axis if isinstance(axis, dict) else {"name": axis} for axis in axes]
    return Image(array, [str(axis["name"]) for axis in described], _voxel(image, described))


def _voxel(image: dict[str, Any], axes: list[dict[str, Any]]) -> Voxel | None:
    """Return the size of a voxel at full resolution: the product of all scales."""
    size = [1.0] * len(axes)
    for holder in (image["datasets"][0], image):
        for step in holder.get("coordinateTransformations", []):
            if step.get("type") == "scale" and len(step.get("scale", [])) == len(size):
                size = [a * float(b) for a, b in zip(size, step["scale"], strict=True)]
    edges = {str(axis["name"]): edge for axis, edge in zip(axes, size, strict=True)}
    units = {str(axis["name"]): axis.get("unit") for axis in axes}
    if not {"z", "y", "x"} <= set(edges):
        return None
    return Voxel.of(tuple(edges[axis] for axis in "zyx"), tuple(units[axis] for axis in "zyx"))
