"""What may be asked of a training that runs: to end, and to show a slice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli, details_of, read

from unetseg.artifacts.wishes import STOP, WATCH, WATCHED, Wish, Wishes, read_history
from unetseg.options import TrainOptions
from unetseg.progress import Silent
from unetseg.stages.train import train

MODEL = Path("work/model")


class Looking(Silent):
    """Does something when a line is said that begins so."""

    def __init__(self, **actions: Callable[[], object]) -> None:
        self.actions = actions
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Remember it, and act."""
        self.lines.append(line)
        for beginning, act in self.actions.items():
            if line.startswith(beginning.replace("_", " ") + "/"):
                act()

    warn = say


@pytest.fixture
def options(model: Path, data: Path, cli: Cli) -> TrainOptions:
    """Of a course of three epochs, in the folder in which commands run."""
    return TrainOptions(
        input=model.parent / "preprocessed", epochs=3, epoch_size=4, batch_size=2, patch=64
    )


def test_a_course_that_is_stopped_is_delivered_as_it_is(options: TrainOptions, cli: Cli):
    wishes = Wishes(MODEL)
    looking = Looking(epoch_2=wishes.ask_to_stop)
    # It is asked after that epoch, and ends with the next; nobody asks before.
    assert not wishes.begun
    result = train(TrainOptions(**{**vars(options), "epochs": 9}), looking)
    assert details_of(MODEL)["epochs_run"] == 3
    assert "stopped" in looking.lines[-1]
    assert "it was stopped, in a course of 9" in result.notes[0]
    # Its scores are those of the end.
    assert [row["v_rand"] is None for row in read_history(MODEL)] == [True, True, False]
    assert not wishes.begun
    cli("predict", "--no-tta")


def test_a_slice_is_shown_as_the_model_would_predict_it(options: TrainOptions, cli: Cli):
    wishes, seen = Wishes(MODEL), []
    wish = Wish(volume="data/test-volume.tif", index=1)

    def look() -> None:
        seen.append((wishes.watched(), read_history(MODEL)))

    looking = Looking(epoch_1=lambda: wishes.ask_to_see(wish), epoch_2=look, epoch_3=look)
    train(options, looking)
    ((first, early), (last, late)) = seen
    cli("predict", "--no-tta")
    expected = read(Path("work/prediction/prediction.tif"))[1]
    assert (first[0], last[0]) == (1, 1)
    np.testing.assert_allclose(last[1], expected, atol=1e-6)
    assert np.abs(first[1] - expected).max() > 1e-4
    assert [len(early), len(late)] == [1 + 1, 1 + 2]
    assert [row["loss"] for row in late] == pytest.approx(
        [row["loss"] for row in read_history(MODEL)]
    )
    assert not any((MODEL / name).exists() for name in (STOP, WATCH, WATCHED))


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        (Wish(volume="none.tif", index=0), "none.tif: expected"),
        (Wish(volume="data/test-volume.tif", index=2), "there are 2 slices"),
        (Wish(volume="data/test-volume.tif", index=0, voxel=(1, 1)), "argument"),
    ],
)
def test_what_cannot_be_shown_is_said_and_training_goes_on(
    options: TrainOptions, wish: Wish, found: str
):
    wishes = Wishes(MODEL)
    looking = Looking(epoch_1=lambda: wishes.ask_to_see(wish))
    train(options, looking)
    (line, *_) = [line for line in looking.lines if "cannot be watched" in line]
    assert found in line
    assert details_of(MODEL)["epochs_run"] == 3
