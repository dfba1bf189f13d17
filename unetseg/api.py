"""The stages as Python functions; the commands run the same code.

A stack is given as a path or as an array, a folder as a path or as the `Result` that is in it.
Options not listed here are those of the command of the same name, with its defaults; their names
have underscores for dashes.

Results computed from arrays, or from temporary results, lie in a temporary folder, others where the
command would write them (such as work/model in the current folder), unless ``output`` names one.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
import weakref
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from unetseg.artifacts.manifest import MANIFEST, PASSING, Manifest
from unetseg.cli.terminal import Terminal, lines_of
from unetseg.errors import UnetsegError, UsageError
from unetseg.progress import Silent
from unetseg.running import read_settings, run_stage
from unetseg.stacks.opening import open_numbers
from unetseg.stacks.tiffwriter import create_stack
from unetseg.stacks.volume import DTYPES, LABEL_DTYPES


class Result:
    """The result of a stage.

    ``result["volume.tif"]`` reads one of its stacks, (Z, Y, X), ``list(result)`` gives their names;
    printing it shows what the command would print.

    Attributes
    ----------
    folder : Path
        Where the files are. If it is a temporary one, it is removed together with this object.
    data : dict
        Figures, such as the scores of `evaluate`; those of `train` are in `manifest`.
    manifest : dict
        What the stage recorded: options, inputs, outputs, details.
    temporary : bool
        Whether the folder is a temporary one.
    """

    def __init__(self, folder: Path, *, text: str, data: dict[str, Any], room: str | None) -> None:
        self.folder = folder
        self.data = data
        self._manifest = Manifest.read(folder / MANIFEST)
        self.manifest = self._manifest.to_dict()
        self._text = text
        self.temporary = room is not None
        if room is not None:
            weakref.finalize(self, shutil.rmtree, room, ignore_errors=True)

    def __iter__(self) -> Any:
        return (output.name for output in self._manifest.outputs if output.shape)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Read a whole stack."""
        if name not in self:
            raise KeyError(f"{name!r}; there are {', '.join(self)}")
        path = self.folder / name
        if path.suffix == ".npy":
            array: npt.NDArray[Any] = np.load(path)  # which does not unpickle
            return array
        with open_numbers(path) as volume:  # which reads more pixel types than open_volume
            return np.stack(list(volume))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        stacks = f": {', '.join(self)}" if list(self) else ""
        return f"<results of unetseg {self._manifest.stage} in {self.folder}{stacks}>"


PathOrStr: TypeAlias = str | PathLike[str]
Stack: TypeAlias = PathOrStr | npt.NDArray[Any]
Folder: TypeAlias = PathOrStr | Result

STACKS = ("volume", "labels", "prediction")  # what may be an array


class _Warnings(Silent):
    """Shows only warnings, as warnings of Python."""

    def __init__(self, work: str) -> None:
        self._work = work

    def warn(self, line: str) -> None:
        """Show a warning."""
        warnings.warn(_without(self._work, line), UserWarning, stacklevel=2)


def _without(work: str, text: str) -> str:
    """Replace files of arrays in a text by the arguments' names, which the user knows."""
    return re.sub(rf"{re.escape(work)}/(\w+)\.(?:tif|npy)", r"\1", text)


def augment(volume: Stack | list[Stack], labels: Stack | list[Stack], **options: Any) -> Result:
    """Make altered copies of images and labels.

    Parameters
    ----------
    volume : path or (Z, Y, X) array, or a list of them
        Images: uint8, uint16 or float32; NumPy's array, or one that NumPy can read. Volumes of a
        list may differ in size and grey levels.
    labels : path or (Z, Y, X) array, or a list of them
        Of each volume. Two values, the higher one inside cells; or cell numbers, integers of any
        type. See also ``unlabelled`` and ``labels_as``.
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


def preprocess(input: Folder | None = None, **options: Any) -> Result:  # noqa: A002
    """Hold out slices for scoring, and compute weights of pixels.

    Parameters
    ----------
    input : path or Result, optional
        Folder that `augment` wrote; work/augmented by default.
    **options
        Those of `unetseg preprocess`, such as ``output`` or ``held_out``; ``progress=True`` shows
        progress.

    Returns
    -------
    Result
        With six stacks: images.npy, labels.h5 and weights.h5, each with train- and with held-out-
        before its name. Images are as in the stack; the manifest has the normalisation of each.

    Raises
    ------
    unetseg.errors.UnetsegError
        As for `augment`.
    """
    return _run("preprocess", input=input, **options)


def train(input: Folder | None = None, **options: Any) -> Result:  # noqa: A002
    """Train a U-Net and predict the held-out slices.

    Parameters
    ----------
    input : path or Result, optional
        Folder that `preprocess` wrote; work/preprocessed by default.
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


