"""The chat: a transcript, a prompt, a status line, and what the keys do between them."""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Footer

from sluice_tui.agents import Capabilities
from sluice_tui.bindings import bound
from sluice_tui.connection import Connection, Line
from sluice_tui.conversations import Conversations
from sluice_tui.drafts import Draft
from sluice_tui.errors import ClientError, as_text
from sluice_tui.memory import Memory
from sluice_tui.reopening import session_of
from sluice_tui.safety import Inert, inert, inert_line
from sluice_tui.screens.conversations import ConversationsScreen
from sluice_tui.screens.details import DetailsScreen
from sluice_tui.screens.exporting import export_as_chosen
from sluice_tui.screens.help import spelt
from sluice_tui.screens.pick import PickScreen
from sluice_tui.screens.shown_turns import ShownTurns
from sluice_tui.screens.talk import Talk, left_behind_session, new_session
from sluice_tui.session import Turn, TurnState
from sluice_tui.unfinished import Unfinished
from sluice_tui.widgets.error_panel import ErrorPanel
from sluice_tui.widgets.guide import Guide
from sluice_tui.widgets.offer import Offer
from sluice_tui.widgets.prompt import Prompt
from sluice_tui.widgets.search_list import Item
from sluice_tui.widgets.status_bar import StatusBar
from sluice_tui.widgets.transcript import Transcript
from sluice_tui.widgets.welcome import Welcome
from sluice_wire.errors import ErrorReport

_TICK_SECONDS = 0.2
_WELCOME_KEYS = ("conversations", "agent", "help")


