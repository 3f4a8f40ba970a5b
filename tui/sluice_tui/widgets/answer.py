"""An answer: who gives it, its text as it is written, and how it ended. Whatever renders the text is behind this widget."""

import asyncio
import time

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from sluice_tui.safety import Inert
from sluice_tui.widgets.markdown import InertMarkdown

MIN_INTERVAL_SECONDS = 1 / 15
"""Text that arrives faster is rendered together."""

_COST_FACTOR = 3
"""A quarter of the time at most goes into rendering, however long one takes."""


class Answer(Vertical):
    """One answer, growing until `end`."""

    def __init__(self, author: Inert) -> None:
        super().__init__()
        self._author = Static(author, markup=False, classes="author")
        self._markdown = InertMarkdown()
        self._note = Static("", markup=False, classes="note")
        self._pending: list[Inert] = []
        self._news = asyncio.Event()
        self._void = False
        self._ended = False

    def compose(self) -> ComposeResult:
        """Author, text and note, below one another."""
        yield self._author
        yield self._markdown
        yield self._note

    def on_mount(self) -> None:
        """Begin to render."""
        self.run_worker(self._render_news())

    def name_author(self, author: Inert) -> None:
        """Say who answers, once it is known."""
        self._author.update(author)

    def append(self, text: Inert) -> None:
        """Some more of the answer."""
        self._pending.append(text)
        self._news.set()

    def clear(self) -> None:
        """The answer begins anew: take away what was written."""
        self._pending.clear()
        self._void = True
        self._news.set()

    def tell(self, note: str) -> None:
        """Say below the text what is the matter with it; "" when nothing is."""
        self._note.update(note)
        self._note.display = bool(note)

    def end(self, note: Inert | None = None) -> None:
        """There is no more; `note` says why, where the model did not simply finish."""
        self._ended = True
        self._news.set()
        self.tell(note or "")

    async def _render_news(self) -> None:
        await self._markdown.write(Inert(""))
        while self._pending or self._void or not self._ended:
            await self._news.wait()
            self._news.clear()
            began = time.monotonic()
            await self._render_pending()
            if not self._ended:
                await asyncio.sleep(max(MIN_INTERVAL_SECONDS, _COST_FACTOR * (time.monotonic() - began)))
        await self._markdown.end()
        self._markdown.display = self._markdown.source.strip() != ""

    async def _render_pending(self) -> None:
        if self._void:
            self._void = False
            await self._replace_text()
        text = Inert("".join(self._pending))
        self._pending.clear()
        if text:
            await self._markdown.write(text)

    async def _replace_text(self) -> None:
        with self.app.batch_update():
            await self._markdown.remove()
            self._markdown = InertMarkdown()
            await self.mount(self._markdown, after=self._author)
            await self._markdown.write(Inert(""))
