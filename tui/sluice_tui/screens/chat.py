"""The chat: the whole screen, and the way from one conversation, or one agent, to another."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Footer

from sluice_tui.bindings import bound
from sluice_tui.connection import Connection
from sluice_tui.conversations import Conversations
from sluice_tui.memory import Memory
from sluice_tui.reopening import session_of
from sluice_tui.safety import inert_line
from sluice_tui.screens.asking import AskingScreen
from sluice_tui.screens.choices import choose_agent, look_through
from sluice_tui.screens.details import DetailsScreen
from sluice_tui.screens.exporting import export_as_chosen
from sluice_tui.screens.talk import new_session
from sluice_tui.unfinished import Unfinished
from sluice_tui.widgets.offer import Offer
from sluice_tui.widgets.prompt import Prompt
from sluice_tui.widgets.welcome import Welcome

_TICK_SECONDS = 0.2


class ChatScreen(AskingScreen):
    """A transcript, a prompt, a status line. `keys` are those in force, by their names in the settings."""

    AUTO_FOCUS = "Prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        bound("conversations", show=True),
        bound("new", show=True),
        bound("agent", show=True),
        bound("details", show=True),
        bound("export"),
    ]

    def __init__(self, connection: Connection, memory: Memory, keys: Mapping[str, str]) -> None:
        super().__init__(connection, memory, keys)
        self._left_behind: Unfinished | None = None

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self._shown.earlier
        yield self._transcript
        yield self._shown.later
        yield self._standing.guide
        yield self._prompt
        yield self._standing.status
        yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        """Open the connection while the user looks and types."""
        self.set_interval(_TICK_SECONDS, self._tick)
        await self._talk.open(self._talk.session, stored=False)
        await self._transcript.mount(self._standing.welcome)
        self._connect()
        if self._memory.drafts and (draft := self._memory.drafts.take_over()):
            self._prompt.put(draft)
        url, records = self._connection.lasting_url, self._memory.records
        self._left_behind = records.take_over(url) if records and url else None
        if self._left_behind:
            await self._transcript.mount(Offer(inert_line(self._left_behind.question, 200)))

    async def on_unmount(self) -> None:
        """The end of the app, while the connection still stands."""
        self._keep_draft()
        if self._memory.drafts:
            self._memory.drafts.release()
        await self._talk.leave()

    # -- an answer that another terminal left behind

    @on(Offer.Answered)
    async def _take_up(self, message: Offer.Answered) -> None:
        self._prompt.focus()
        if message.wanted and self._busy():
            return
        left_behind = await self._take_offer()
        if left_behind and message.wanted:
            self._change(partial(self._read_on, left_behind))
        elif left_behind and self._memory.records:
            self._memory.records.drop()

    @on(Prompt.Sent)
    async def _take_offer(self) -> Unfinished | None:
        """What was offered, if it still is: an offer holds once, and until something else is asked."""
        left_behind, self._left_behind = self._left_behind, None
        await self.query(Offer).remove()
        return left_behind

    async def _read_on(self, left_behind: Unfinished) -> None:
        """Show what came before, then the answer: from the store where it is whole there, else from its stream."""
        await self.query(Welcome).remove()
        await self._talk.read_on(left_behind)
        self.refresh_bindings()

    # -- conversations and agents

    def action_new(self) -> None:
        """Begin another conversation."""
        if not self._busy():
            self._change(self._begin_anew)

    async def _begin_anew(self) -> None:
        await self._talk.open(new_session(), stored=False)
        await self._transcript.mount(self._standing.welcome)
        self._guide_on()

    @work(group="dialog", exclusive=True)
    async def action_conversations(self) -> None:
        """Look through what is stored, and open one."""
        with self._told():
            outcome = await look_through(self.app, self._connection, self._talk.session.id)
            session = self._talk.session
            session.title = outcome.renamed.get(session.id, session.title)
            if outcome.opened and not self._busy():
                self._change(partial(self._open, outcome.opened))
            elif session.id in outcome.deleted:
                self.action_new()

    async def _open(self, conversation_id: str) -> None:
        conversations = Conversations((await self._connection.line()).api)
        await self._talk.open(session_of(*await conversations.read(conversation_id)), stored=True)

    @work(group="dialog", exclusive=True)
    async def action_export(self) -> None:
        """Write the conversation to a file in the current folder."""
        if self._talk.session.turns:
            await export_as_chosen(self.app, self._talk.session)
        else:
            self.notify("There is nothing to export yet.")

    @work(group="dialog", exclusive=True)
    async def action_agent(self) -> None:
        """Choose whom to talk to."""
        with self._told():
            if await choose_agent(self.app, self._connection):
                self._tick()
                self._guide_on()

    @work(group="dialog", exclusive=True)
    async def action_start_again(self) -> None:
        """Have the agent ask its first questions anew."""
        with self._told():
            line = await self._connection.line()
            await Conversations(line.api).start_again(line.agent.id)
            self._guide_on()

    def action_details(self) -> None:
        """All that is known about the answers."""
        if self._talk.session.turns:
            self.app.push_screen(DetailsScreen(self._talk.session, inert_line(self._connection.place)))
        else:
            self.notify("There is no answer yet.")
