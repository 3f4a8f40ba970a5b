"""Where the user writes."""

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea


class Prompt(TextArea):
    """A text of any number of lines. Enter sends it; Up and Down recall what was sent, while nothing else is written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", priority=True),
        Binding("shift+enter,ctrl+j", "new_line", "New line", priority=True),
        Binding("pageup", "screen.scroll_pages(-1)", "Scroll up"),
        Binding("pagedown", "screen.scroll_pages(1)", "Scroll down"),
    ]

    @dataclass
    class Sent(Message):
        """The user wants this sent. Whoever takes it calls `take`; until then it stays where it is."""

        text: str

    def __init__(self) -> None:
        super().__init__(compact=True, highlight_cursor_line=False, placeholder="Ask something")
        self._history: list[str] = []
        self._recalled: int | None = None

    def take(self) -> str:
        """The text, which leaves the prompt and can be recalled."""
        text = self.text
        self._history.append(text)
        self._recalled = None
        self.clear()
        return text

    def action_send(self) -> None:
        """Offer the text to be sent, if there is any."""
        if self.text.strip():
            self.post_message(self.Sent(self.text))

    def action_new_line(self) -> None:
        """Break the line."""
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
