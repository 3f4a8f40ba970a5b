"""Small questions: yes or no, and one line of text."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from sluice_tui.safety import Inert


class ConfirmScreen(ModalScreen[bool]):
    """Whether the user really means it."""

    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("n,escape", "dismiss(False)", "No"),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, question: Inert, yes: str) -> None:
        super().__init__()
        self._question = question
        self._yes = yes

    def compose(self) -> ComposeResult:
        """The question, and the careful answer at hand."""
        with Vertical(classes="box"):
            yield Static(self._question, markup=False)
            with Horizontal(classes="buttons"):
                yield Button(f"y  {self._yes}", id="yes", compact=True)
                yield Button("n  No", id="no", compact=True)

    @on(Button.Pressed)
    def _pressed(self, message: Button.Pressed) -> None:
        self.dismiss(message.button.id == "yes")


class LineScreen(ModalScreen[str | None]):
    """One line of text, None when the user thought better of it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Close")]

    def __init__(self, title: str, value: str, max_length: int) -> None:
        super().__init__()
        self._title = title
        self._input = Input(value, compact=True, max_length=max_length)

    def compose(self) -> ComposeResult:
        """The line, and what it is for."""
        with Vertical(classes="box"):
            yield Static(self._title, markup=False, classes="title")
            yield self._input
            yield Static("Enter keeps · Esc closes", markup=False, classes="hint")

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        if text := message.value.strip():
            self.dismiss(text)
