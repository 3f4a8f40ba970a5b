"""An error in the transcript: what happened, why, what to do; `r` tries again, `c` copies it."""

import math
import time
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

MAX_WAIT_SECONDS = 7 * 24 * 3600


class ErrorPanel(Vertical, can_focus=True):
    """One failure. `settle` takes the offer to try again away, when the conversation has gone on.

    With `wait_seconds` the server takes nothing more for so long: the panel counts them down.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "retry", "Try again"),
        Binding("c", "copy", "Copy details"),
    ]

    @dataclass
    class Retry(Message):
        """The user wants another try."""

        panel: "ErrorPanel"

    def __init__(self, report: ErrorReport, wait_seconds: float | None = None) -> None:
        super().__init__()
        self.report = report
        self._free_at = None if wait_seconds is None else time.monotonic() + min(wait_seconds, MAX_WAIT_SECONDS)
        self._wait = Static(markup=False, classes="wait")
        self._settled = False

    def compose(self) -> ComposeResult:
        """The parts, each on its own lines, and the buttons. The panel takes the keys, so the buttons take no focus."""
        yield Static(f"✗ {self.report.what}", markup=False, classes="what")
        yield Static(self.report.why, markup=False, classes="why")
        yield Static(f"→ {self.report.action}", markup=False, classes="action")
        yield self._wait
        yield Static(reference(self.report), markup=False, classes="reference")
        with Horizontal(classes="buttons"):
            yield Static("Tab, then", markup=False, classes="hint")
            for label, name in (("r  Try again", "retry"), ("c  Copy", "copy")):
                button = Button(label, id=name, compact=True)
                button.can_focus = False
                yield button

    def on_mount(self) -> None:
        """Begin to count, where there is something to wait for."""
        self._wait.display = self._free_at is not None
        if self._free_at is not None:
            self._counting = self.set_interval(0.5, self._count)
            self._count()

    def _count(self) -> None:
        left = math.ceil((self._free_at or 0.0) - time.monotonic())
        self._wait.update(f"⏳ You can send again in {clock(left)}." if left > 0 else "✓ You can send again now.")
        if left <= 0:
            self._counting.stop()

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


def clock(seconds: int) -> str:
    """A time to wait, as a clock counts it down: 0:09, 12:30, 1:00:00."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
