"""What the buttons of the window do, as commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Cli, read

from unetseg.artifacts.lock import FolderLock
from unetseg.artifacts.manifest import MANIFEST
from unetseg.cli.experiment import read_experiment
from unetseg.errors import OutputError, UsageError
from unetseg.viewer.drawn import Painted
from unetseg.viewer.stagecommands import Loop

STACK, WORK = Path("data/stack.tif"), Path("elsewhere/work")


def test_options_go_to_the_stages_that_know_them(cli: Cli):
    said = "--epochs 2 --no-tta --voxel '50 4 4' --copies=3 --minutes 5 --membrane '5 px'"
    loop = Loop(STACK, WORK, said)
    assert loop.predict(Path("starter")) == [
        *("predict", "--model", "starter", "--volume", str(STACK)),
        *("--output", str(WORK / "prediction"), "--no-tta", "--voxel", "50 4 4"),
    ]
    wish = loop.wish(3)
    assert (wish.index, wish.voxel, wish.invert) == (3, [50, 4, 4], False)
    drawn = WORK / "drawn/painted.tif"
    drawn.parent.mkdir(parents=True)
    drawn.write_bytes(b"labels")
    words = loop.train(Path("starter"), drawn, {"labels-as": "cells", "unlabelled": 65535})
    assert words == ["run", str(WORK / "train.toml")]
    stages = read_experiment(Path(words[1]))
    assert list(stages) == ["augment", "preprocess", "train", "predict"]
    augment, preprocess, train, predict = stages.values()
    assert (augment.volume, augment.labels) == ((STACK,), (loop.labels,))
    assert (augment.labels_as, augment.unlabelled, augment.membrane) == ("cells", 65535, "5 px")
    assert (augment.copies, augment.voxel, predict.voxel) == (3, "50 4 4", "50 4 4")
    assert preprocess.held_out == "none"
    assert (train.epochs, train.minutes, train.from_) == (2, 5.0, Path("starter"))
    assert (train.output, predict.model) == (loop.model, (loop.model,))
    assert (predict.volume, predict.tta, predict.output) == (STACK, False, loop.prediction)
    last = loop.last_training()
    assert last is not None
    assert (last.options, last.model, last.of_cells) == (said, Path("starter"), True)
    # What training reads stays as it was while more is drawn.
    drawn.write_bytes(b"more")
    assert loop.labels.read_bytes() == b"labels"


def test_where_to_label_next_is_asked_with_what_is_drawn(cli: Cli):
    loop = Loop(STACK, WORK, "--count 3 --no-tta --voxel '50 4 4' --membrane '5 px' --epochs 2")
    words = ["suggest", "--model", "starter", "--volume", str(STACK)]
    words += ["--output", str(WORK / "suggestions")]
    said = ["--count", "3", "--voxel", "50 4 4"]
    # Options that say something of labels are refused without them.
    assert loop.suggest(Path("starter"), None, {}) == words + said
    drawn = WORK / "drawn/painted.tif"
    drawn.parent.mkdir(parents=True)
    drawn.write_bytes(b"labels")
    found = loop.suggest(Path("starter"), drawn, {"labels-as": "cells", "unlabelled": 65535})
    assert loop.labelled.read_bytes() == b"labels"
    assert found[: len(words) + 2] == [*words, "--labels", str(loop.labelled)]
    of_labels = {"--membrane": "5 px", "--labels-as": "cells", "--unlabelled": "65535"}
    rest = found[len(words) + 2 :]
    assert dict(zip(rest[::2], rest[1::2], strict=True)) == {
        **dict(zip(said[::2], said[1::2], strict=True)),
        **of_labels,
    }


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("--epoch 3", "found --epoch; did you mean epochs"),
        ("3", "found 3"),
        ("--epochs", "expected a value after --epochs"),
        ("--labels mine.tif", "found --labels"),
        ("--voxel '50 4", "found --voxel '50 4"),
    ],
)
def test_options_that_no_stage_knows_are_one_line(said: str, found: str):
    with pytest.raises(UsageError, match=found):
        Loop(STACK, WORK, said)


def test_a_finished_model_makes_room(cli: Cli):
    loop = Loop(STACK, Path("work"))
    drawn = Path("drawn.tif")
    drawn.touch()
    loop.labels.parent.mkdir(parents=True)

    def parent_of(model: Path) -> Path | None:
        (_, path) = loop.train(model, drawn, {})
        return read_experiment(Path(path))["train"].from_

    def finish(text: str) -> None:
        loop.model.mkdir()
        (loop.model / MANIFEST).write_text(text)

    assert loop.last_training() is None
    assert loop.model_at_hand() == Path("starter") == parent_of(loop.model_at_hand())
    finish("first")
    assert loop.model_at_hand() == loop.model
    assert parent_of(loop.model) == Path("work/model-1")
    # The next was cut off: the same again begins with the same.
    loop.model.mkdir()
    assert parent_of(loop.model_at_hand()) == Path("work/model-1")
    loop.model.rmdir()
    finish("second")
    assert parent_of(Path("starter")) == Path("starter")
    assert Path("work/model-2", MANIFEST).read_text() == "second"
    assert loop.model_at_hand() == Path("work/model-2")
    finish("third")
    with FolderLock(loop.model, holder="somebody"):
        assert loop.is_at_work()
        with pytest.raises(OutputError, match="somebody"):
            parent_of(loop.model)
    assert not loop.is_at_work()
    assert loop.model_at_hand() == loop.model


def test_what_is_painted_is_what_augment_reads(cli: Cli):
    loop = Loop(STACK, Path("work"))
    painted = Painted(loop.painted, (2, 20, 30), None)
    layer = painted.load()
    layer[0, :5], layer[0, 10:15] = 1, 2
    assert painted.save(layer)
    (_, path) = loop.train(Path("starter"), painted.path, painted.settings())
    (labels,) = read_experiment(Path(path))["augment"].labels
    expected = np.full((2, 20, 30), 127, np.uint8)
    expected[0, :5], expected[0, 10:15] = 0, 255
    np.testing.assert_array_equal(read(labels), expected)