class ChatScreen(Screen[None]):
    """One conversation over one connection. `keys` are those in force, by their names in the settings."""

    AUTO_FOCUS = "Prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        bound("cancel", show=True),
        bound("conversations", show=True),
        bound("new", show=True),
        bound("agent", show=True),
        bound("details", show=True),
        bound("regenerate"),
        bound("edit"),
        bound("export"),
        bound("follow", priority=True),
    ]

    def __init__(self, connection: Connection, memory: Memory, keys: Mapping[str, str]) -> None:
        super().__init__()
        self._connection = connection
        self._memory = memory
        self._keys = keys
        self._left_behind: Unfinished | None = None
        self._edited: Turn | None = None
        self._place = Inert("")
        self._transcript = Transcript()
        self._prompt = Prompt(memory.history, keys["send"].split(","), keys["newline"].split(","))
        self._status = StatusBar()
        self._guide = Guide()
        self._welcome = Welcome()
        self._shown = ShownTurns(self._transcript)
        self._talk = Talk(self, connection, self._shown, memory.records, self._ended)

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self._transcript
        yield self._guide
        yield self._prompt
        yield self._status
        yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        """Open the connection while the user looks and types."""
        self.set_interval(_TICK_SECONDS, self._tick)
        await self._talk.open(self._talk.session, stored=False)
        await self._greet()
        self._connect()
        if self._memory.drafts and (draft := self._memory.drafts.take_over()):
            self._prompt.put(draft)
        url, records = self._connection.lasting_url, self._memory.records
        self._left_behind = records.take_over(url) if records and url else None
        if self._left_behind:
            await self._transcript.mount(Offer(inert_line(self._left_behind.question, 200)))

    # -- the connection

    @work(group="connection", exclusive=True)
    async def _connect(self) -> None:
        self._show_place("○ connecting")
        try:
            await self._show_line(await self._connection.line())
        except ClientError as error:
            self._show_place("✗ not connected")
            # A turn that waits for the line tells it itself.
            if not self._talk.session.active:
                await self._show_error(error.report, error.retry_after_seconds)

    async def _show_line(self, line: Line) -> None:
        self._show_place("●", inert_line(line.agent.title, 60))
        hints = [(spelt(self._keys[name]), bound(name).tooltip) for name in _WELCOME_KEYS]
        self._welcome.show(inert_line(line.agent.title, 60), inert_line(line.agent.description, 200), hints)
        await self._show_guide()

    def _show_place(self, state: str, agent: str = "") -> None:
        place = " · ".join(part for part in (self._connection.place, agent) if part)
        self._place = self._status.place = inert_line(f"{state} {place}", 120)

    async def _show_guide(self) -> None:
        """Where the user stands with the agent's first questions, if it has any."""
        with suppress(ClientError):  # a guide that cannot be had is left out
            line, capabilities = await self._connection.line(), await self._connection.capabilities()
            known = await Conversations(line.api).guidance(line.agent.id) if capabilities.onboarding else None
            self._guide.show(line.agent.title, known)

    async def _capabilities(self) -> Capabilities | None:
        """None where there is no connection, and then that was told."""
        try:
            return await self._connection.capabilities()
        except ClientError as error:
            self._tell_error(error)
            return None

    # -- a turn

    @on(Prompt.Sent)
    async def _send(self, message: Prompt.Sent) -> None:
        for panel in self.query(ErrorPanel):
            panel.settle()
        await self._take_offer()
        edited, self._edited = self._edited, None
        if edited:
            self._fork_and_ask(edited, message.text)
        else:
            await self._ask(message.text)

    async def _ask(self, question: str, left_behind: Unfinished | None = None) -> None:
        await self.query(Welcome).remove()
        await self._talk.ask(question, left_behind)
        self.refresh_bindings()

    @work(group="fork")
    async def _fork_and_ask(self, turn: Turn, question: str) -> None:
        try:
            await self._talk.fork_before(turn)
        except ClientError as error:
            self._tell_error(error)
            self._prompt.put(Draft(question))
            self._edited = turn
            self._prompt.release()
            return
        await self.query(ErrorPanel).remove()
        await self._ask(question)

    async def _ended(self, turn: Turn, wait_seconds: float | None) -> None:
        self._prompt.release()
        self._tick()
        self.refresh_bindings()
        if turn.report:
            await self._show_error(turn.report, wait_seconds)
        elif turn.state is TurnState.FINISHED:
            await self._show_guide()

    @on(Prompt.Refused)
    def _explain(self) -> None:
        self.notify(f"An answer is on its way; {spelt(self._keys['cancel'])} stops it. Your text stays here.")

    @on(Prompt.Settled)
    def _keep_draft(self, message: Prompt.Settled) -> None:
        if self._memory.drafts:
            self._memory.drafts.keep(message.draft)

    async def action_cancel(self) -> None:
        """Stop the answer, or the editing of a question."""
        if self._talk.running:
            await self._talk.stop()
        elif self._edited:
            self._edited = None
            self._prompt.put(Draft(""))

    @on(ErrorPanel.Retry)
    async def _retry(self, message: ErrorPanel.Retry) -> None:
        if self._talk.session.active:
            return
        self._prompt.focus()
        await message.panel.remove()
        if not self._talk.session.turns:
            self._connect()
            return
        self._prompt.hold()
        await self._talk.again()

    async def action_regenerate(self) -> None:
        """Ask the last question once more: a whole answer stays in the conversation as it was, which is forked."""
        turns = self._talk.session.turns
        if not turns or self._busy():
            return
        self._prompt.hold()
        if turns[-1].state is TurnState.FINISHED:
            self._fork_and_ask(turns[-1], turns[-1].question)
            return
        await self.query(ErrorPanel).remove()
        await self._talk.again()

    # -- an answer that another terminal left behind

    @on(Offer.Answered)
    async def _take_up(self, message: Offer.Answered) -> None:
        self._prompt.focus()
        left_behind = await self._take_offer()
        if left_behind and message.wanted:
            self._prompt.hold()
            self._read_on(left_behind)
        elif left_behind and self._memory.records:
            self._memory.records.drop()

    async def _take_offer(self) -> Unfinished | None:
        """What was offered, if it still is: an offer holds once, and until something else is asked."""
        left_behind, self._left_behind = self._left_behind, None
        await self.query(Offer).remove()
        return left_behind

    @work(group="fork")
    async def _read_on(self, left_behind: Unfinished) -> None:
        """Show what came before, then the answer: from the store where it is whole there, else from its stream."""
        session = await left_behind_session(self._connection, left_behind)
        if session:
            last = session.turns[-1] if session.turns else None
            whole = last is not None and last.state is TurnState.FINISHED and last.stream_id == left_behind.stream_id
            if last and not whole and last.question == left_behind.question:
                session.turns.pop()
            await self._talk.open(session, stored=True)
            if whole:
                self._prompt.release()
                return
        await self._ask(left_behind.question, left_behind)

    # -- conversations

    async def action_new(self) -> None:
        """Begin another conversation."""
        if not self._busy():
            await self._talk.open(new_session(), stored=False)
            await self._greet()
            await self._show_guide()

    @work(group="dialog", exclusive=True)
    async def action_conversations(self) -> None:
        """Look through what is stored, and open one."""
        if self._busy() or not (capabilities := await self._capabilities()):
            return
        if not capabilities.conversations:
            self.notify("This server stores no conversations; only Sluice does.", title=self._connection.place, markup=False)
            return
        conversations = Conversations((await self._connection.line()).api)
        place = inert_line(self._connection.place)
        screen = ConversationsScreen(conversations, place, self._talk.session.id, Path.cwd())
        outcome = await self.app.push_screen_wait(screen)
        session = self._talk.session
        session.title = outcome.renamed.get(session.id, session.title)
        if outcome.opened:
            await self._open(conversations, outcome.opened)
        elif session.id in outcome.deleted:
            await self.action_new()

    async def _open(self, conversations: Conversations, conversation_id: str) -> None:
        try:
            session = session_of(*await conversations.read(conversation_id))
        except ClientError as error:
            self._tell_error(error)
            return
        await self._talk.open(session, stored=True)
        self._tick()

    @work(group="dialog", exclusive=True)
    async def action_export(self) -> None:
        """Write the conversation to a file in the current folder."""
        if self._talk.session.turns:
            await export_as_chosen(self.app, self._talk.session, Path.cwd())
        else:
            self.notify("There is nothing to export yet.")

    @work(group="dialog", exclusive=True)
    async def action_edit(self) -> None:
        """Take an earlier question up again: the conversation goes on from there, and the one before stays."""
        turns = self._talk.session.turns
        if not turns or self._busy():
            return
        items = [Item(str(number), inert_line(turn.question, 200)) for number, turn in enumerate(turns)]
        screen = PickScreen("Edit a question, and go on from there", items[::-1])
        if picked := await self.app.push_screen_wait(screen):
            self._edited = turns[int(picked)]
            self._prompt.put(Draft(self._edited.question))

    # -- the agent, and what is known

    @work(group="dialog", exclusive=True)
    async def action_agent(self) -> None:
        """Choose whom to talk to."""
        try:
            line, agents = await self._connection.line(), await self._connection.agents()
        except ClientError as error:
            self._tell_error(error)
            return
        items = [
            Item(agent.id, inert_line(agent.title, 80), _about(agent.id, agent.title, agent.description)) for agent in agents
        ]
        empty = "This server does not list its models: type the name of one."
        screen = PickScreen("Talk to", items, current=line.agent.id, empty=empty, free=not agents)
        if picked := await self.app.push_screen_wait(screen):
            await self._show_line(await self._connection.use(picked))

    @work(group="dialog", exclusive=True)
    async def action_start_again(self) -> None:
        """Have the agent ask its first questions anew."""
        try:
            line = await self._connection.line()
            await Conversations(line.api).start_again(line.agent.id)
        except ClientError as error:
            self._tell_error(error)
            return
        await self._show_guide()

    def action_details(self) -> None:
        """All that is known about the answers."""
        if self._talk.session.turns:
            self.app.push_screen(DetailsScreen(self._talk.session, inert_line(self._connection.place)))
        else:
            self.notify("There is no answer yet.")

    # -- what is shown

    async def _greet(self) -> None:
        await self._transcript.mount(self._welcome)

    async def _show_error(self, report: ErrorReport, wait_seconds: float | None) -> None:
        await self._transcript.mount(ErrorPanel(report, wait_seconds))

    def _tell_error(self, error: ClientError) -> None:
        self.notify(as_text(error.report), severity="error", markup=False)

    def _busy(self) -> bool:
        if self._talk.session.active:
            self._explain()
        return self._talk.session.active is not None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 -- Textual's
        """Esc is offered only where there is something to stop."""
        return action != "cancel" or self._talk.running is not None or self._edited is not None

    def _tick(self) -> None:
        now, session = time.monotonic(), self._talk.session
        wait = self._talk.running.show_wait(now) if self._talk.running else ""
        self._status.place = inert(f"◌ {wait}") if wait else self._place
        self._status.measures = session.turns[-1].measures(now) if session.turns else None
        self._status.tokens_in_all = session.tokens(now)

    async def action_follow(self) -> None:
        """Go to the end of the transcript."""
        await self._shown.newest()
        self._transcript.follow()

    async def action_scroll_pages(self, pages: int) -> None:
        """Scroll the transcript, from wherever the focus is; beyond its top to what is not mounted yet."""
        if pages < 0 and self._transcript.scroll_y <= 0:
            await self._shown.older()
            return
        self._transcript.scroll_relative(y=pages * (self._transcript.size.height - 1), animate=False)


def _about(id: str, title: str, description: str) -> Inert:
    return inert_line(" · ".join(part for part in (id if id != title else "", description) if part), 300)
