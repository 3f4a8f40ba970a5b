"""The offer to read on what another terminal left behind: `y` takes it, `n` declines."""

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Static

from sluice_tui.safety import Inert


class Offer(Vertical, can_focus=True):
    """One unfinished answer, named by its question."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Continue"),
        Binding("n", "answer(False)", "Forget it"),
    ]

    @dataclass
    class Answered(Message):
        """What the user wants."""

        wanted: bool

    def __init__(self, question: Inert) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """What it is about, and the buttons. The offer takes the keys, so the buttons take no focus."""
        yield Static("An answer was not read to its end when a terminal closed:", markup=False, classes="what")
        yield Static(self._question, markup=False, classes="question")
        with Horizontal(classes="buttons"):
            yield Static("Tab, then", markup=False, classes="hint")
            for label, name in (("y  Continue it", "yes"), ("n  Forget it", "no")):
                button = Button(label, id=name, compact=True)
                button.can_focus = False
                yield button

    @on(Button.Pressed)
    def _pressed(self, message: Button.Pressed) -> None:
        self.action_answer(message.button.id == "yes")

    def action_answer(self, wanted: bool) -> None:
        """Tell the answer."""
        self.post_message(self.Answered(wanted))
