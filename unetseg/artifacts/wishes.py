"""Requests of other programs to a training run, and what it shows them.

They are files in the model's folder, so that any program can leave a request, even before training
begins, and training never waits for one. They are hidden, and removed when training ends.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetseg.artifacts.checkpoint import load_record
from unetseg.artifacts.manifest import MANIFEST
from unetseg.artifacts.staging import RUN, UNFINISHED
from unetseg.stacks.files import replacing

CHECKPOINT = ".checkpoint.npz"  # in the folder that a training works in
STOP, WATCH, WATCHED = ".stop", ".watch.json", ".watched.npz"
HISTORY = "history.csv"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A slice to predict again and again while training goes on.

    Attributes
    ----------
    volume : str
        Path of the stack.
    index : int
        Number of the slice.
    invert : bool
        Invert its contrast.
    voxel : sequence of float, optional
        Edges of a voxel in nm; None for those that the stack records.
    """

    volume: str
    index: int
    invert: bool = False
    voxel: Sequence[float] | None = None


class Wishes:
    """Both sides of the exchange: programs that ask, and the training run that answers.

    Parameters
    ----------
    model : Path
        Folder for the model.
    """

    def __init__(self, model: Path) -> None:
        self._model = model

    def path(self, name: str) -> Path:
        """Path of one of the files; the state of training lies in the hidden folder of its run."""
        return self._model / UNFINISHED / name if name in (CHECKPOINT, RUN) else self._model / name

    @property
    def begun(self) -> bool:
        """Whether there is an unfinished training run, whether running or interrupted."""
        return self.path(RUN).is_file()

    def ask_to_stop(self) -> None:
        """Ask training to end after the current epoch, as if that were the last."""
        self.path(STOP).touch()

    def ask_to_go_on(self) -> None:
        """Withdraw the request to stop."""
        self.path(STOP).unlink(missing_ok=True)

    @property
    def stop(self) -> bool:
        """Whether training has been asked to stop."""
        return self.path(STOP).exists()

    def ask_to_see(self, wish: Wish) -> None:
        """Ask for a slice to be predicted after every epoch, as long as that takes little time."""
        with replacing(self.path(WATCH)) as file:
            file.write(json.dumps(asdict(wish)).encode())

    @property
    def wish(self) -> Wish | None:
        """The slice that somebody has asked to see, or None."""
        try:
            return Wish(**json.loads(self.path(WATCH).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def show(self, index: int, probability: npt.NDArray[np.float32]) -> None:
        """Write the predicted slice for others to see."""
        with replacing(self.path(WATCHED)) as file:
            np.savez(file, index=index, probability=probability)

    def watched(self) -> tuple[int, npt.NDArray[np.float32]] | None:
        """Return number and probabilities of the slice predicted last, or None."""
        try:
            with np.load(self.path(WATCHED), allow_pickle=False) as kept:
                return int(kept["index"]), kept["probability"]
        except (OSError, ValueError, KeyError):
            return None

    def forget(self) -> None:
        """Remove all requests, and the predicted slice."""
        for name in (STOP, WATCH, WATCHED):
            self.path(name).unlink(missing_ok=True)


def read_history(model: Path) -> list[dict[str, Any]]:
    """Read a row per epoch of an unfinished or finished training run, as for `draw_curves`."""
    record = load_record(model / UNFINISHED / CHECKPOINT)
    if record is not None:
        return list(record)
    if not (model / MANIFEST).is_file() or not (model / HISTORY).is_file():
        return []
    return [{**row, "epoch": int(row["epoch"])} for row in read_rows(model)]


def read_rows(model: Path) -> list[dict[str, Any]]:
    """Read a row per epoch of a finished training run."""
    with (model / HISTORY).open(newline="", encoding="utf-8") as file:
        return [
            {key: float(value) if value else None for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
