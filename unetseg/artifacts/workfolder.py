"""A work folder as a whole: which stages have finished in it, and how they were run."""

from __future__ import annotations

import dataclasses
import os
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from unetseg import running
from unetseg.artifacts.finding import HELD_OUT_PREDICTION, STARTER, STARTER_FOLDER
from unetseg.artifacts.manifest import MANIFEST, Manifest, Output, Source, open_stage
from unetseg.errors import InputError
from unetseg.options import NOTHING
from unetseg.running import default_of, flags_of, path_flags

# Stages in the order in which they run, and the options that the inputs in their manifests were
# given with, in order: first those that may be repeated, then those given at most once.
GIVEN_AS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "augment": (("volume", "labels"), ()),
    "preprocess": ((), ("input",)),
    "train": ((), ("input", "from")),
    "predict": (("model",), ("volume",)),
    "segment": ((), ("prediction",)),
    "evaluate": ((), ("prediction", "labels")),
}

STAGES = {name: running.STAGES[name] for name in GIVEN_AS}
"""Options of the stages that fill a work folder, in which their folders have default names."""


@dataclass(frozen=True)
class Stage:
    """A finished stage: its folder and its manifest."""

    folder: Path
    manifest: Manifest

    def holds(self, name: str) -> bool:
        """Whether it wrote a file of that name."""
        return any(output.name == name for output in self.manifest.outputs)

    def output(self, name: str) -> Output:
        """Return what its manifest says of the file of that name."""
        return next(output for output in self.manifest.outputs if output.name == name)

    def path_of(self, source: Source) -> Path:
        """Return where an input was when the stage ran."""
        return source.seen_from(self.folder)


def find_stages(work: Path) -> tuple[dict[str, Stage], set[str]]:
    """Find the finished stages in a work folder, and check that they are intact and not stale.

    The model and its scores must not be stale. A stale prediction, or stale cells, are left out
    instead, because a model may be trained again without predicting again.

    The inputs of the model may lie elsewhere, as in a fold of `unetseg crossvalidate`: they are
    found through the manifests. If no model was trained here, it is the one from elsewhere that
    made the prediction, without its own inputs, which may be missing.

    Parameters
    ----------
    work : Path

    Returns
    -------
    stages : dict
        Stages by subcommand, in the order in which they run.
    stale : set of str
        Stages that were left out because they were made from other files than are there now.

    Raises
    ------
    InputError
        If there is neither a model nor a prediction, or the files of a stage were changed, or
        model or scores are stale.
    """
    borrowed = _borrowed(work)
    found = {"train": borrowed or _open(work / _folder("train"), "train")}
    for stage, before in (("train", "preprocess"), ("preprocess", "augment")):
        if stage in found and not borrowed:
            first = found[stage].path_of(found[stage].manifest.inputs[0])
            if first.name == MANIFEST and first.is_file():
                found[before] = _open(first.parent, before)
    stale = set()
    for stage in ("evaluate", "predict", "segment"):
        folder = work / _folder(stage)
        if not (folder / MANIFEST).is_file():
            continue
        try:
            found[stage] = _open(folder, stage)
        except InputError:
            if stage == "evaluate":
                raise
            open_stage(folder, stage=stage, fresh=False)  # which raises if it is damaged
            stale.add(stage)
    return {stage: found[stage] for stage in STAGES if stage in found}, stale


def _borrowed(work: Path) -> Stage | None:
    """Return the model from elsewhere that made the prediction, if none was trained here."""
    predicted = work / _folder("predict")
    if (work / _folder("train") / MANIFEST).is_file() or not (predicted / MANIFEST).is_file():
        return None
    first = open_stage(predicted, stage="predict", fresh=False).inputs[0]
    model = first.seen_from(predicted)
    if model.name != MANIFEST or not model.is_file():
        return None
    return Stage(model.parent, open_stage(model.parent, stage="train", fresh=False))


def _open(folder: Path, stage: str) -> Stage:
    return Stage(folder, open_stage(folder, stage=stage, fresh=True))


def _folder(stage: str) -> str:
    """Name of a stage's folder in the work folder."""
    return str(default_of(stage, "output").name)


def trained_on(folder: Path, manifest: Manifest) -> Path:
    """Find the stack that a model was trained on, through the manifests of earlier stages.

    Parameters
    ----------
    folder : Path
        Folder of the model.
    manifest : Manifest
        Its manifest.

    Returns
    -------
    Path
        Where the stack was; for several stacks, the volume.tif that `unetseg augment` made of
        them, which begins with their slices. If a manifest on the way is missing, its path.
    """
    for _ in ("preprocess", "augment"):
        path = manifest.inputs[0].seen_from(folder)
        if not path.is_file():
            return path
        folder, manifest = path.parent, Manifest.read(path)
    if len(manifest.inputs) > 2:
        return folder / "volume.tif"
    return manifest.inputs[0].seen_from(folder)


def command_of(name: str, stage: Stage, *, base: Path) -> str:
    """Return the command that makes a stage's folder again.

    Parameters
    ----------
    name : str
        Subcommand.
    stage : Stage
    base : Path
        Folder to run it in. Defaults are left out if they lead to the same files from there.
    """
    places = (*_places(name, stage, base), ("output", _seen_from(base, stage.folder)))
    words = ["unetseg", name, *map(shlex.quote, path_flags(name, places))]
    for field in dataclasses.fields(STAGES[name]):
        recorded = stage.manifest.options.get(field.name, field.default)
        if not field.metadata["recorded"] or recorded == field.default or recorded is None:
            continue
        words += flags_of(field.name, recorded)
    return " ".join(words)


def _places(name: str, stage: Stage, base: Path) -> list[tuple[str, str]]:
    """Options and paths of the inputs, as given on a command line that runs in `base`."""
    sources = stage.manifest.inputs
    several, once = GIVEN_AS[name]
    names = several * ((len(sources) - len(once)) // len(several)) if several else ()
    places = []
    for given, source in zip(names + once, sources, strict=False):
        path = stage.path_of(source)
        if name == "evaluate" and PurePosixPath(sources[0].path).name == HELD_OUT_PREDICTION:
            if given == "labels":  # held-out slices come with their own
                continue
            path = path.parent
        elif path.name == MANIFEST or (given == "prediction" and _finished_in(path)):
            path = path.parent
        shown = str(STARTER) if path == STARTER_FOLDER.resolve() else _seen_from(base, path)
        places.append((given, shown))
    if name == "train" and len(sources) == 1:
        places.append(("from", str(NOTHING)))
    return places


def _finished_in(path: Path) -> bool:
    return (path.parent / MANIFEST).is_file()


def _seen_from(base: Path, path: Path) -> str:
    return Path(os.path.relpath(path.resolve(), base.resolve())).as_posix()
