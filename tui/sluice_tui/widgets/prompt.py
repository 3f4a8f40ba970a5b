"""Where the user writes."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.timer import Timer
from textual.widgets import TextArea

from sluice_tui.bindings import bound
from sluice_tui.drafts import Draft
from sluice_tui.history import History
from sluice_tui.key_names import spelt
from sluice_tui.safety import inert

FOLDED_CHARACTERS = 8_000
"""A longer paste stands as one mark: a text area of a megabyte takes seconds for each key."""

_SETTLED_SECONDS = 1.0
_TOKEN_BYTES = 4
_MARK = re.compile(r"(⟦pasted: [^⟧\n]*⟧)")


class Prompt(TextArea):
    """A text of any number of lines. Enter sends it; Up and Down recall what was sent, while nothing else is written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("page_up", "screen.scroll_pages(-1)"),
        bound("page_down", "screen.scroll_pages(1)"),
    ]

    @dataclass
    class Sent(Message):
        """The user has sent this. The prompt sends no more until `release`."""

        text: str

    class Refused(Message):
        """The user wants to send before `release`; the text stays where it is."""

    class Settled(Message):
        """Time to write the draft down: something was typed, a moment ago at most."""

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        hint = f"Ask something ({spelt(keys['help'])}: help)"
        super().__init__(compact=True, highlight_cursor_line=False, placeholder=hint)
        self._history = history
        self._actions = dict.fromkeys(keys["send"].split(","), self._send)
        self._actions |= dict.fromkeys(keys["newline"].split(","), self._break_line)
        self._recalled: int | None = None
        self._pasted: dict[str, str] = {}
        self._aside: Draft | None = None
        self._held = False
        self._settling: Timer | None = None

    @property
    def held(self) -> bool:
        """Whether an answer is on its way."""
        return self._held

    @property
    def draft(self) -> Draft:
        """What stands there, below what it was lent over."""
        here = Draft(self.text, {mark: self._pasted[mark] for mark in _MARK.findall(self.text) if mark in self._pasted})
        if not self._aside or not self._aside.text:
            return here
        return Draft(f"{self._aside.text}\n{here.text}", {**self._aside.pasted, **here.pasted})

    @property
    def whole_text(self) -> str:
        """What stands there, with the pastes in the place of their marks."""
        return _MARK.sub(lambda mark: self._pasted.get(mark[0], mark[0]), self.text)

    def put(self, draft: Draft) -> None:
        """Write this in place of what stands there, the cursor at its end. It can be undone."""
        self._pasted |= draft.pasted
        self.replace("".join(map(self._shown, _MARK.split(draft.text))), self.document.start, self.document.end)
        self.move_cursor(self.document.end)

    def lend(self, text: str, title: str) -> None:
        """Have this written instead: what stands there comes back when it is sent or taken back."""
        self._aside = self._aside or self.draft
        self.border_title = title
        self.put(Draft(text))

    def take_back(self) -> None:
        """What stood there before comes back."""
        if self._aside is not None:
            aside, self._aside = self._aside, None
            self.border_title = ""
            self.put(aside)

    def hold(self) -> None:
        """Send nothing until `release`."""
        self._held = True

    def release(self) -> None:
        """Send again when the user asks for it."""
        self._held = False

    def on_key(self, event: events.Key) -> None:
        """Enter sends. Not a binding: a priority binding overtakes the characters that were typed before it."""
        if action := self._actions.get(event.key):
            event.stop()
            event.prevent_default()
            action()

    async def _on_paste(self, event: events.Paste) -> None:
        """A paste of any length, inert: what a page put on the clipboard is not for the terminal to obey."""
        event.stop()
        event.prevent_default()
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        self.replace(self._shown(text), *self.selection, maintain_selection_offset=False)

    def on_text_area_changed(self) -> None:
        """Tell it soon, also where the user never pauses."""
        if not self._settling:
            self._settling = self.set_timer(_SETTLED_SECONDS, self._settle)

    def action_delete_left(self) -> None:
        """Delete a character, or a whole mark of a paste."""
        row, column = self.cursor_location
        mark = next((m for m in _MARK.finditer(self.document.get_line(row)) if m.end() == column), None)
        if mark and self.selection.is_empty:
            self.delete((row, mark.start()), (row, column))
        else:
            super().action_delete_left()

    def action_cursor_up(self, select: bool = False) -> None:
        """Move up, or recall the message before."""
        if not self._recall(-1):
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Move down, or recall the message after."""
        if not self._recall(1):
            super().action_cursor_down(select)

    def action_cursor_line_end(self, select: bool = False) -> None:
        """To the end of the line; from an empty prompt, to the end of the transcript."""
        if self.text:
            super().action_cursor_line_end(select)
        else:
            self.call_later(self.run_action, "screen.follow")

    def _settle(self) -> None:
        self._settling = None
        self.post_message(self.Settled())

    def _shown(self, text: str) -> str:
        """The text as it stands in the prompt: folded where it is long, a mark of this prompt as it is."""
        return inert(text) if len(text) <= FOLDED_CHARACTERS or text in self._pasted else self._fold(text)

    def _fold(self, text: str) -> str:
        # What a page put on the clipboard cannot know the mark of another paste.
        token = secrets.token_hex(_TOKEN_BYTES)
        mark = f"⟦pasted: {text.count(chr(10)) + 1:,} lines, {len(text):,} characters · {token}⟧"
        self._pasted[mark] = text
        return mark

    def _send(self) -> None:
        if not self.text.strip():
            return
        if self._held:
            self.post_message(self.Refused())
            return
        self.hold()
        text = self.whole_text
        self.post_message(self.Sent(text))
        self._history.add(text)
        self._recalled = None
        # Not an edit: what was sent does not come back by undoing.
        self.load_text("")
        self._pasted.clear()
        self.take_back()

    def _break_line(self) -> None:
        self.insert("\n")

    def _recall(self, step: int) -> bool:
        entries = (*self._history.entries, "")
        position = self._position(entries)
        if position is None or not 0 <= position + step < len(entries):
            return False
        self._recalled = position + step
        self.put(Draft(entries[self._recalled]))
        return True

    def _position(self, entries: Sequence[str]) -> int | None:
        """Where in the history the prompt stands; None when it holds a draft, which recalling would lose."""
        if not self.text:
            return len(entries) - 1
        if self._recalled is not None and self._recalled < len(entries) and entries[self._recalled] == self.whole_text:
            return self._recalled
        return None
