"""`unetseg report`: everything that a work folder holds, on one page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from unetseg.arrays.metrics import THRESHOLDS
from unetseg.arrays.tiles import middle_of
from unetseg.artifacts.finding import (
    HELD_OUT_LABELS,
    HELD_OUT_PREDICTION,
    LINKS,
    stacks_of,
)
from unetseg.artifacts.forms import MODEL, require
from unetseg.artifacts.manifest import MANIFEST, matches
from unetseg.artifacts.prepared import open_slices
from unetseg.artifacts.wishes import HISTORY, read_rows
from unetseg.artifacts.workfolder import Stage, command_of, find_stages
from unetseg.artifacts.writer import StageWriter
from unetseg.figures.report import contents
from unetseg.figures.report.contents import Predicted
from unetseg.figures.report.linkedcells import Linked, linked_parts
from unetseg.figures.report.page import render
from unetseg.figures.report.slices import HeldOutSlice, compare
from unetseg.options import WORK, ReportOptions
from unetseg.progress import Progress, StageResult
from unetseg.running import default_of, flags_of
from unetseg.stacks.location import is_there, name_of
from unetseg.stacks.opening import open_numbers, open_volume
from unetseg.stacks.volume import Volume
from unetseg.version import __version__

NAME = "report.html"
# Slices shown of a predicted stack, which may be large, and edge of the middle part shown of each.
PREDICTED_SLICES = 3
PREDICTED_EDGE = 768


def report(options: ReportOptions, progress: Progress) -> StageResult:
    """Make a page of scores, slices, errors, curves and settings.

    Parameters
    ----------
    options : ReportOptions
    progress : Progress

    Returns
    -------
    StageResult

    Raises
    ------
    InputError
        If there is neither a model nor a prediction, or the files of a stage were changed, or
        model or scores are stale.
    """
    stages, stale = find_stages(options.work)
    model = stages["train"]
    own = model.folder.parent.resolve() == options.work.resolve()
    require(model.manifest, model.folder / MANIFEST, details=MODEL)
    output = options.output or options.work / "report"
    with StageWriter(
        output,
        stage="report",
        options=options.recorded(),
        inputs=[stage.manifest for stage in stages.values()],
        names=[NAME],
        next_command=f"open {(output / NAME).resolve().as_uri()}",
    ) as writer:
        page = render(
            {
                "version": __version__,
                "model_version": model.manifest.version,
                "model": model.manifest.details,
                "options": model.manifest.options,
                "own": own,
                **(_held_out_parts(stages, options, progress) if own else contents.borrowed()),
                **_training_parts(stages),
                **_predicted_parts(stages, stale, options),
                "stages": _describe_stages(stages, options.work, own=own),
                "command": _own_command(options),
                "view": _view_command(options),
            }
        )
        writer.check_inputs()  # all that is shown belongs together
        # A name of a file may hold bytes that are no text.
        writer.path(NAME).write_text(page, encoding="utf-8", errors="replace")
    return writer.result(
        [_shown(stage.folder) for stage in stages.values()],
    )


def _shown(folder: Path) -> str:
    """A folder as the user would write it."""
    try:
        return str(folder.resolve().relative_to(Path.cwd()))
    except ValueError:  # it is elsewhere
        return str(folder)


def _held_out_parts(
    stages: dict[str, Stage], options: ReportOptions, progress: Progress
) -> dict[str, Any]:
    """Scores and slices, or why there are none."""
    numbers = stages["train"].manifest.details["held_out"]
    if not numbers:
        return contents.without_held_out()
    scores, unscored = _scores(stages)
    with _open_held_out(stages) as held_out:
        if scores is None:
            chosen = contents.choose(list(range(len(numbers))), options.slices)
            return contents.unscored(unscored, [held_out[index] for index in chosen])
        threshold = THRESHOLDS[scores["curves"]["threshold"].index(scores["v_rand_threshold"])]
        tracked = progress.track(
            held_out, total=len(numbers), label="find splits and merges", unit="slice"
        )
        errors = [compare(here, threshold=threshold).errors for here in tracked]
        return contents.scored(
            scores,
            errors,
            numbers=numbers,
            # Computed again rather than kept: all of them may not fit into memory.
            look=lambda index: (held_out[index], compare(held_out[index], threshold=threshold)),
            slices=options.slices,
            places=options.places,
        )


def _scores(stages: dict[str, Stage]) -> tuple[dict[str, Any] | None, str]:
    """Return the contents of scores.json if it is about the held-out slices, else the reason."""
    if "evaluate" not in stages:
        return None, "The held-out slices have not been scored: unetseg evaluate does that."
    evaluate = stages["evaluate"]
    held_out = [stages["train"].output(n).sha256 for n in (HELD_OUT_PREDICTION, HELD_OUT_LABELS)]
    if [source.sha256 for source in evaluate.manifest.inputs] != held_out:
        other = Path(evaluate.manifest.inputs[0].path).name
        return None, (
            f"The scores in {evaluate.folder.name} are those of {other}, or against other labels: "
            "unetseg evaluate without options scores the held-out slices."
        )
    return json.loads((evaluate.folder / "scores.json").read_text(encoding="utf-8")), ""


class _HeldOut:
    """The held-out slices, read one at a time."""

    def __init__(
        self, numbers: list[int], images: Any, labels: Volume, predictions: Volume
    ) -> None:
        self._numbers, self._images = numbers, images
        self._labels, self._predictions = labels, predictions

    def __getitem__(self, index: int) -> HeldOutSlice:
        return HeldOutSlice(
            number=self._numbers[index],
            image=None if self._images is None else np.asarray(self._images[index]),
            label=self._labels[index],
            probability=self._predictions[index],
        )

    def __iter__(self) -> Iterator[HeldOutSlice]:
        return (self[index] for index in range(len(self._numbers)))


@contextmanager
def _open_held_out(stages: dict[str, Stage]) -> Iterator[_HeldOut]:
    train = stages["train"]
    images = None  # a model may travel without what it was made from
    if "preprocess" in stages:
        prepared = stages["preprocess"]
        images = open_slices(prepared.folder, prepared.manifest, "held-out").images
    with (
        open_volume(train.folder / HELD_OUT_LABELS) as labels,
        open_volume(train.folder / HELD_OUT_PREDICTION) as predictions,
    ):
        yield _HeldOut(train.manifest.details["held_out"], images, labels, predictions)


def _training_parts(stages: dict[str, Stage]) -> dict[str, Any]:
    """Learning curves, augmentation and weight map, as far as they are available."""
    train = stages["train"]
    history = read_rows(train.folder) if train.holds(HISTORY) else []
    preview = weights = None
    if "augment" in stages and stages["augment"].holds("preview.png"):
        preview = (stages["augment"].folder / "preview.png").read_bytes()
    if "preprocess" in stages and stages["train"].manifest.details["recipe"]["weighted"]:
        prepared = stages["preprocess"]
        numbers = prepared.manifest.details["train_sources"]
        weights = (
            numbers[0],
            np.asarray(open_slices(prepared.folder, prepared.manifest, "train").weights[0]),
        )
    return contents.training(history, preview=preview, weights=weights)


def _predicted_parts(
    stages: dict[str, Stage], stale: set[str], options: ReportOptions
) -> dict[str, Any]:
    """Some slices of the predicted stack and its linked cells, or why there are none."""
    if "predict" in stale:
        return contents.unpredicted(
            "The stack was predicted by an earlier model, or has changed since: unetseg predict "
            "makes the prediction again."
        )
    if "predict" not in stages:
        return contents.unpredicted("No other stack has been predicted: unetseg predict does that.")
    predict = stages["predict"]
    *models, source = predict.manifest.inputs
    if not any(matches(stages["train"].folder / MANIFEST, model) for model in models):
        return contents.unpredicted(
            f"The prediction in {predict.folder.name} was made by another model: unetseg predict "
            "makes one with this."
        )
    result, *others = predict.manifest.outputs
    if others:
        return contents.unpredicted(
            f"Separate micrographs have been predicted: {predict.folder.name} holds a file for "
            "each, and none is shown here."
        )
    cells = stages.get("segment")
    if cells and all(i.sha256 != result.sha256 for i in cells.manifest.inputs):
        cells = None
    path = predict.path_of(source)
    with ExitStack() as opened:
        prediction = opened.enter_context(open_volume(predict.folder / result.name))
        image = opened.enter_context(open_volume(path)) if is_there(path) else None
        labels = opened.enter_context(open_numbers(_labels(cells))) if cells else None
        linked: dict[str, Any] = {"linked": None}
        if cells and labels and cells.holds(LINKS):
            shown = prediction if image is None else image
            linked = linked_parts(Linked(cells, labels, shown), places=options.places)
        # Only the middle, where a whole slice is too much for a page.
        box = middle_of(prediction.shape[1:], most=PREDICTED_EDGE)
        chosen = contents.choose(list(range(len(prediction))), PREDICTED_SLICES)
        return (
            contents.predicted(
                [
                    Predicted(
                        number=index,
                        image=None if image is None else image.part(index, box),
                        probability=prediction.part(index, box),
                        cells=None if labels is None else labels.part(index, box),
                    )
                    for index in chosen
                ],
                name=name_of(path),
                shape=prediction.shape,
                models=len(models),
            )
            | linked
        )


def _labels(cells: Stage) -> Path:
    """Path of the labels, beside which there may be other stacks, and tables."""
    return cells.folder / stacks_of(cells.manifest)[0]


def _describe_stages(stages: dict[str, Stage], work: Path, *, own: bool) -> list[dict[str, Any]]:
    """Describe how every stage was run, and how to run it again from beside the work folder.

    A model from elsewhere, which is not the folder's own, is left out.
    """
    base = work.resolve().parent
    return [
        contents.stage(name, stage.manifest, command_of(name, stage, base=base))
        for name, stage in stages.items()
        if own or name != "train"
    ]


def _view_command(options: ReportOptions) -> str:
    """Command that shows cells, without their numbers at its end, from beside the work folder."""
    name = options.work.resolve().name
    work = [] if name == WORK.name else flags_of("work", name)
    return " ".join(["unetseg", "view", *work, "--three-d", "--only"])


def _own_command(options: ReportOptions) -> str:
    """Command that makes this page again, from beside the work folder."""
    words = ["unetseg", "report"]
    if options.work.resolve().name != WORK.name:
        words += flags_of("work", options.work.resolve().name)
    for name, value in options.recorded().items():
        if value != default_of("report", name):
            words += flags_of(name, value)
    return " ".join(words)
