"""The chat on the whole screen."""

import asyncio
import os
import signal
import time
from typing import ClassVar

import rich
from platformdirs import user_state_path
from rich.segment import Segments
from rich.traceback import Traceback
from textual.app import App
from textual.binding import Binding, BindingType

from sluice_tui.connection import Connection
from sluice_tui.screens.chat import ChatScreen
from sluice_tui.screens.help import HelpScreen
from sluice_tui.unfinished import Records

_SECOND_PRESS_SECONDS = 2.0
_LEAVE_SECONDS = 4
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def run(connection: Connection) -> int:
    """Run the app until the user quits; the process's exit code is returned, and the connection is closed."""
    for name in ("COLUMNS", "LINES"):
        # Where a shell exports them they are its size at some time, and Textual would believe them over the terminal.
        os.environ.pop(name, None)
    app = ChatApp(connection, Records(user_state_path("sluice")))
    try:
        app.run()
    finally:
        connection.stop()
    return app.return_code or 0


class ChatApp(App[None]):
    """A chat over one connection, which it closes. What it leaves unfinished is told to `records`."""

    TITLE = "Sluice"
    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f1", "help", "Help", priority=True)]

    def _fatal_error(self) -> None:
        """Textual's own, but without the locals of every frame, which hold keys and messages."""
        self.bell()
        traceback = Traceback(show_locals=False, width=None, suppress=[rich])
        self._exit_renderables.append(Segments(self.console.render(traceback, self.console.options)))
        self._close_messages_no_wait()

    def __init__(self, connection: Connection, records: Records | None = None) -> None:
        super().__init__()
        self._connection = connection
        self._records = records
        self._asked_at = float("-inf")

    def get_default_screen(self) -> ChatScreen:
        """The one screen that is always there."""
        return ChatScreen(self._connection, self._records)

    def on_mount(self) -> None:
        """Leave in order when the system asks: the terminal gets its own screen back."""
        loop = asyncio.get_running_loop()

        def leave(number: int, _: object) -> None:
            # Where the terminal is gone, Textual waits for its writer thread for ever; the alarm's default is the end.
            signal.alarm(_LEAVE_SECONDS)
            loop.call_soon_threadsafe(self.exit, None, 128 + number)

        for number in _ENDING_SIGNALS:
            # Not the loop's own handlers: they would not run while the loop is stuck in a write.
            signal.signal(number, leave)

    async def on_unmount(self) -> None:
        """Hang up, and end the local function."""
        await self._connection.aclose()
        for number in _ENDING_SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def action_help(self) -> None:
        """Show what the keys do, or stop showing it."""
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        else:
            self.push_screen(HelpScreen())

    def action_help_quit(self) -> None:
        """Ctrl+C where nothing is selected: quit, if it is meant."""
        now = time.monotonic()
        if now - self._asked_at < _SECOND_PRESS_SECONDS:
            self.exit()
        self._asked_at = now
        self.notify("Press Ctrl+C again to quit.", timeout=_SECOND_PRESS_SECONDS)
