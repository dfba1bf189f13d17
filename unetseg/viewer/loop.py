"""The napari plugin for a cycle of steps: predict, paint, train, and predict again.

It computes nothing. Every button writes files and starts a command, and results are read from
files; so it does not matter whether this window, another one or a shell started the work.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetseg.artifacts.manifest import MANIFEST
from unetseg.artifacts.suggestions import read_places
from unetseg.artifacts.wishes import CHECKPOINT, WATCH, WATCHED, Wish, Wishes, read_history
from unetseg.errors import InputError
from unetseg.figures.curves import picture_curves
from unetseg.running import shown
from unetseg.stacks.opening import find_stack, open_volume
from unetseg.viewer.drawn import Corrected, Drawn, Painted
from unetseg.viewer.form import Form, telling
from unetseg.viewer.job import Job
from unetseg.viewer.layers import CORRECTED, PAINTED, Layers, read_cells
from unetseg.viewer.places import Places
from unetseg.viewer.stagecommands import Loop

if TYPE_CHECKING:
    import napari

LOOK_EVERY, SAVE_AFTER = 300, 300  # milliseconds

# Messages after a command has succeeded.
DONE = {
    "predict": "predicted; paint what is wrong, and Train",
    "segment": "cells are there: correct some slices, and Train on them",
    "run": "trained, and predicted again",
}


class PaintAndTrain(Form):
    """A form: a stack, a work folder, and a button for every step.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Gets the layers.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._layers: Layers | None = None
        self._places = Places(viewer)
        self._drawn: dict[str, tuple[Drawn, Any]] = {}  # with its layer, which napari may remove
        self._opened: Loop | None = None
        self._job: Job | None = None
        self._wished: Wish | None = None
        self._seen: dict[Path, int] = {}
        for button, act in {
            self.open: self._on_open,
            self.predict: self._on_predict,
            self.next_place: self._on_next_place,
            self.brush: self._on_brush,
            self.cells: self._on_cells,
            self.right: self._on_right,
            self.train: self._on_train,
            self.stop: self._on_stop,
            self.save: self._on_save,
        }.items():
            button.changed.connect(act)
        self.model.changed.connect(self._places.forget)
        from qtpy.QtCore import QTimer

        self._looking, self._saving = QTimer(self.native), QTimer(self.native)
        self._looking.timeout.connect(self._look)
        self._saving.setSingleShot(True)
        self._saving.timeout.connect(self._keep)
        self.native.destroyed.connect(self._on_closed)

    @property
    def loop(self) -> Loop:
        """The stack, the work folder and the options in the form.

        Raises
        ------
        UnetsegError
            If they are invalid.
        """
        stack = find_stack(Path(self.stack.value), "test-volume.tif")
        return Loop(stack, Path(self.work.value), self.extra.value)

    @telling
    def _on_open(self) -> None:
        self._open(self.loop)

    def _open(self, loop: Loop) -> None:
        """Show a stack, and what the work folder holds for it."""
        self._keep()
        volume = open_volume(loop.stack)
        if volume.separate:
            volume.close()
            raise InputError(
                loop.stack,
                expected="one stack",
                found="separate micrographs",
                remedy="choose one of them",
            )
        self._layers = Layers(self._viewer, volume)
        self._places.take((), None)
        self._drawn, self._seen, self._wished, self._opened = {}, {}, None, None
        self._show_drawn(PAINTED, Painted(loop.painted, volume.shape, volume.voxel))
        if loop.corrected.exists() and (loop.cells / MANIFEST).is_file():
            self._show_cells()
        self.model.value = str(loop.model_at_hand())
        self.curve.visible = False
        self._remember(loop)
        self._opened = loop
        self.tell(f"{loop.stack.name}: {len(volume)} slices; Predict, or paint and Train")
        self._on_brush()
        self._looking.start(LOOK_EVERY)
        self._look()

    def _remember(self, loop: Loop) -> None:
        """Fill in the settings of the last training, which may have been interrupted."""
        last = loop.last_training()
        if last is None:
            return
        self.extra.value = self.extra.value or last.options
        if last.of_cells and CORRECTED in self._drawn:
            self.train_on.value = CORRECTED
        if Wishes(loop.model).begun and not (loop.model / MANIFEST).is_file():
            self.model.value = str(last.model)

    @telling
    def _on_predict(self) -> None:
        loop = self._of_what_is_shown()
        self._start(loop, loop.predict(Path(self.model.value)))

    @telling
    def _on_next_place(self) -> None:
        """Go to the next place in the list; at its end, run the command for a new list."""
        loop = self._of_what_is_shown()
        if self._places.left:
            self.tell(self._places.go_on())
        else:
            self._keep()
            drawn, _ = self._drawn.get(self.train_on.value, (None, None))
            labels: tuple[Path | None, dict[str, Any]] = None, {}
            with suppress(InputError):  # nothing is labelled
                if drawn is not None:
                    labels = drawn.path, drawn.settings()
            self._start(loop, loop.suggest(Path(self.model.value), *labels))

    @telling
    def _on_cells(self) -> None:
        loop = self._of_what_is_shown()
        self._start(loop, loop.segment())

    @telling
    def _on_train(self) -> None:
        loop = self._of_what_is_shown()
        if self._job is not None:  # before any folder is moved
            return
        self._keep()
        chosen = self.train_on.value
        if chosen not in self._drawn:
            raise InputError(
                loop.corrected, expected="cells", found="none", remedy="press Cells first"
            )
        drawn, _ = self._drawn[chosen]
        settings = drawn.settings()
        Wishes(loop.model).ask_to_go_on()
        self._start(loop, loop.train(Path(self.model.value), drawn.path, settings))

    @telling
    def _on_save(self) -> None:
        """Save what was drawn a moment ago; all else is on the disk already."""
        loop = self._of_what_is_shown()
        self._keep()
        kept = [drawn.path for drawn, _ in self._drawn.values() if drawn.path.exists()]
        folders = [loop.model, loop.prediction, loop.cells]
        kept += [folder for folder in folders if (folder / MANIFEST).is_file()]
        self.tell("saved: " + (", ".join(map(str, kept)) or "nothing was there to save"))

    @telling
    def _on_stop(self) -> None:
        """Stop training after its epoch; if pressed twice, or for other commands, stop at once."""
        loop = self.loop
        wishes = Wishes(loop.model)
        if wishes.begun and not wishes.stop and loop.is_at_work():
            wishes.ask_to_stop()
            self.tell("training ends after this epoch, with the model that it has then")
        elif self._job is not None:
            self._job.kill()
        else:
            self.tell("nothing is running; Train resumes a stopped training")

    def _on_brush(self) -> None:
        """Paint with the chosen class."""
        layer = None if self._layers is None else self._layers.layer(PAINTED)
        if layer is not None:
            layer.selected_label = self.brush.value
            layer.mode = "paint"
            self._viewer.layers.selection.active = layer

    @telling
    def _on_right(self) -> None:
        drawn, _ = self._drawn.get(CORRECTED, (None, None))
        if self._layers is None or not isinstance(drawn, Corrected):
            raise InputError(
                self.loop.cells, expected="cells", found="none", remedy="press Cells first"
            )
        drawn.mark(self._layers.visible_slice)
        self._keep()
        self.tell(f"{len(drawn.looked_at)} slices of cells to train on")

    def _of_what_is_shown(self) -> Loop:
        """Return `loop`, with its stack and its work folder opened if they are not shown."""
        loop = self.loop
        shown_now = self._opened and (self._opened.stack, self._opened.work)
        if shown_now != (loop.stack, loop.work):
            self._open(loop)
        return self.loop  # again: opening may have filled in options

    def _start(self, loop: Loop, words: list[str]) -> None:
        """Start a command."""
        if self._job is not None:
            return
        self.command.value = shown(words)
        self._job = Job(words, loop.work / "loop.log")
        self._enable()
        self.tell("starting ...")

    def _enable(self) -> None:
        """Enable the buttons that can be used now."""
        for button in (self.open, self.predict, self.cells, self.train):
            button.enabled = self._job is None
        self.next_place.enabled = self._job is None or self._places.left > 0
        self.stop.enabled = self._job is not None or Wishes(self.loop.model).begun

    def _show_drawn(self, name: str, drawn: Drawn) -> None:
        """Show what is drawn, and save it when it changes."""
        if self._layers is None:
            return
        layer = self._layers.show_drawn(name, drawn.load())
        self._drawn[name] = drawn, layer
        # Every change of pixels, even undo, emits one of these.
        for event in (layer.events.paint, layer.events.set_data):
            event.connect(self._on_drawn)

    def _on_drawn(self, event: Any) -> None:
        self._saving.start(SAVE_AFTER)

    @telling
    def _keep(self) -> None:
        """Save what is drawn."""
        for drawn, layer in self._drawn.values():
            drawn.save(layer.data)

    def _show_cells(self) -> None:
        if self._layers is None:
            return
        volume, loop = self._layers.volume, self.loop
        self._keep()
        cells = read_cells(loop.cells, volume)
        self._show_drawn(CORRECTED, Corrected(loop.corrected, cells, volume.voxel))
        self.train_on.value = CORRECTED

    @telling
    def _look(self) -> None:
        """Update the window from the command's output and from changes on the disk."""
        if self._layers is None:
            return
        loop, layers = self.loop, self._layers
        if self._job is not None:
            for line in self._job.lines():
                self.tell(line)
        if self._job is not None and self._job.code is not None:
            self._end(self._job, self._job.code)
        wishes = Wishes(loop.model)
        if wishes.begun:
            self._ask(wishes, loop.wish(layers.visible_slice))
        watched = wishes.watched() if self._is_new(wishes.path(WATCHED)) else None
        if watched is not None:
            layers.show_slice(*watched)
        finished = self._is_new(loop.model / MANIFEST)
        if finished:
            self.model.value = str(loop.model_at_hand())
            self._places.forget()
        if self._is_new(wishes.path(CHECKPOINT)) or finished:
            self._show_curve(loop)
        if self._is_new(loop.prediction / MANIFEST):
            layers.show_prediction(loop.prediction)
        self._enable()

    def _ask(self, wishes: Wishes, wish: Wish) -> None:
        """Ask the training to predict the visible slice as it goes on."""
        if wish != self._wished or not wishes.path(WATCH).exists():
            wishes.ask_to_see(wish)
            self._wished = wish

    def _is_new(self, path: Path) -> bool:
        """Whether a file has appeared or changed since the last call."""
        try:
            state = path.stat().st_mtime_ns
        except OSError:
            state = 0
        before = self._seen.get(path, 0)
        self._seen[path] = state
        return state not in (0, before)

    def _show_curve(self, loop: Loop) -> None:
        history = read_history(loop.model)
        if history:
            self.curve.value = picture_curves(history)
            self.curve.visible = True

    def _end(self, job: Job, code: int) -> None:
        """React to the end of a command."""
        job.close()
        self._job = None
        if job.killed:
            self.tell("stopped; press the same button to resume")
        elif code < 0:
            self.tell("the command was killed from outside; press the same button to resume")
        elif code == 0:
            self.tell(DONE.get(job.stage, ""))
            if job.stage == "segment":
                self._show_cells()
            elif job.stage == "suggest":
                self._show_places()

    def _show_places(self) -> None:
        if self._layers is not None:
            self._places.take(read_places(self.loop.suggestions), self._layers.volume.voxel)
            self.tell(self._places.go_on())

    def _on_closed(self) -> None:
        """Save what is drawn; a running command goes on."""
        self._looking.stop()
        self._keep()
        if self._job is not None:
            self._job.close()
