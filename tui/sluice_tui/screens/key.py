"""Another API key in place of one that the server does not take any more."""

from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from sluice_tui.connection import Connection
from sluice_tui.errors import ClientError
from sluice_tui.safety import inert_line

MAX_CHARACTERS = 8_192

_ABOUT = "Used until you quit, and kept nowhere.\nEnter checks it · Esc closes"


class KeyScreen(ModalScreen[bool]):
    """Asks for a key until the server takes one or the user thinks better of it. It is never shown and never kept."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(False)", "Close")]

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self._input = Input(password=True, compact=True, max_length=MAX_CHARACTERS)
        self._told = Static(_ABOUT, markup=False, classes="hint")

    def compose(self) -> ComposeResult:
        """The line, and what becomes of it."""
        with Vertical(classes="box"):
            yield Static(f"API key for {inert_line(self._connection.place)}", markup=False, classes="title")
            yield self._input
            yield self._told

    @on(Input.Submitted)
    @work(exclusive=True)
    async def _check(self, message: Input.Submitted) -> None:
        key = message.value.strip()
        if not key:
            return
        self._told.update("Checking …")
        try:
            await self._connection.use_key(key)
        except ClientError as error:
            self._input.clear()
            self._told.update(f"✗ {error.report.what}\nTry another one · Esc closes")
            return
        self.dismiss(True)
