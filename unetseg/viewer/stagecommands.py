"""The commands behind the buttons of the window, as a user could type them."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
import tomllib
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetseg.artifacts.finding import STARTER
from unetseg.artifacts.lock import FolderLock
from unetseg.artifacts.manifest import MANIFEST
from unetseg.artifacts.wishes import Wish
from unetseg.errors import OutputError, UsageError
from unetseg.options import CELLS, MODEL, PREDICTION, SUGGESTIONS, LabelOptions, flag_of
from unetseg.running import STAGES, nearest, path_flags
from unetseg.stacks.files import replacing

TRAINING = ("augment", "preprocess", "train", "predict")
TOLD = (*TRAINING, "suggest")  # stages that get the options that a user types

# Options of any stage that the window sets itself.
OURS = {"volume", "labels", "labels-as", "unlabelled", "input", "output", "from", "model", "only"}

HOLDER = "the window of unetseg"  # named in a lock that is held for a moment
SAID = "# options: "  # precedes those that the user has typed


@dataclass(frozen=True)
class LastTraining:
    """Settings of a training.

    Attributes
    ----------
    options : str
    model : Path
        That it started from.
    of_cells : bool
        Whether the labels were corrected cells.
    """

    options: str
    model: Path
    of_cells: bool


@dataclass(frozen=True)
class Loop:
    """A stack, the folder of its results, and the options that a user types.

    Parameters
    ----------
    stack : Path
        In any form that `unetseg predict` reads.
    work : Path
    options : str
        As on the command line, such as '--epochs 5 --no-tta', for the stages that have them.

    Raises
    ------
    UsageError
        If they cannot be parsed, or no stage has one of them.
    """

    stack: Path
    work: Path
    options: str = ""

    def __post_init__(self) -> None:
        self._tables()

    @property
    def model(self) -> Path:
        """Folder of the model that is trained."""
        return self.work / MODEL.name

    @property
    def prediction(self) -> Path:
        """Folder of the prediction."""
        return self.work / PREDICTION.name

    @property
    def cells(self) -> Path:
        """Folder of the cells."""
        return self.work / CELLS.name

    @property
    def suggestions(self) -> Path:
        """Folder of the places to label next."""
        return self.work / SUGGESTIONS.name

    @property
    def painted(self) -> Path:
        """File of the painted labels."""
        return self.work / "drawn" / "painted.tif"

    @property
    def corrected(self) -> Path:
        """File of the corrected cells."""
        return self.work / "drawn" / "corrected.tif"

    @property
    def labels(self) -> Path:
        """The copy of either that training reads: it does not change while more is drawn."""
        return self.work / "drawn" / "train-labels.tif"

    @property
    def labelled(self) -> Path:
        """The copy of either that `unetseg suggest` reads, for the same reason."""
        return self.work / "drawn" / "suggest-labels.tif"

    @property
    def _experiment(self) -> Path:
        """The experiment file that `train` writes."""
        return self.work / "train.toml"

    def model_at_hand(self) -> Path:
        """Return the model that was trained last, or starter."""
        known = [self.model, *reversed(_earlier(self.model))]
        return next((model for model in known if (model / MANIFEST).is_file()), STARTER)

    def is_at_work(self) -> bool:
        """Whether a run is training the model now."""
        try:
            with FolderLock(self.model, holder=HOLDER):
                return False
        except OutputError:
            return True

    def predict(self, model: Path) -> list[str]:
        """Return the command that predicts the stack."""
        paths = {"model": model, "volume": self.stack, "output": self.prediction}
        return _words("predict", paths, self._tables()["predict"])

    def suggest(self, model: Path, drawn: Path | None, settings: dict[str, Any]) -> list[str]:
        """Return the command that suggests where to label next.

        Parameters
        ----------
        model : Path
            Whose uncertainty decides.
        drawn : Path or None
            Labels, if anything is labelled.
        settings : dict
            Options that describe the labels.
        """
        paths = {"model": model, "volume": self.stack, "output": self.suggestions}
        said = self._tables()["suggest"]
        said.pop("tta", None)  # needed: with one model there is nothing else to compare
        if drawn is None:
            of_labels = {flag_of(field.name) for field in dataclasses.fields(LabelOptions)}
            said = {flag: value for flag, value in said.items() if flag not in of_labels}
        else:
            _copy(drawn, self.labelled)
            paths["labels"] = self.labelled
        return _words("suggest", paths, said | settings)

    def segment(self) -> list[str]:
        """Return the command that segments cells, to be corrected slice by slice."""
        paths = {"prediction": self.prediction, "output": self.cells}
        return ["segment", "--no-link", *path_flags("segment", paths.items())]

    def train(self, model: Path, drawn: Path, settings: dict[str, Any]) -> list[str]:
        """Return the command that trains a model further on what is drawn, and predicts the stack.

        The labels are copied to where it reads them, and an experiment is written for it. A
        finished model in the output folder is renamed first; `from` then has its new name.

        Parameters
        ----------
        model : Path
            To start from.
        drawn : Path
            Labels.
        settings : dict
            Options of `unetseg augment` that describe the labels.

        Raises
        ------
        OutputError
            If another run is using the model's folder.
        """
        tables = self._tables()
        del tables["suggest"]
        aside = _set_aside(self.model)
        if aside is not None and model.resolve() == self.model.resolve():
            model = aside
        _copy(drawn, self.labels)
        stack = str(self.stack)
        tables["augment"] |= {"volume": stack, "labels": str(self.labels), **settings}
        tables["preprocess"] = {"held-out": "none", **tables["preprocess"]}
        tables["train"]["from"] = str(model)
        tables["predict"]["volume"] = stack
        said = " ".join(word for word in self.options.split() if word != "--force")
        with replacing(self._experiment) as file:
            file.write(_as_toml(said, {"work": str(self.work), **tables}).encode())
        return ["run", str(self._experiment)]

    def last_training(self) -> LastTraining | None:
        """Return the settings that `train` wrote last; None if they cannot be read."""
        try:
            text = self._experiment.read_text(encoding="utf-8")
            raw = tomllib.loads(text)
            said = re.search(rf"^{re.escape(SAID)}(.*)$", text, re.M)
            return LastTraining(
                options=said[1] if said else "",
                model=Path(raw["train"]["from"]),
                of_cells=raw["augment"]["labels-as"] == "cells",
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def wish(self, index: int) -> Wish:
        """Return the request to predict a slice during training, as it will be predicted later."""
        said = self._tables()["predict"]
        voxel = said.get("voxel")
        edges = None if voxel is None else [float(edge) for edge in voxel.split()]
        return Wish(
            volume=str(self.stack.resolve()),
            index=index,
            invert=said.get("invert", False),
            voxel=edges,
        )

    def _tables(self) -> dict[str, dict[str, Any]]:
        """Return the options of each stage, by their flags."""
        given = _parse(self.options)
        tables: dict[str, dict[str, Any]] = {}
        known: set[str] = set()
        for stage in TOLD:
            kinds = _kinds(stage)
            known |= set(kinds)
            tables[stage] = {
                flag: _read(text, kinds[flag]) for flag, text in given.items() if flag in kinds
            }
        for flag in given:
            if flag not in known:
                raise UsageError(
                    f"options: expected those of {', '.join(TOLD)}, found --{flag}"
                    f"{nearest(flag, sorted(known))}"
                )
        return tables


def _parse(text: str) -> dict[str, str | bool]:
    """Parse options as they are typed; return their values by flag."""
    given: dict[str, str | bool] = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"options: expected options such as --epochs 5, found {text}") from error
    switches = {f for stage in TOLD for f, kind in _kinds(stage).items() if kind is bool}
    while words:
        word = words.pop(0)
        flag, _, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            raise UsageError(f"options: expected an option such as --epochs 5, found {word}")
        if flag in switches or flag.removeprefix("no-") in switches:
            given[flag.removeprefix("no-")] = flag in switches
        elif value or words:
            given[flag] = value or words.pop(0)
        else:
            raise UsageError(f"options: expected a value after --{flag}, found none")
    return given


def _words(stage: str, paths: dict[str, Path], said: dict[str, Any]) -> list[str]:
    """Return the words of a command with these paths and options."""
    words = [stage, *path_flags(stage, paths.items())]
    for flag, value in said.items():
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words


def _copy(drawn: Path, path: Path) -> None:
    """Copy labels to where a command reads them."""
    with drawn.open("rb") as source, replacing(path) as file:
        shutil.copyfileobj(source, file)


def _kinds(stage: str) -> dict[str, Any]:
    """Return the types of a stage's options that users may give here."""
    hints = typing.get_type_hints(STAGES[stage])
    fields = dataclasses.fields(STAGES[stage])
    return {flag_of(f.name): hints[f.name] for f in fields if flag_of(f.name) not in OURS}


