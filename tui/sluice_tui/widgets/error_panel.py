"""An error in the transcript: what happened, why, what to do; `r` tries again, `k` takes another key, `c` copies it."""

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

from sluice_tui import clipboard
from sluice_tui.errors import ClientError, as_text, reference

MAX_WAIT_SECONDS = 7 * 24 * 3600


class ErrorPanel(Vertical, can_focus=True):
    """One failure. `settle` takes the offers away, when the conversation has gone on.

    Where the server takes nothing more for some time, the panel counts it down; where it refused the key, it takes another.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "retry", "Try again"),
        Binding("k", "new_key", "New key"),
        Binding("c", "copy", "Copy"),
    ]

    @dataclass
    class Retry(Message):
        """The user wants another try."""

        panel: "ErrorPanel"

    @dataclass
    class NewKey(Message):
        """The user has another key."""

        panel: "ErrorPanel"

    def __init__(self, error: ClientError) -> None:
        super().__init__()
        self.report = error.report
        wait_seconds = error.retry_after_seconds
        offers = {"retry": "r Try again", "new_key": "k New key" if error.key_refused else "", "copy": "c Copy"}
        self._offers = {name: label for name, label in offers.items() if label}
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
            for name, label in self._offers.items():
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
        self.query(".hint, #retry, #new_key").set(display=False)

    def offer_again(self) -> None:
        """The try that was asked for could not begin."""
        self._settled = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 -- Textual's
        """A key is asked for only where one was refused."""
        return action != "new_key" or action in self._offers

    @on(Button.Pressed, "#retry")
    def action_retry(self) -> None:
        """Ask for another try, once: two presses may come before the panel is gone."""
        if not self._settled:
            self._settled = True
            self.post_message(self.Retry(self))

    @on(Button.Pressed, "#new_key")
    def action_new_key(self) -> None:
        """Ask for another key; the panel stays until there is one."""
        if not self._settled:
            self.post_message(self.NewKey(self))

    @on(Button.Pressed, "#copy")
    async def action_copy(self) -> None:
        """Put the error on the clipboard, for a report or a search."""
        self.notify(f"Details copied {await clipboard.copy(self.app, as_text(self.report))}.")


def clock(seconds: int) -> str:
    """A time to wait, as a clock counts it down: 0:09, 12:30, 1:00:00."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
