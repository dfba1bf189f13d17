"""The stages as Python functions; the commands run the same code.

Wherever a stack is wanted, its path or an array will do. Options not listed here are those of the
command of the same name, with its defaults; their names have underscores for dashes.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
import weakref
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from unetseg.formats import open_volume
from unetseg.manifest import MANIFEST, Manifest
from unetseg.progress import Silent
from unetseg.running import read_settings, run_stage
from unetseg.terminal import Terminal, lines_of
from unetseg.tiff import create_stack
from unetseg.volume import DTYPES

PathOrStr: TypeAlias = str | PathLike[str]
Stack: TypeAlias = PathOrStr | npt.NDArray[Any]


class Result:
    """What a stage has made.

    ``result["volume.tif"]`` reads one of its stacks, (Z, Y, X), ``list(result)`` names them;
    printed, it says what the command would.

    Attributes
    ----------
    folder : Path
        Where the files are. If the stacks were given as arrays and no output was named, it is
        removed together with this object.
    data : dict
        Figures, such as the scores of `evaluate`; those of `train` are in `manifest`.
    manifest : dict
        What the stage recorded: options, inputs, outputs, details.
    """

    def __init__(self, folder: Path, *, text: str, data: dict[str, Any], temporary: bool) -> None:
        self.folder = folder
        self.data = data
        self._manifest = Manifest.read(folder / MANIFEST)
        self.manifest = vars(self._manifest)
        self._text = text
        if temporary:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __iter__(self) -> Any:
        return (output.name for output in self._manifest.outputs if output.shape)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Read a stack, whole."""
        if name not in self:
            raise KeyError(f"{name!r}; there are {', '.join(self)}")
        path = self.folder / name
        if path.suffix == ".npy":
            array: npt.NDArray[Any] = np.load(path)  # which does not unpickle
            return array
        with open_volume(path) as volume:
            return np.stack(list(volume))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<results of unetseg {self._manifest.stage} in {self.folder}: {', '.join(self)}>"


class _Warnings(Silent):
    """Shows nothing but warnings, as Python's own."""

    def warn(self, line: str) -> None:
        """Show a line that says what may be wrong."""
        warnings.warn(line, UserWarning, stacklevel=2)


def augment(volume: Stack, labels: Stack, **options: Any) -> Result:
    """Make altered copies of images and labels.

    Parameters
    ----------
    volume : path or (Z, Y, X) array
        Images: uint8, uint16 or float32.
    labels : path or (Z, Y, X) array
        Two values, the higher one inside cells.
    **options
        Those of `unetseg augment`, such as ``output``, ``copies`` or ``seed``; ``progress=True``
        shows progress.

    Returns
    -------
    Result
        With the stacks volume.tif and labels.tif.

    Raises
    ------
    unetseg.errors.UnetsegError
        If files, arrays or options are not what is needed; the message says what to do.
    """
    return _run("augment", volume=volume, labels=labels, **options)


def preprocess(input: PathOrStr | None = None, **options: Any) -> Result:  # noqa: A002
    """Normalise images, set slices apart for scoring, weight pixels.

    Parameters
    ----------
    input : path, optional
        Folder that `augment` wrote.
    **options
        Those of `unetseg preprocess`, such as ``output`` or ``held_out``; ``progress=True`` shows
        progress.

    Returns
    -------
    Result
        With six arrays: train- and held-out-, images.npy, labels.npy and weights.npy.

    Raises
    ------
    unetseg.errors.UnetsegError
        As for `augment`.
    """
    return _run("preprocess", input=input, **options)


def train(input: PathOrStr | None = None, **options: Any) -> Result:  # noqa: A002
    """Train a U-Net and predict the held-out slices.

    Parameters
    ----------
    input : path, optional
        Folder that `preprocess` wrote.
    **options
        Those of `unetseg train`, such as ``output``, ``minutes`` or ``epochs``; ``progress=True``
        shows progress.

    Returns
    -------
    Result
        Its folder is the model; its stacks are held-out-prediction.tif and held-out-labels.tif.

    Raises
    ------
    unetseg.errors.UnetsegError
        As for `augment`; `TrainingError` if training cannot go on.
    """
    return _run("train", input=input, **options)


