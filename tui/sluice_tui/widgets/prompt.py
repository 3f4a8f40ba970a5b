"""Where the user writes."""

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea


class Prompt(TextArea):
    """A text of any number of lines. Enter sends it; Up and Down recall what was sent, while nothing else is written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "screen.scroll_pages(-1)", "Scroll up"),
        Binding("pagedown", "screen.scroll_pages(1)", "Scroll down"),
    ]

    @dataclass
    class Sent(Message):
        """The user has sent this. The prompt sends no more until `release`."""

        text: str

    class Refused(Message):
        """The user wants to send before `release`; the text stays where it is."""

    def __init__(self) -> None:
        super().__init__(compact=True, highlight_cursor_line=False, placeholder="Ask something (F1: help)")
        self._history: list[str] = []
        self._recalled: int | None = None
        self._held = False

    def hold(self) -> None:
        """Send nothing until `release`."""
        self._held = True

    def release(self) -> None:
        """Send again when the user asks for it."""
        self._held = False

    def on_key(self, event: events.Key) -> None:
        """Enter sends. Not a binding: a priority binding overtakes the characters that were typed before it."""
        action = {"enter": self._send, "shift+enter": self._break_line, "ctrl+j": self._break_line}.get(event.key)
        if action:
            event.stop()
            event.prevent_default()
            action()

    def _send(self) -> None:
        if not self.text.strip():
            return
        if self._held:
            self.post_message(self.Refused())
            return
        self.hold()
        self.post_message(self.Sent(self.text))
        self._history.append(self.text)
        self._recalled = None
        self.clear()

    def _break_line(self) -> None:
        self.insert("\n")

    def action_cursor_up(self, select: bool = False) -> None:
        """Move up, or recall the message before."""
        if not self._recall(-1):
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Move down, or recall the message after."""
        if not self._recall(1):
            super().action_cursor_down(select)

    def _recall(self, step: int) -> bool:
        position = self._position()
        if position is None or not 0 <= position + step <= len(self._history):
            return False
        self._recalled = position + step
        self.load_text((*self._history, "")[self._recalled])
        self.move_cursor(self.document.end)
        return True

    def _position(self) -> int | None:
        """Where in the history the prompt stands; None when it holds a draft, which recalling would lose."""
        if not self.text:
            return len(self._history)
        if self._recalled is not None and (*self._history, "")[self._recalled] == self.text:
            return self._recalled
        return None