def predict(volume: Stack, model: Folder | list[Folder] | None = None, **options: Any) -> Result:
    """Predict the probability of cell interior for every pixel.

    Parameters
    ----------
    volume : path or (Z, Y, X) or (Y, X) array
        Images: uint8, uint16 or float32, of any size.
    model : path or Result or list of them, optional
        Folder that `train` wrote, work/model by default, or "starter"; the probabilities of several
        are averaged.
    **options
        Those of `unetseg predict`, such as ``output``, ``tta`` or ``memory``; ``progress=True``
        shows progress.

    Returns
    -------
    Result
        With the stack prediction.tif, float32: 0 is certainly membrane, 1 certainly interior. For
        a folder of separate micrographs, with one stack named after each.

    Raises
    ------
    unetseg.errors.UnetsegError
        As for `augment`.
    """
    return _run("predict", volume=volume, model=model, **options)


def suggest(
    volume: Stack,
    model: Folder | list[Folder] | None = None,
    labels: Stack | None = None,
    **options: Any,
) -> Result:
    """Suggest where to label next: where models are unsure, far from existing labels.

    Parameters
    ----------
    volume : path or (Z, Y, X) or (Y, X) array
        Images, as for `predict`.
    model : path or Result or list of them, optional
        As for `predict`.
    labels : path or (Z, Y, X) array, optional
        Existing labels, as for `augment`; ``unlabelled`` is the value of unlabelled pixels.
    **options
        Those of `unetseg suggest`, such as ``count`` or ``patch``; ``progress=True`` shows
        progress.

    Returns
    -------
    Result
        Its `data` have the ``places``, rows of suggestions.csv; its folder has suggestions.png.

    Raises
    ------
    unetseg.errors.UnetsegError
        As for `augment`.
    """
    return _run("suggest", volume=volume, model=model, labels=labels, **options)


