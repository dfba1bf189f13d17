"""Stacks that stages have left in their folders."""

from __future__ import annotations

from pathlib import Path

from unetseg.artifacts.manifest import MANIFEST, Manifest, find_manifest, open_stage
from unetseg.errors import InputError
from unetseg.stacks.opening import files_of

# What `unetseg train` makes of the held-out slices, in the model's folder.
HELD_OUT_PREDICTION = "held-out-prediction.tif"
HELD_OUT_LABELS = "held-out-labels.tif"

# What `unetseg segment --binary` writes beside labels.tif, or of separate micrographs, in a folder.
BINARY, BINARY_FOLDER = "binary.tif", "binary"
# What of its decisions `unetseg segment --link` was least sure of.
LINKS = "links.csv"

STARTER = Path("starter")
"""What the model that comes with unetseg is called, wherever a model is taken."""
STARTER_FOLDER = Path(__file__).parents[1] / "models" / "starter"

# What the manifest of `unetseg predict` says of probabilities that are exactly 0.
ZERO_IS_MISSING = "no tissue"


def find_model(path: Path) -> Path:
    """The folder of a model, of which model.keras may be named too.

    `starter` is the model that comes with unetseg, unless a model lies in a folder of that name.
    """
    if path == STARTER and not (path / MANIFEST).is_file():
        return STARTER_FOLDER
    if path.suffix == ".keras" and (path.parent / MANIFEST).is_file():
        return path.parent
    return path


def find_prediction(path: Path) -> Path:
    """The prediction itself: `path`, or what `unetseg predict` or `unetseg train` left there.

    Of separate micrographs it is the folder, in which each has its own.

    Raises
    ------
    InputError
        If it is a folder in which they did not finish, or whose inputs have changed since; or
        other images lie between those of micrographs.
    """
    known = find_manifest(path)
    if known is None and (path.exists() or path.suffix):
        return path
    if known is not None and known.stage == "train":
        return find_held_out(path)[0]
    return _stack_of(path, open_stage(path, stage="predict", fresh=True))


def find_cells(folder: Path) -> Path:
    """The cells that `unetseg segment` left in a folder; of separate micrographs, the folder.

    Raises
    ------
    InputError
        As for `find_prediction`.
    """
    return _stack_of(folder, open_stage(folder, stage="segment", fresh=True))


def stacks_of(manifest: Manifest) -> list[str]:
    """Names of the stacks that a stage wrote: one, or one for each of separate micrographs.

    The same cells as a binary stack are not counted.
    """
    names = [output.name for output in manifest.outputs]
    # Beside cells lie tables.
    stacks = [output.name for output in manifest.outputs if output.shape] or names
    # With the folder, a file of that name holds labels of a micrograph.
    if manifest.options.get("binary") and BINARY_FOLDER not in names and BINARY in stacks:
        stacks.remove(BINARY)
    return stacks


def _stack_of(folder: Path, manifest: Manifest) -> Path:
    """The only stack in a folder, or the folder of separate micrographs."""
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
    """Whether a probability of exactly 0 says that tissue is missing: so `unetseg predict` writes.

    In stacks of other programs it may be membrane that they are sure of.
    """
    manifest = find_manifest(prediction) or find_writer(prediction)
    return manifest is not None and manifest.details.get("zero") == ZERO_IS_MISSING


def find_writer(file: Path) -> Manifest | None:
    """The manifest beside a file, if it says that its stage wrote that."""
    manifest = find_manifest(file.parent)
    if manifest is None or file.name not in [output.name for output in manifest.outputs]:
        return None
    return manifest


def find_held_out(folder: Path) -> tuple[Path, Path]:
    """Prediction and labels of the held-out slices, in a folder of `unetseg train`.

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
