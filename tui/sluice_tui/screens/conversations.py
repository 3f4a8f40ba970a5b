"""The stored conversations: search, open, rename, export, delete."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from sluice_tui.bindings import bound
from sluice_tui.conversations import Conversations, Summary
from sluice_tui.errors import ClientError, as_text
from sluice_tui.reopening import session_of
from sluice_tui.safety import Inert, inert_line
from sluice_tui.screens.dialogs import ConfirmScreen, LineScreen
from sluice_tui.screens.exporting import export_as_chosen
from sluice_tui.widgets.search_list import Item, SearchList

MAX_TITLE_CHARACTERS = 200


@dataclass(slots=True)
class Outcome:
    """What came of it: the conversation to open, and those that are gone or called otherwise now."""

    opened: str = ""
    deleted: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)


class ConversationsScreen(ModalScreen[Outcome]):
    """All of the user's conversations on this server, last used first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close"),
        Binding("f6", "rename", "Rename"),
        bound("export", show=True),
        Binding("f8", "delete", "Delete"),
    ]

    def __init__(self, conversations: Conversations, place: Inert, current: str) -> None:
        super().__init__()
        self._conversations = conversations
        self._place = place
        self._summaries: list[Summary] = []
        self._outcome = Outcome()
        self._list = SearchList(current=current, empty="Looking …")
        self._title = Static(markup=False, classes="title")

    def compose(self) -> ComposeResult:
        """The list on the whole screen, its keys below."""
        with Vertical(classes="page"):
            yield self._title
            yield self._list
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Fetch them, page by page."""
        self._show("Looking …")
        self._fetch()

    @work(group="fetch")
    async def _fetch(self) -> None:
        try:
            async for page in self._conversations.pages():
                self._summaries += page
                self._show("Nothing is stored yet: what you ask appears here.")
        except ClientError as error:
            self._show(as_text(error.report))
            if self._summaries:
                self._tell_error(error)

    @on(SearchList.Chosen)
    def _open(self, message: SearchList.Chosen) -> None:
        self._outcome.opened = message.key
        self.dismiss(self._outcome)

    def action_close(self) -> None:
        """Back to the chat as it was."""
        self.dismiss(self._outcome)

    @work(exclusive=True, group="change")
    async def action_rename(self) -> None:
        """Give the one under the cursor another title."""
        if not (summary := self._selected()):
            return
        screen = LineScreen("Title", inert_line(summary.title, MAX_TITLE_CHARACTERS), MAX_TITLE_CHARACTERS)
        if title := await self.app.push_screen_wait(screen):
            try:
                renamed = await self._conversations.rename(summary.id, title)
            except ClientError as error:
                self._tell_error(error)
                return
            self._outcome.renamed[summary.id] = renamed.title
            self._summaries = [replace(s, title=renamed.title) if s.id == summary.id else s for s in self._summaries]
            self._show()

    @work(exclusive=True, group="change")
    async def action_delete(self) -> None:
        """Remove the one under the cursor, if it is meant."""
        if not (summary := self._selected()):
            return
        question = Inert(f"Delete “{inert_line(summary.title, 100)}” for good?")
        if await self.app.push_screen_wait(ConfirmScreen(question, "Delete it")):
            try:
                await self._conversations.delete(summary.id)
            except ClientError as error:
                self._tell_error(error)
                return
            self._outcome.deleted.add(summary.id)
            self._summaries = [kept for kept in self._summaries if kept.id != summary.id]
            self._show("Nothing is stored any more.")

    @work(exclusive=True, group="change")
    async def action_export(self) -> None:
        """Write the one under the cursor to a file."""
        if not (summary := self._selected()):
            return
        try:
            session = session_of(*await self._conversations.read(summary.id))
        except ClientError as error:
            self._tell_error(error)
            return
        await export_as_chosen(self.app, session)

    def _selected(self) -> Summary | None:
        item = self._list.highlighted
        return next((summary for summary in self._summaries if item and summary.id == item.key), None)

    def _show(self, empty: str = "") -> None:
        now = datetime.now().astimezone()
        self._list.put(_items(self._summaries, now), empty)
        count = f" · {len(self._summaries):,}" if self._summaries else ""
        self._title.update(f"Conversations · {self._place}{count}")

    def _tell_error(self, error: ClientError) -> None:
        self.notify(as_text(error.report), severity="error", markup=False)


def _items(summaries: Sequence[Summary], now: datetime) -> list[Item]:
    return [
        Item(summary.id, inert_line(summary.title, MAX_TITLE_CHARACTERS) or Inert("(without a title)"), _about(summary, now))
        for summary in summaries
    ]


def _about(summary: Summary, now: datetime) -> Inert:
    updated = datetime.fromtimestamp(summary.updated).astimezone()
    count = f"{summary.message_count:,} message{'' if summary.message_count == 1 else 's'}"
    return Inert(f"{when(updated, now)} · {inert_line(summary.agent, 40)} · {count}")


def when(then: datetime, now: datetime) -> str:
    """A time as a person would say it on the day `now`."""
    days = (now.date() - then.date()).days
    if days == 0:
        return f"today {then:%H:%M}"
    if days == 1:
        return f"yesterday {then:%H:%M}"
    return f"{then:%A}" if 1 < days < 7 else f"{then:%Y-%m-%d}"