def segment(prediction: Stack | Result, **options: Any) -> Result:
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
        With the stack labels.tif (labels.ome.zarr above a gigapixel), 0 between the cells of each
        slice. All sections of a cell have one number with ``link=True``, and by default if
        neighbouring slices look like those of a stack and have at most 10 megapixels. With
        ``binary=True``, binary.tif too. For separate micrographs, with one stack named after each.

    Raises
    ------
    unetseg.errors.UnetsegError
        As for `augment`.
    """
    return _run("segment", prediction=prediction, **options)


def evaluate(prediction: Stack | Result, labels: Stack | None = None, **options: Any) -> Result:
    """Score a prediction as the ISBI 2012 challenge does, or cells as CREMI and SNEMI3D do too.

    Parameters
    ----------
    prediction : path or (Z, Y, X) array
        Probabilities as from `predict`, float32 from 0 to 1; cell numbers, integers of any type;
        or the folder of `predict`, `train` or `segment`. ``prediction_as`` says which of the first
        two an array holds, where that is ambiguous.
    labels : path or (Z, Y, X) array, optional
        As for `augment`. Not needed with the folder of `train`.
    **options
        Those of `unetseg evaluate`, such as ``output`` or ``unlabelled``; ``progress=True`` shows
        progress.

    Returns
    -------
    Result
        Its `data` are the scores: v_rand, v_info, pixel_error, their thresholds, curves, slices.
        For cells, v_rand and v_info have no threshold, and there are through_slices and worst.

    Raises
    ------
    unetseg.errors.UnetsegError
        As for `augment`.
    """
    return _run("evaluate", prediction=prediction, labels=labels, **options)


def _run(name: str, *, progress: bool = False, **settings: Any) -> Result:
    """Run a stage; arrays are written to files first, because stages read files."""
    given = {key: value for key, value in settings.items() if value is not None}
    arrays = [key for key, value in given.items() if _holds_arrays(value)]
    results = [value for value in given.values() if isinstance(value, Result)]
    passing = bool(arrays) or any(result.temporary for result in results)
    room = None
    given = {key: _folder_of(value) for key, value in given.items()}
    with tempfile.TemporaryDirectory(prefix="unetseg-", suffix=PASSING) as work:
        for key in arrays:
            if key not in STACKS:
                raise UsageError(f"{key}: expected a folder or a result, found an array")
            given[key] = _to_files(given[key], Path(work), name=key, dtypes=_dtypes(name, key))
        if passing and "output" not in given:
            room = tempfile.mkdtemp(prefix=f"unetseg-{name}-", suffix=PASSING)
            given["output"] = Path(room, "result")
        try:
            options = read_settings(name, given)
            result = run_stage(name, options, Terminal() if progress else _Warnings(work))
        except BaseException as error:
            if room is not None:
                shutil.rmtree(room, ignore_errors=True)
            if isinstance(error, UnetsegError):
                error.args = tuple(_without(work, str(part)) for part in error.args)
            raise
    assert result.folder is not None  # all of these stages write
    text = _without(work, "\n".join(lines_of(result)))
    return Result(result.folder, text=text, data=result.data, room=room)


def _is_array(value: Any) -> bool:
    """Whether a value is an array of NumPy, or of others such as Dask, and not a NumPy scalar."""
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) > 0


def _holds_arrays(value: Any) -> bool:
    """Whether a value is an array, or a list that contains some."""
    return any(map(_is_array, value)) if isinstance(value, list) else _is_array(value)


def _dtypes(stage: str, key: str) -> tuple[str, ...]:
    """Return the pixel types that a stage reads: cell numbers need more than other stacks."""
    numbers = key == "labels" or (stage, key) == ("evaluate", "prediction")
    return LABEL_DTYPES if numbers else DTYPES


def _to_files(value: Any, folder: Path, *, name: str, dtypes: tuple[str, ...]) -> Any:
    """Write an array, or every array in a list, to a file; return paths in their place."""
    if isinstance(value, list):
        numbered = enumerate(value, start=1)
        return [
            _write(folder, np.asarray(one), dtypes=dtypes, name=f"{name}_{number}")
            if _is_array(one)
            else one
            for number, one in numbered
        ]
    return _write(folder, np.asarray(value), dtypes=dtypes, name=name)


def _folder_of(value: Any) -> Any:
    """Return the folder of a result, and anything else as it is."""
    if isinstance(value, list):
        return [_folder_of(item) for item in value]
    return value.folder if isinstance(value, Result) else value


def _write(folder: Path, array: npt.NDArray[Any], *, dtypes: tuple[str, ...], name: str) -> Path:
    """Write an array as a stack; masks and wide integers get the narrowest type that fits."""
    stack = array[np.newaxis] if array.ndim == 2 else array
    if stack.dtype == bool:
        stack = stack.astype(np.uint8)
    elif stack.dtype.kind in "iu" and stack.size:
        low, high = int(stack.min()), int(stack.max())
        if 0 <= low <= high < 2**16:
            stack = stack.astype(np.uint8 if high < 2**8 else np.uint16, copy=False)
        elif dtypes == DTYPES:
            raise UsageError(
                f"{name}: expected whole numbers from 0 to 65535, found {low} to {high}"
            )
    elif stack.dtype.kind == "f":
        stack = stack.astype(np.float32, copy=False)
    if stack.ndim != 3 or not stack.size or stack.dtype.name not in dtypes:
        raise UsageError(
            f"{name}: expected an array with axes ZYX or YX, found {array.dtype} of shape "
            f"{array.shape}"
        )
    if stack.dtype.name not in DTYPES:  # cell numbers in types that our TIFFs do not hold
        path = folder / f"{name}.npy"
        np.save(path, stack, allow_pickle=False)
        return path
    path = folder / f"{name}.tif"
    with create_stack(path, shape=stack.shape, dtype=stack.dtype) as out:
        for image in stack:
            out.append(image)
    return path
