"""Find the models and stacks that stages have written to their folders."""

from __future__ import annotations

from pathlib import Path

from unetseg.artifacts.manifest import MANIFEST, Manifest, find_manifest, open_stage
from unetseg.errors import InputError
from unetseg.stacks.opening import files_of

# What `unetseg train` writes for the held-out slices, in the model's folder.
HELD_OUT_PREDICTION = "held-out-prediction.tif"
HELD_OUT_LABELS = "held-out-labels.tif"

# What `unetseg segment --binary` writes: a file, or a folder for separate micrographs.
BINARY, BINARY_FOLDER = "binary.tif", "binary"
# The decisions that `unetseg segment --link` was least sure of.
LINKS = "links.csv"

STARTER = Path("starter")
"""Name of the model that comes with unetseg, accepted wherever a model is."""
STARTER_FOLDER = Path(__file__).parents[1] / "models" / "starter"

# What a probability of exactly 0 means, as the manifest of `unetseg predict` records it.
ZERO_IS_MISSING = "no tissue"


def find_model(path: Path) -> Path:
    """Return the folder of a model, given the folder or its model.keras.

    `starter` is the model that comes with unetseg, unless a folder of that name holds a model.
    """
    if path == STARTER and not (path / MANIFEST).is_file():
        return STARTER_FOLDER
    if path.suffix == ".keras" and (path.parent / MANIFEST).is_file():
        return path.parent
    return path


def find_prediction(path: Path) -> Path:
    """Return the prediction itself: `path`, or what `unetseg predict` or `train` wrote there.

    For separate micrographs it is the folder, which holds one prediction for each.

    Raises
    ------
    InputError
        If it is a folder in which the stage did not finish, or whose inputs have changed since, or
        which holds other images beside the predictions of micrographs.
    """
    known = find_manifest(path)
    if known is None and (path.exists() or path.suffix):
        return path
    if known is not None and known.stage == "train":
        return find_held_out(path)[0]
    return _stack_of(path, open_stage(path, stage="predict", fresh=True))


def find_cells(folder: Path) -> Path:
    """Return the labels that `unetseg segment` wrote; for separate micrographs, the folder.

    Raises
    ------
    InputError
        As for `find_prediction`.
    """
    return _stack_of(folder, open_stage(folder, stage="segment", fresh=True))


def stacks_of(manifest: Manifest) -> list[str]:
    """Names of the stacks that a stage wrote: one, or one for each separate micrograph.

    The binary stack of the same cells is left out.
    """
    names = [output.name for output in manifest.outputs]
    # Tables, which lie beside cells, have no shape.
    stacks = [output.name for output in manifest.outputs if output.shape] or names
    # If there is a binary folder, a file of that name holds the labels of a micrograph.
    if manifest.options.get("binary") and BINARY_FOLDER not in names and BINARY in stacks:
        stacks.remove(BINARY)
    return stacks


def _stack_of(folder: Path, manifest: Manifest) -> Path:
    """Return the only stack in a folder, or the folder of separate micrographs."""
    names = [output.name for output in manifest.outputs]
    stacks = stacks_of(manifest)
    if len(stacks) == 1:
        return folder / stacks[0]
    others = [file.name for file in files_of(folder) if file.name not in names]
    if others:
        raise InputError(
            folder,
            expected=f"no images but those that unetseg {manifest.stage} wrote",
            found=others[0],
            remedy="move it elsewhere",
        )
    return folder


def zero_is_missing(prediction: Path) -> bool:
    """Whether a probability of exactly 0 means missing tissue, as `unetseg predict` writes it.

    In stacks of other programs 0 may be certain membrane.
    """
    manifest = find_manifest(prediction) or find_writer(prediction)
    return manifest is not None and manifest.details.get("zero") == ZERO_IS_MISSING


def find_writer(file: Path) -> Manifest | None:
    """Return the manifest beside a file, if it lists the file among its outputs."""
    manifest = find_manifest(file.parent)
    if manifest is None or file.name not in [output.name for output in manifest.outputs]:
        return None
    return manifest


def find_held_out(folder: Path) -> tuple[Path, Path]:
    """Return prediction and labels of the held-out slices in a folder of `unetseg train`.

    Raises
    ------
    InputError
        If it did not finish, or held no slices out.
    """
    manifest = open_stage(folder, stage="train", fresh=False)
    if not manifest.details["held_out"]:
        raise InputError(
            folder,
            expected="a model with held-out slices",
            found="one trained on all of them",
            remedy="give --prediction the results of unetseg predict",
        )
    return folder / HELD_OUT_PREDICTION, folder / HELD_OUT_LABELS
