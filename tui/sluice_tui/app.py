"""The chat on the whole screen."""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Iterable, Mapping
from typing import ClassVar

import rich
from platformdirs import user_state_path
from rich.segment import Segments
from rich.traceback import Traceback
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from sluice_tui import clipboard
from sluice_tui.bindings import bound
from sluice_tui.connection import Connection
from sluice_tui.key_names import KEYS
from sluice_tui.memory import Memory
from sluice_tui.safety import inert_line
from sluice_tui.screens.chat import ChatScreen
from sluice_tui.screens.help import HelpScreen
from sluice_tui.secret_texts import looks_secret

_SECOND_PRESS_SECONDS = 2.0
_LEAVE_SECONDS = 4
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

_NOT_OURS = {"Keys", "Maximize", "Minimize", "Screenshot", "Quit"}
"""Textual's own commands that say less than our help, or that are of no use in a chat."""

_COMMANDS = (
    ("New conversation", "new", "The one before stays in the list"),
    ("Conversations", "conversations", "Search, open, rename, export, delete"),
    ("Agent", "agent", "Choose whom to talk to"),
    ("Ask again", "regenerate", "Another answer to the last question"),
    ("Edit a question", "edit", "Go on from an earlier question"),
    ("Export", "export", "Write the conversation to a Markdown or JSON file"),
    ("Details", "details", "Usage, times and ids of an answer"),
    ("Start the first questions again", "start_again", "For agents that ask some before they begin"),
    ("Copy the answer", "copy_answer", "The last one, as Markdown"),
    ("Copy the code", "copy_code", "The last block of code"),
    ("Find", "find", "Look for a message of this conversation, go to it or copy it"),
    ("Reasoning", "reasoning", "Show what the model thought, or hide it"),
    ("Back to the end", "follow", "To the newest text"),
)


def run(connection: Connection, theme: str | None = None, keys: Mapping[str, str] | None = None) -> int:
    """Run the app until the user quits; the process's exit code is returned, and the connection is closed.

    `keys` as in `key_names`, where they are not the default ones. `theme` wins over the one that was picked last.
    """
    for name in ("COLUMNS", "LINES"):
        # Where a shell exports them they are its size at some time, and Textual would believe them over the terminal.
        os.environ.pop(name, None)
    memory = Memory.at(user_state_path("sluice"), lambda text: looks_secret(text) or connection.has_key_in(text))
    app = ChatApp(connection, memory, theme, keys)
    # What is imported stays: a full collection of garbage, 15 to 30 ms while an answer streams, need not look at it again.
    gc.freeze()
    try:
        app.run()
    finally:
        connection.leave()
    return app.return_code or 0


class ChatApp(App[None]):
    """A chat over one connection, which it closes. What shall outlive it is told to `memory`."""

    TITLE = "Sluice"
    CSS_PATH = "app.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-wide")]  # noqa: RUF012 -- Textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        bound("help", show=True, priority=True),
        bound("quit", priority=True),
    ]

    def _fatal_error(self) -> None:
        """Textual's own, but without the locals of every frame, which hold keys and messages."""
        self.bell()
        traceback = Traceback(show_locals=False, width=None, suppress=[rich])
        self._exit_renderables.append(Segments(self.console.render(traceback, self.console.options)))
        self._close_messages_no_wait()

    def __init__(
        self,
        connection: Connection,
        memory: Memory | None = None,
        theme: str | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._connection = connection
        self.memory = memory or Memory()
        self._theme_wanted = theme or self.memory.theme.read()
        self._keys_given = keys or {}
        known = {name: keys for name, keys in self._keys_given.items() if name in KEYS}
        self._keys = {name: known.get(name, KEYS[name].keys) for name in KEYS}
        self._asked_at = float("-inf")

    def get_default_screen(self) -> ChatScreen:
        """The one screen that is always there."""
        return ChatScreen(self._connection, self.memory, self._keys)

    def on_mount(self) -> None:
        """Look as the user wishes, and leave in order when the system asks: the terminal gets its own screen back."""
        self.set_keymap({name: keys for name, keys in self._keys.items() if name in self._keys_given})
        self._tell_unknown("key", self._keys_given.keys() - KEYS.keys(), KEYS)
        if self._theme_wanted in self.available_themes:
            self.theme = self._theme_wanted
        elif self._theme_wanted:
            self._tell_unknown("theme", [self._theme_wanted], self.available_themes)
        self.theme_changed_signal.subscribe(self, lambda theme: self.memory.theme.keep(theme.name))
        loop = asyncio.get_running_loop()

        def leave(number: int, _: object) -> None:
            # Where the terminal is gone, Textual waits for its writer thread for ever; the alarm's default is the end.
            signal.alarm(_LEAVE_SECONDS)
            loop.call_soon_threadsafe(self.exit, None, 128 + number)

        for number in _ENDING_SIGNALS:
            # Not the loop's own handlers: they would not run while the loop is stuck in a write.
            signal.signal(number, leave)

    async def on_unmount(self) -> None:
        """Hang up; the local function ends by itself."""
        await self._connection.hang_up()
        for number in _ENDING_SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Ours first, then Textual's themes."""
        if isinstance(screen, ChatScreen):
            for title, action, about in _COMMANDS:
                yield SystemCommand(title, about, lambda action=action: self.call_later(screen.run_action, action))
        yield SystemCommand("Help", "Every key", self.action_help)
        yield from (command for command in super().get_system_commands(screen) if command.title not in _NOT_OURS)
        yield SystemCommand("Quit", "What is written stays for the next time", self.action_quit)

    def copy_to_clipboard(self, text: str) -> None:
        """What Textual's own widgets copy, such as a line that is written in, goes to the desktop's program too."""
        super().copy_to_clipboard(text)
        self.run_worker(clipboard.copy_natively(text), group="copy")

    def action_help(self) -> None:
        """Show what the keys do, or stop showing it."""
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        else:
            self.push_screen(HelpScreen(self._keys))

    def action_help_quit(self) -> None:
        """Ctrl+C where nothing is selected: quit, if it is meant."""
        now = time.monotonic()
        if now - self._asked_at < _SECOND_PRESS_SECONDS:
            self.exit()
        self._asked_at = now
        self.notify("Press Ctrl+C again to quit.", timeout=_SECOND_PRESS_SECONDS)

    def _tell_unknown(self, what: str, names: Iterable[str], known: Iterable[str]) -> None:
        for name in sorted(names):
            told = f"There is no {what} named {inert_line(name, 60)}. There are: {', '.join(sorted(known))}."
            self.notify(told, severity="warning", markup=False, timeout=10)
