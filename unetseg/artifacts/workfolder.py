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

# Stages in the order in which they run, and what the inputs in their manifests were given as, in
# their order: what there may be several of, then what there is one of or none.
GIVEN_AS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "augment": (("volume", "labels"), ()),
    "preprocess": ((), ("input",)),
    "train": ((), ("input", "from")),
    "predict": (("model",), ("volume",)),
    "segment": ((), ("prediction",)),
    "evaluate": ((), ("prediction", "labels")),
}

STAGES = {name: running.STAGES[name] for name in GIVEN_AS}
"""Options of the stages that a work folder is made by; their folders are those of the defaults."""


@dataclass(frozen=True)
class Stage:
    """A stage that has finished: its folder, and what it says of itself."""

    folder: Path
    manifest: Manifest

    def holds(self, name: str) -> bool:
        """Whether it wrote a file of that name."""
        return any(output.name == name for output in self.manifest.outputs)

    def output(self, name: str) -> Output:
        """What its manifest says of that file."""
        return next(output for output in self.manifest.outputs if output.name == name)

    def path_of(self, source: Source) -> Path:
        """Where an input was when the stage ran."""
        return source.seen_from(self.folder)


def find_stages(work: Path) -> tuple[dict[str, Stage], set[str]]:
    """Find what has finished in a work folder, and check that it is intact and not stale.

    A model, and the scores of it, must not be stale. A prediction or its cells may be, for who has
    trained again need not have predicted again: it is left out.

    What the model was made from may lie elsewhere, as in a fold of `unetseg crossvalidate`: its
    manifests say where. Where no model was trained, it is the one that has predicted, alone: it
    lies elsewhere, and what it was made from need not be there.

    Parameters
    ----------
    work : Path

    Returns
    -------
    stages : dict
        Stages by subcommand, in the order in which they run.
    stale : set of str
        Those that were left out because they were made from other files than are there now.

    Raises
    ------
    InputError
        If there is neither a model nor a prediction, or a stage's files are not as it left them, or
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
    """The model from elsewhere that has predicted, where none was trained."""
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
    """The stack that a model was made from: preprocess and augment say what they read.

    Parameters
    ----------
    folder : Path
        Of the model.
    manifest : Manifest
        Its manifest.

    Returns
    -------
    Path
        Where the stack was; of several, the volume.tif that `unetseg augment` made of them, which
        begins with their slices. Where a folder on the way to it is gone, the path of that.
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
    """Write the command that makes a stage's folder again.

    Parameters
    ----------
    name : str
        Subcommand.
    stage : Stage
    base : Path
        Folder to run it in. Defaults are left out, where they lead to the same files from there.
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
    """The inputs as they are given on the command line, from `base`."""
    sources = stage.manifest.inputs
    several, once = GIVEN_AS[name]
    names = several * ((len(sources) - len(once)) // len(several)) if several else ()
    places = []
    for given, source in zip(names + once, sources, strict=False):
        path = stage.path_of(source)
        if name == "evaluate" and PurePosixPath(sources[0].path).name == HELD_OUT_PREDICTION:
            if given == "labels":  # held-out slices bring theirs
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
