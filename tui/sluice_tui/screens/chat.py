"""The chat: a transcript, a prompt, a status line, and what the keys do between them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Footer

from sluice_tui.bindings import bound
from sluice_tui.connection import Connection, Line
from sluice_tui.conversations import Conversations
from sluice_tui.drafts import Draft
from sluice_tui.errors import ClientError, as_text
from sluice_tui.memory import Memory
from sluice_tui.reopening import session_of
from sluice_tui.safety import inert_line
from sluice_tui.screens.choices import choose_agent, choose_question, look_through
from sluice_tui.screens.details import DetailsScreen
from sluice_tui.screens.exporting import export_as_chosen
from sluice_tui.screens.help import spelt
from sluice_tui.screens.pick import PickScreen
from sluice_tui.screens.shown_turns import ShownTurns
from sluice_tui.screens.standing import Standing
from sluice_tui.screens.talk import Talk, new_session
from sluice_tui.session import Turn, TurnState
from sluice_tui.unfinished import Unfinished
from sluice_tui.widgets.error_panel import ErrorPanel
from sluice_tui.widgets.offer import Offer
from sluice_tui.widgets.prompt import Prompt
from sluice_tui.widgets.search_list import Item
from sluice_tui.widgets.transcript import Transcript
from sluice_tui.widgets.welcome import Welcome
from sluice_wire.errors import ErrorReport

_TICK_SECONDS = 0.2


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
        bound("copy_answer"),
        bound("copy_code"),
        bound("reasoning"),
        bound("follow", priority=True),
    ]

    def __init__(self, connection: Connection, memory: Memory, keys: Mapping[str, str]) -> None:
        super().__init__()
        self._connection = connection
        self._memory = memory
        self._keys = keys
        self._left_behind: Unfinished | None = None
        self._edited: Turn | None = None
        self._transcript = Transcript()
        self._prompt = Prompt(memory.history, keys["send"].split(","), keys["newline"].split(","))
        self._standing = Standing(connection, keys)
        self._shown = ShownTurns(self._transcript)
        self._talk = Talk(self, connection, self._shown, memory.records, self._standing.connected, self._ended)

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
        await self._talk.leave()

    # -- the connection

    @work(group="connection", exclusive=True)
    async def _connect(self) -> None:
        self._standing.connecting()
        try:
            line = await self._connection.line()
            self._standing.connected(line)
            if not line.agent.name:
                await self._name_agent(line)
            await self._standing.guide_on()
        except ClientError as error:
            self._standing.not_connected()
            # A turn that waits for the line tells it itself.
            if not self._talk.session.active:
                self._show_error(error.report, error.retry_after_seconds)

    async def _name_agent(self, line: Line) -> None:
        """An agent that the user has named by its id is called what the server calls it."""
        with suppress(ClientError):
            await self._connection.agents()
            self._standing.connected(await self._connection.use(line.agent.id))

    # -- a turn

    @on(Prompt.Sent)
    async def _send(self, message: Prompt.Sent) -> None:
        if not self._talk.session.turns:
            # What was wrong at the start is told again where it still is.
            await self.query(ErrorPanel).remove()
        for panel in self.query(ErrorPanel):
            panel.settle()
        await self._take_offer()
        edited = self._edited
        if edited:
            self._edit(None, "")
            self._fork_and_ask(edited, message.text)
        else:
            await self._ask(message.text)

    async def _ask(self, question: str) -> None:
        await self.query(Welcome).remove()
        await self._talk.ask(question)
        self.refresh_bindings()

    @work(group="fork")
    async def _fork_and_ask(self, turn: Turn, question: str) -> None:
        with self._told():
            await self._talk.fork_before(turn)
            await self.query(ErrorPanel).remove()
            await self._ask(question)
            return
        self._edit(turn, question)
        self._prompt.release()

    async def _ended(self, turn: Turn, wait_seconds: float | None) -> None:
        self._prompt.release()
        self._tick()
        self.refresh_bindings()
        if turn.report:
            self._show_error(turn.report, wait_seconds)
        elif turn.state is TurnState.FINISHED:
            await self._standing.guide_on()

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
            self._edit(None, "")

    def _edit(self, turn: Turn | None, question: str) -> None:
        """The prompt holds this question, which takes the place of that turn; or none, and is free again."""
        self._edited = turn
        self._prompt.put(Draft(question))
        self._prompt.border_title = f"An earlier question · {spelt(self._keys['cancel'])} leaves it" if turn else ""
        self.refresh_bindings()

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
        await self.query(Welcome).remove()
        await self._talk.read_on(left_behind)
        self.refresh_bindings()

    # -- conversations and agents

    async def action_new(self) -> None:
        """Begin another conversation."""
        if not self._busy():
            await self._talk.open(new_session(), stored=False)
            await self._transcript.mount(self._standing.welcome)
            await self._standing.guide_on()

    @work(group="dialog", exclusive=True)
    async def action_conversations(self) -> None:
        """Look through what is stored, and open one."""
        session = self._talk.session
        with self._told():
            outcome = await look_through(self.app, self._connection, session.id, Path.cwd())
            session.title = outcome.renamed.get(session.id, session.title)
            if outcome.opened and not self._busy():
                api = (await self._connection.line()).api
                await self._talk.open(session_of(*await Conversations(api).read(outcome.opened)), stored=True)
            elif session.id in outcome.deleted:
                await self.action_new()

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
        if not self._talk.session.turns or self._busy():
            return
        if turn := await choose_question(self.app, self._talk.session):
            self._edit(turn, turn.question)

    @work(group="dialog", exclusive=True)
    async def action_agent(self) -> None:
        """Choose whom to talk to."""
        with self._told():
            if line := await choose_agent(self.app, self._connection):
                self._standing.connected(line)
                await self._standing.guide_on()

    @work(group="dialog", exclusive=True)
    async def action_start_again(self) -> None:
        """Have the agent ask its first questions anew."""
        with self._told():
            line = await self._connection.line()
            await Conversations(line.api).start_again(line.agent.id)
            await self._standing.guide_on()

    def action_details(self) -> None:
        """All that is known about the answers."""
        if self._talk.session.turns:
            self.app.push_screen(DetailsScreen(self._talk.session, inert_line(self._connection.place)))
        else:
            self.notify("There is no answer yet.")

    # -- what is shown

    def _show_error(self, report: ErrorReport, wait_seconds: float | None) -> None:
        self._transcript.add_panel(ErrorPanel(report, wait_seconds))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the server refuses is told in passing: nothing of the conversation is lost."""
        try:
            yield
        except ClientError as error:
            self.notify(as_text(error.report), severity="error", markup=False)

    def _busy(self) -> bool:
        if self._talk.session.active:
            self._explain()
        return self._talk.session.active is not None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 -- Textual's
        """Esc is offered only where there is something to stop."""
        return action != "cancel" or self._talk.running is not None or self._edited is not None

    def _tick(self) -> None:
        self._standing.tick(self._talk.session, self._talk.running)

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

    @on(Transcript.ReachedTop)
    async def _show_older(self) -> None:
        await self._shown.older()

    @on(Transcript.NewBelow)
    def _tell_new(self, message: Transcript.NewBelow) -> None:
        self._prompt.border_subtitle = f"↓ new · {spelt(self._keys['follow'])}" if message.waiting else ""

    def action_copy_text(self) -> None:
        """What is selected, to the clipboard; where nothing is, the key is the app's."""
        if self.get_selected_text() is None:
            raise SkipAction
        self.run_worker(self._transcript.action_copy_selection())

    async def action_copy_answer(self) -> None:
        """The last one, to the clipboard."""
        await self._transcript.action_copy_message()

    @work(group="dialog", exclusive=True)
    async def action_copy_code(self) -> None:
        """A block of code, to the clipboard; which one, where the answer has several."""
        blocks, picked = self._transcript.code_blocks, None
        if len(blocks) > 1:
            items = [Item(str(number), inert_line(f"{number} · {block}", 200)) for number, block in enumerate(blocks, 1)]
            picked = await self.app.push_screen_wait(PickScreen("Copy a block of code", items[::-1]))
        if picked or len(blocks) <= 1:
            await self._transcript.action_copy_code(int(picked or -1))

    def action_reasoning(self) -> None:
        """Show what the model thought, or hide it."""
        self._transcript.action_toggle_reasoning()
