"""What those who look on ask of a training, and what they see of it.

Files in the model's folder, so that any program may ask, before it begins too, and none is waited
for. They are hidden, and go when training ends.
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
    """A slice that is to be predicted again as training goes on.

    Attributes
    ----------
    volume : str
        Path of the stack.
    index : int
        Number of the slice.
    invert : bool
        Turn its contrast round.
    voxel : sequence of float, optional
        Edges of a voxel in nm, if not what the stack says.
    """

    volume: str
    index: int
    invert: bool = False
    voxel: Sequence[float] | None = None


class Wishes:
    """Both ends of it: those who ask, and the training that grants.

    Parameters
    ----------
    model : Path
        Folder for the model.
    """

    def __init__(self, model: Path) -> None:
        self._model = model

    def path(self, name: str) -> Path:
        """One of the files; that for what training has come to is its own."""
        return self._model / UNFINISHED / name if name in (CHECKPOINT, RUN) else self._model / name

    @property
    def begun(self) -> bool:
        """Whether a training is there, at work or cut off."""
        return self.path(RUN).is_file()

    def ask_to_stop(self) -> None:
        """Let it end after the epoch that it is in, as if that had been the last."""
        self.path(STOP).touch()

    def ask_to_go_on(self) -> None:
        """Take that back."""
        self.path(STOP).unlink(missing_ok=True)

    @property
    def stop(self) -> bool:
        """Whether it is to end."""
        return self.path(STOP).exists()

    def ask_to_see(self, wish: Wish) -> None:
        """Have a slice predicted after every epoch, as long as that takes little of the time."""
        with replacing(self.path(WATCH)) as file:
            file.write(json.dumps(asdict(wish)).encode())

    @property
    def wish(self) -> Wish | None:
        """The slice that somebody wants to see, if anybody does."""
        try:
            return Wish(**json.loads(self.path(WATCH).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def show(self, index: int, probability: npt.NDArray[np.float32]) -> None:
        """Let them see it."""
        with replacing(self.path(WATCHED)) as file:
            np.savez(file, index=index, probability=probability)

    def watched(self) -> tuple[int, npt.NDArray[np.float32]] | None:
        """Number and probabilities of the slice that was predicted last."""
        try:
            with np.load(self.path(WATCHED), allow_pickle=False) as kept:
                return int(kept["index"]), kept["probability"]
        except (OSError, ValueError, KeyError):
            return None

    def forget(self) -> None:
        """Leave nothing behind."""
        for name in (STOP, WATCH, WATCHED):
            self.path(name).unlink(missing_ok=True)


def read_history(model: Path) -> list[dict[str, Any]]:
    """Rows of epochs, of a training that is in a folder or has been: as in `draw_curves`."""
    record = load_record(model / UNFINISHED / CHECKPOINT)
    if record is not None:
        return list(record)
    if not (model / MANIFEST).is_file() or not (model / HISTORY).is_file():
        return []
    return [{**row, "epoch": int(row["epoch"])} for row in read_rows(model)]


def read_rows(model: Path) -> list[dict[str, Any]]:
    """Rows of epochs of a training that has come to its end."""
    with (model / HISTORY).open(newline="", encoding="utf-8") as file:
        return [
            {key: float(value) if value else None for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