def _read(text: str | bool, kind: Any) -> Any:
    """Convert a value to its type in TOML; the stage checks whether it is allowed."""
    kinds = typing.get_args(kind) or (kind,)
    for number in (int, float):
        if isinstance(text, str) and number in kinds:
            try:
                return number(text)
            except ValueError:
                continue
    return text


def _as_toml(said: str, raw: dict[str, Any]) -> str:
    """Write an experiment as TOML: values first, then tables."""
    lines = ["# Written by the window; unetseg run does what its button Train does.", SAID + said]
    lines += [f"{key} = {json.dumps(one)}" for key, one in raw.items() if not isinstance(one, dict)]
    for name, table in raw.items():
        if isinstance(table, dict):
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(v)}" for key, v in table.items())]
    return "\n".join(lines) + "\n"


def _earlier(model: Path) -> list[Path]:
    """Return the earlier models, which were renamed, the oldest first."""
    found = [path for path in model.parent.glob(f"{model.name}-*") if _number(path) > 0]
    return sorted(found, key=_number)


def _number(path: Path) -> int:
    text = path.name.rpartition("-")[2]
    return int(text) if text.isdecimal() else 0


def _set_aside(model: Path) -> Path | None:
    """Rename a finished model to make room; return its new path, or None if there is none."""
    if not (model / MANIFEST).is_file():
        return None
    with FolderLock(model, holder=HOLDER):
        pass  # no run is using it
    last = max(map(_number, _earlier(model)), default=0)
    return model.rename(model.with_name(f"{model.name}-{last + 1}"))
