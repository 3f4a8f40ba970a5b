"""The help: every key, on one page."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

# Ten and twenty-two characters wide at most, so that it fits a terminal of forty columns.
_KEYS = (
    ("Enter", "send"),
    ("Ctrl+J", "new line"),
    ("Up, Down", "recall what was sent"),
    ("Esc", "stop the answer"),
    ("PgUp, PgDn", "scroll"),
    ("Ctrl+End", "back to the end"),
    ("Tab", "go to error or offer"),
    ("r, c", "on errors: retry, copy"),
    ("y, n", "on offers: yes, no"),
    ("Ctrl+C", "copy; twice: quit"),
    ("Ctrl+Q", "quit"),
    ("Ctrl+P", "commands, themes"),
)


class HelpScreen(ModalScreen[None]):
    """What the keys do."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q,enter", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        """Two columns."""
        width = max(len(key) for key, _ in _KEYS)
        with VerticalScroll(id="help"):
            yield Static("\n".join(f"{key:<{width}}  {what}" for key, what in _KEYS), markup=False)
