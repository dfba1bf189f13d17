"""`unetseg gallery`: what each augmentation does, to look at."""

from __future__ import annotations

from unetseg.artifacts.writer import StageWriter
from unetseg.errors import InputError
from unetseg.figures.gallery import draw_gallery
from unetseg.options import GalleryOptions
from unetseg.progress import Progress, StageResult
from unetseg.stacks.opening import find_stack, open_volume

NAME = "gallery.png"
SMALLEST = 16  # pixels; on less there is nothing to see


def gallery(options: GalleryOptions, progress: Progress) -> StageResult:
    """Draw one slice under every augmentation, each at three strengths.

    Parameters
    ----------
    options : GalleryOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If there is no such slice, or nothing to see on it.
    """
    path = find_stack(options.image, "train-volume.tif")
    with open_volume(path) as volume:
        if options.slice_number >= len(volume):
            raise InputError(
                path,
                expected=f"a slice {options.slice_number}",
                found=f"{len(volume)}, counted from 0",
                remedy="choose a lower --slice-number",
            )
        image = volume.own(options.slice_number)
        if min(image.shape) < SMALLEST or image.min() == image.max():
            raise InputError(
                path,
                expected=f"an image with contrast, of at least {SMALLEST} x {SMALLEST} pixels",
                found=f"{image.shape[0]} x {image.shape[1]} from {image.min():g} to "
                f"{image.max():g}",
                remedy="choose another",
            )
        with StageWriter(
            options.output,
            stage="gallery",
            options=options.recorded(),
            inputs=[path],
            names=[NAME],
        ) as writer:
            draw_gallery(writer.path(NAME), image, seed=options.seed)
        return writer.result([str(volume)])
