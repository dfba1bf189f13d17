"""The form of the window for painting and training: its fields and buttons."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from magicgui.widgets import (
    ComboBox,
    Container,
    FileEdit,
    Image,
    Label,
    LineEdit,
    PushButton,
    RadioButtons,
)

from unetseg.errors import UnetsegError
from unetseg.options import DATA, WORK
from unetseg.viewer.drawn import PAINTED_INTERIOR, PAINTED_MEMBRANE
from unetseg.viewer.layers import CORRECTED, PAINTED

WIDEST, CURVE = 380, (340, 180)  # of the form, and the curve in it, pixels


class Form(Container):
    """Fields, buttons and a status line."""

    def __init__(self) -> None:
        self.stack = FileEdit(label="stack", mode="r", value=DATA / "test-volume.tif")
        self.work = FileEdit(label="work folder", mode="d", value=WORK)
        self.open = PushButton(text="Open")
        self.model = LineEdit(label="model", value="starter", tooltip="The one at hand")
        self.predict = PushButton(text="Predict")
        self.brush = RadioButtons(
            label="paint",
            choices=[("membrane", PAINTED_MEMBRANE), ("interior", PAINTED_INTERIOR)],
            value=PAINTED_MEMBRANE,
            orientation="horizontal",
        )
        self.cells = PushButton(text="Cells", tooltip="Cells of the prediction, to be corrected")
        self.right = PushButton(text="Slice is right", tooltip="Its cells need no correction")
        self.train_on = ComboBox(label="train on", choices=[PAINTED, CORRECTED])
        self.extra = LineEdit(label="options", tooltip="As in the shell: --epochs 5 --no-tta")
        self.train = PushButton(text="Train")
        self.next_place = PushButton(
            text="Next place", tooltip="Go where labels would help the model at hand most"
        )
        self.stop = PushButton(text="Stop", enabled=False)
        self.save = PushButton(text="Save")
        self.command = LineEdit(label="command", tooltip="What the shell would be told")
        self.command.native.setReadOnly(True)
        self.status = Label(value="")
        self.status.native.setWordWrap(True)
        self.curve = Image(visible=False)
        self.curve.native.setMinimumSize(*CURVE)
        rows = [
            _row(self.open, self.predict, self.next_place),
            _row(self.cells, self.right),
            _row(self.train, self.stop, self.save),
        ]
        super().__init__(
            widgets=[
                self.stack, self.work, rows[0], self.model, self.brush, rows[1],
                self.train_on, self.extra, rows[2], self.command, self.status, self.curve,
            ]
        )  # fmt: skip
        self.native.setMaximumWidth(WIDEST)

    def tell(self, line: str) -> None:
        """Show a line as the status."""
        self.status.value = line


def _row(*buttons: PushButton) -> Container:
    row = Container(widgets=buttons, layout="horizontal", labels=False)
    row.margins = (0, 0, 0, 0)
    return row


Given = ParamSpec("Given")
AForm = TypeVar("AForm", bound=Form)


def telling(
    act: Callable[Concatenate[AForm, Given], None],
) -> Callable[Concatenate[AForm, Given], None]:
    """Make a method show errors that a user can fix as a line in the form, not a traceback."""

    @wraps(act)
    def act_or_tell(form: AForm, /, *given: Given.args, **named: Given.kwargs) -> None:
        try:
            act(form, *given, **named)
        except (UnetsegError, OSError) as error:
            form.tell(str(error))

    return act_or_tell
