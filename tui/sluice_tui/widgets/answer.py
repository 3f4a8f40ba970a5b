"""An answer: who gives it, what the model thought, its text as it is written, and how it ended."""

import asyncio
import time

from textual import events

from sluice_tui.rendering.document import Document
from sluice_tui.rendering.lines import Flow, Gap, Inline, Line, Piece
from sluice_tui.safety import Inert
from sluice_tui.widgets.text_view import TextView

MIN_INTERVAL_SECONDS = 1 / 15
"""Text that arrives faster is rendered together. What is painted may be 33 ms late, by Textual's own clock and that of the
text: twelve times a second gaps reached 116 ms, fifteen times 97 ms, for hardly more CPU time."""

_COST_FACTOR = 3
"""A quarter of the time at most goes into rendering, however long one takes."""

_PAUSE_SECONDS = 0.002
"""Between two parts of a long text, for keys that were pressed meanwhile."""

_THOUGHT_EDGE = (Piece("┊ ", "thought", True),)


class Answer(TextView):
    """One answer, growing until `end`. What is said to it before it is mounted is shown then."""

    def __init__(self, author: Inert) -> None:
        super().__init__()
        self._author = author
        self._note = ""
        self._document = Document()
        self._thoughts: Document | None = None
        self._unfolded = False
        self._parts: list[Inert] = []
        self._head: list[Line] = []
        self._due = 0.0
        self._waiting = False

    @property
    def text(self) -> str:
        """The answer so far, in Markdown."""
        return "".join(self._parts)

    @property
    def has_reasoning(self) -> bool:
        """Whether the model told what it thought."""
        return self._thoughts is not None

    def on_mount(self) -> None:
        """Begin to render."""
        self._render_news()

    def name_author(self, author: Inert) -> None:
        """Say who answers, once it is known."""
        self._author = author
        self._arrange_lines(head=True)

    def append(self, text: Inert) -> None:
        """Some more of the answer."""
        self._parts.append(text)
        self._document.feed(text)
        self._schedule()

    def reason(self, text: Inert) -> None:
        """Some more of what the model thinks before it answers."""
        self._thoughts = self._thoughts or Document(_THOUGHT_EDGE)
        self._thoughts.feed(text)
        self._schedule()

    def toggle_reasoning(self) -> None:
        """Show what the model thought, or only that it did."""
        self._unfolded = not self._unfolded
        self._arrange_lines(head=True)

    def clear(self) -> None:
        """The answer begins anew: take away what was written."""
        self._parts.clear()
        self._document, self._thoughts = Document(), None
        self._arrange_lines(head=True)
        self._schedule()

    def tell(self, note: str) -> None:
        """Say below the text what is the matter with it; "" when nothing is."""
        self._note = note
        self._arrange_lines()

    def end(self, note: Inert | None = None) -> None:
        """There is no more; `note` says why, where the model did not simply finish."""
        for document in (self._document, self._thoughts):
            if document:
                document.finish()
        self.tell(note or "")
        self._schedule()

    def on_click(self, event: events.Click) -> None:
        """The line that tells of thoughts opens them, and closes them again."""
        super().on_click(event)
        offset = event.get_content_offset(self)
        if self._thoughts and offset is not None and self.place_of(offset.y)[0] == 1:
            self.toggle_reasoning()

    def _schedule(self) -> None:
        if self.is_running and not self._waiting:
            self._waiting = True
            delay = max(_PAUSE_SECONDS, self._due - time.monotonic())
            # Not Textual's timer: on a busy machine a short one is late before it begins, and then it never rings.
            asyncio.get_running_loop().call_later(delay, self.call_next, self._render_news)

    def _render_news(self) -> None:
        self._waiting = False
        began = time.monotonic()
        if self._thoughts:
            self._thoughts.advance()
        self._arrange_lines(self._document.advance(), head=self._thoughts is not None)
        cost = time.monotonic() - began
        behind = self._document.behind or bool(self._thoughts and self._thoughts.behind)
        self._due = began + (_PAUSE_SECONDS if behind else max(MIN_INTERVAL_SECONDS, _COST_FACTOR * cost))
        if behind:
            self._schedule()

    def _arrange_lines(self, body: int | None = None, *, head: bool = False) -> None:
        """Put the parts below one another; `body` is the first line of the text that is new, None where none is."""
        text = self._document.lines
        if head or not self._head:
            self._head = [Flow(Inline(self._author), style="author"), *self._thought_lines()]
            changed = 0
        else:
            changed = len(self._head) + (len(text) if body is None else body)
        note = [Flow(Inline(self._note), style="note")] if self._note else []
        self.show([*self._head, *text, *note], changed)

    def _thought_lines(self) -> list[Line]:
        if not self._thoughts:
            return []
        told, sign, action = "Thought" if self._parts else "Thinking…", *(("▾", "hide") if self._unfolded else ("▸", "show"))
        fold = Flow(Inline(f"{sign} {told} (click to {action})"), style="fold")
        return [fold, *(self._thoughts.lines if self._unfolded else ()), Gap()]
