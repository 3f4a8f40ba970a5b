"""An error in the transcript: what happened, why, what to do; `r` tries again, `c` copies it."""

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Static

from sluice_tui.errors import as_text, reference
from sluice_wire.errors import ErrorReport


class ErrorPanel(Vertical, can_focus=True):
    """One failure. `settle` takes the offer to try again away, when the conversation has gone on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "retry", "Try again"),
        Binding("c", "copy", "Copy details"),
    ]

    @dataclass
    class Retry(Message):
        """The user wants another try."""

        panel: "ErrorPanel"

    def __init__(self, report: ErrorReport) -> None:
        super().__init__()
        self.report = report
        self._settled = False

    def compose(self) -> ComposeResult:
        """The parts, each on its own lines, and the buttons. The panel takes the keys, so the buttons take no focus."""
        yield Static(f"✗ {self.report.what}", markup=False, classes="what")
        yield Static(self.report.why, markup=False, classes="why")
        yield Static(f"→ {self.report.action}", markup=False, classes="action")
        yield Static(reference(self.report), markup=False, classes="reference")
        with Horizontal(classes="buttons"):
            yield Static("Tab, then", markup=False, classes="hint")
            for label, name in (("r  Try again", "retry"), ("c  Copy", "copy")):
                button = Button(label, id=name, compact=True)
                button.can_focus = False
                yield button

    def settle(self) -> None:
        """Leave it as a record."""
        self._settled = True
        self.can_focus = False
        self.query(".hint, #retry").set(display=False)

    @on(Button.Pressed, "#retry")
    def action_retry(self) -> None:
        """Ask for another try, once: two presses may come before the panel is gone."""
        if not self._settled:
            self._settled = True
            self.post_message(self.Retry(self))

    @on(Button.Pressed, "#copy")
    def action_copy(self) -> None:
        """Put the error on the clipboard, for a report or a search."""
        self.app.copy_to_clipboard(as_text(self.report))
        self.notify("Details copied.")
