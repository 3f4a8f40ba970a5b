"""The help: every key, on one page."""

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sluice_tui.key_names import KEYS, spelt

_FIXED = (
    ("Up, Down", "recall what was sent"),
    ("Tab", "go to an error, an offer"),
    ("r, k, c", "on errors: retry, new key, copy"),
    ("y, n", "on offers: yes, no"),
    ("Ctrl+C", "copy; twice: quit"),
    ("Ctrl+P", "all commands, themes"),
)


class HelpScreen(ModalScreen[None]):
    """What the keys do. `keys` are those in force, by their names in the settings."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q,enter", "dismiss", "Close")]

    def __init__(self, keys: Mapping[str, str]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Two columns."""
        rows = [(spelt(self._keys[name]), KEYS[name].what) for name in KEYS] + list(_FIXED)
        width = max(len(key) for key, _ in rows)
        lines = [Content.styled(f"{key:<{width}}  ", "$text-accent") + Content(what) for key, what in rows]
        with VerticalScroll(id="help"):
            yield Static(Content("\n").join(lines), markup=False)