def predict(
    volume: Stack, model: PathOrStr | list[PathOrStr] | None = None, **options: Any
) -> Result:
    """Predict the probability of cell interior for every pixel.

    Parameters
    ----------
    volume : path or (Z, Y, X) or (Y, X) array
        Images: uint8, uint16 or float32, of any size.
    model : path or list of paths, optional
        Folder that `train` wrote; of several the probabilities are averaged.
    **options
        Those of `unetseg predict`, such as ``output``, ``tta`` or ``memory``; ``progress=True``
        shows progress.

    Returns
    -------
    Result
        With the stack prediction.tif, float32: 0 is certainly membrane, 1 certainly interior.

    Raises
    ------
    unetseg.errors.UnetsegError
        As for `augment`.
    """
    return _run("predict", volume=volume, model=model, **options)


def segment(prediction: Stack, **options: Any) -> Result:
    """Turn a prediction into labelled cells and a table.

    Parameters
    ----------
    prediction : path or (Z, Y, X) array
        Probabilities as from `predict`, float32 from 0 to 1, or the folder of `predict` or `train`.
    **options
        Those of `unetseg segment`, such as ``output`` or ``smoothing``; ``progress=True`` shows
        progress.

    Returns
    -------
    Result
        With the stack labels.tif, 0 between the cells of each slice.

    Raises
    ------
    unetseg.errors.UnetsegError
        As for `augment`.
    """
    return _run("segment", prediction=prediction, **options)


def evaluate(prediction: Stack, labels: Stack | None = None, **options: Any) -> Result:
    """Score a prediction as the ISBI 2012 challenge does.

    Parameters
    ----------
    prediction : path or (Z, Y, X) array
        Probabilities as from `predict`, float32 from 0 to 1, or the folder of `predict` or `train`.
    labels : path or (Z, Y, X) array, optional
        Two values, the higher one inside cells. Not needed with the folder of `train`.
    **options
        Those of `unetseg evaluate`, such as ``output``; ``progress=True`` shows progress.

    Returns
    -------
    Result
        Its `data` are the scores: v_rand, v_info, pixel_error, their thresholds, curves, slices.

    Raises
    ------
    unetseg.errors.UnetsegError
        As for `augment`.
    """
    return _run("evaluate", prediction=prediction, labels=labels, **options)


def _run(name: str, *, progress: bool = False, **settings: Any) -> Result:
    """Run a stage; arrays go to files first, because that is what stages read."""
    given = {key: value for key, value in settings.items() if value is not None}
    arrays = {key: value for key, value in given.items() if isinstance(value, np.ndarray)}
    temporary = bool(arrays) and "output" not in given
    with tempfile.TemporaryDirectory(prefix="unetseg-") as work:
        for key, array in arrays.items():
            given[key] = Path(work, f"{key}.tif")
            _write(given[key], array, name=key)
        if temporary:
            given["output"] = tempfile.mkdtemp(prefix=f"unetseg-{name}-")
        try:
            options = read_settings(name, given)
            result = run_stage(name, options, Terminal() if progress else _Warnings())
        except BaseException:
            if temporary:
                shutil.rmtree(given["output"], ignore_errors=True)
            raise
    assert result.folder is not None  # all of these stages write
    text = "\n".join(lines_of(result))
    return Result(result.folder, text=text, data=result.data, temporary=temporary)


def _write(path: Path, array: npt.NDArray[Any], *, name: str) -> None:
    """Write an array as a stack; masks and integers of a wider type as the narrowest that fits."""
    stack = array[np.newaxis] if array.ndim == 2 else array
    if stack.dtype == bool:
        stack = stack.astype(np.uint8)
    elif stack.dtype.kind in "iu" and stack.size:
        low, high = int(stack.min()), int(stack.max())
        stack = stack.astype(np.uint8 if 0 <= low <= high < 2**8 else np.uint16, copy=False)
        if not 0 <= low <= high < 2**16:
            raise ValueError(
                f"{name}: expected whole numbers from 0 to 65535, found {low} to {high}"
            )
    elif stack.dtype.kind == "f":
        stack = stack.astype(np.float32, copy=False)
    if stack.ndim != 3 or not stack.size or stack.dtype.name not in DTYPES:
        raise ValueError(
            f"{name}: expected an array with axes ZYX or YX, found {array.dtype} of shape "
            f"{array.shape}"
        )
    with create_stack(path, shape=stack.shape, dtype=stack.dtype) as out:
        for image in stack:
            out.append(image)
