"""What is asked: the prompt, and the turns from the question to the answer, the error or another try."""

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, ClassVar

from rich.markup import escape
from textual import on, work
from textual.binding import BindingType
from textual.worker import Worker, get_current_worker

from sluice_tui.bindings import bound
from sluice_tui.connection import Connection, Line
from sluice_tui.errors import ClientError, as_text
from sluice_tui.key_names import spelt
from sluice_tui.memory import Memory
from sluice_tui.screens.choices import choose_question
from sluice_tui.screens.key import KeyScreen
from sluice_tui.screens.reading import ReadingScreen
from sluice_tui.screens.standing import Standing
from sluice_tui.screens.talk import Talk
from sluice_tui.session import Turn, TurnState
from sluice_tui.widgets.error_panel import ErrorPanel
from sluice_tui.widgets.prompt import Prompt
from sluice_tui.widgets.transcript import Transcript
from sluice_tui.widgets.welcome import Welcome


class AskingScreen(ReadingScreen):
    """One conversation over one connection. One thing at a time is under way in it: an answer, or a change of it.

    From the key press to the end of it the prompt is held: that is the mark by which everything else is refused.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        bound("cancel", show=True),
        bound("regenerate"),
        bound("edit"),
    ]

    def __init__(self, connection: Connection, memory: Memory, keys: Mapping[str, str]) -> None:
        super().__init__(keys)
        self._connection = connection
        self._memory = memory
        self._edited: Turn | None = None
        self._changing: Worker[Any] | None = None
        self._draft_kept = True
        self._prompt = Prompt(memory.history, keys)
        self._standing = Standing(connection, keys)
        self._talk = Talk(self, connection, self._shown, memory.records, self._ended)

    # -- the connection

    @work(group="connection", exclusive=True)
    async def _connect(self) -> None:
        try:
            line = await self._connection.line()
            if not line.agent.name:
                await self._name_agent(line)
            self._guide_on()
        except ClientError as error:
            # A turn that waits for the line tells it itself.
            if not self._talk.session.active:
                self._transcript.add_panel(ErrorPanel(error))

    async def _name_agent(self, line: Line) -> None:
        """An agent that the user has named by its id is called what the server calls it."""
        with suppress(ClientError):
            await self._connection.agents()
            await self._connection.use(line.agent.id)

    @work(group="guide", exclusive=True)
    async def _guide_on(self) -> None:
        await self._standing.guide_on()

    # -- a question and its answer

    @on(Prompt.Sent)
    async def _send(self, message: Prompt.Sent) -> None:
        if not self._talk.session.turns:
            # What was wrong at the start is told again where it still is.
            await self.query(ErrorPanel).remove()
        for panel in self.query(ErrorPanel):
            panel.settle()
        edited, self._edited = self._edited, None
        if edited:
            self._change(partial(self._ask_instead, edited, message.text, edited=True))
        else:
            await self._ask(message.text)

    async def _ask(self, question: str) -> None:
        await self.query(Welcome).remove()
        await self._talk.ask(question)
        self.refresh_bindings()

    async def _ask_instead(self, turn: Turn, question: str, *, edited: bool) -> None:
        """In a fork from before that turn. Where there can be none, an edited question is in the prompt again."""
        try:
            await self._talk.fork_before(turn)
        except (ClientError, CancelledError):
            if edited:
                self._edit(turn, question)
            raise
        await self.query(ErrorPanel).remove()
        await self._ask(question)

    async def _ended(self, turn: Turn, error: ClientError | None) -> None:
        self._prompt.release()
        self._tick()
        self.refresh_bindings()
        if error:
            self._transcript.add_panel(ErrorPanel(error))
        elif turn.state is TurnState.FINISHED:
            self._guide_on()

    @on(Prompt.Refused)
    def _explain(self) -> None:
        what = "A conversation" if self._changing else "An answer"
        told = f"{what} is on its way; {spelt(self._keys['cancel'])} stops it. Your text stays here."
        self.notify(told, markup=False)

    @on(Prompt.Settled)
    def _keep_draft(self) -> None:
        if not self._memory.drafts or self._memory.drafts.keep(self._prompt.draft):
            self._draft_kept = True
        elif self._draft_kept:
            self._draft_kept = False
            self.notify("What you write is too long to be kept: it is lost when this terminal closes.", severity="warning")

    @on(Transcript.NewBelow)
    def _tell_new(self, message: Transcript.NewBelow) -> None:
        self._prompt.border_subtitle = f"↓ new · {escape(spelt(self._keys['follow']))}" if message.waiting else ""

    # -- stopping, editing, and another try

    async def action_cancel(self) -> None:
        """Stop the answer, the change of the conversation, or the editing of a question."""
        if self._talk.running:
            await self._talk.stop()
        elif self._changing and not self._talk.session.active:
            self._changing.cancel()
        elif self._edited:
            self._leave_edit()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 -- Textual's
        """Esc is offered only where there is something to stop."""
        stoppable = self._talk.running, self._changing, self._edited
        return action != "cancel" or any(stoppable)

    @work(group="dialog", exclusive=True)
    async def action_edit(self) -> None:
        """Take an earlier question up again: the conversation goes on from there, and the one before stays."""
        if not self._talk.session.turns or self._busy():
            return
        if turn := await choose_question(self.app, self._talk.session):
            self._edit(turn, turn.question)

    def _edit(self, turn: Turn, question: str) -> None:
        """The prompt holds this question, which takes the place of that turn, until it is sent or left."""
        self._edited = turn
        self._prompt.lend(question, f"An earlier question · {escape(spelt(self._keys['cancel']))} leaves it")
        self.refresh_bindings()

    def _leave_edit(self) -> None:
        self._edited = None
        self._prompt.take_back()
        self.refresh_bindings()

    def action_regenerate(self) -> None:
        """Ask the last question once more: a whole answer stays in the conversation as it was, which is forked."""
        turns = self._talk.session.turns
        if not turns or self._busy():
            return
        if turns[-1].state is TurnState.FINISHED:
            self._change(partial(self._ask_instead, turns[-1], turns[-1].question, edited=False))
        else:
            self._change(self._again)

    async def _again(self) -> None:
        await self.query(ErrorPanel).remove()
        await self._talk.again()

    @on(ErrorPanel.Retry)
    def _retry(self, message: ErrorPanel.Retry) -> None:
        self._try_again(message.panel)

    @on(ErrorPanel.NewKey)
    @work(group="dialog", exclusive=True)
    async def _ask_for_key(self, message: ErrorPanel.NewKey) -> None:
        if await self.app.push_screen_wait(KeyScreen(self._connection)):
            self._try_again(message.panel)

    def _try_again(self, panel: ErrorPanel) -> None:
        if self._busy():
            panel.offer_again()
            return
        self._prompt.focus()
        turns = self._talk.session.turns
        if turns and turns[-1].state is not TurnState.FINISHED:
            self._change(self._again)
        else:
            panel.remove()
            self._connect()

    # -- one thing at a time

    def _change(self, change: Callable[[], Awaitable[None]]) -> None:
        """Do this to the conversation: until it is done nothing is sent and nothing else begins; Esc stops it."""
        self._prompt.hold()
        if self._edited:
            self._leave_edit()
        self.run_worker(self._changed_by(change), group="change")

    async def _changed_by(self, change: Callable[[], Awaitable[None]]) -> None:
        self._changing = get_current_worker()
        self.refresh_bindings()
        try:
            with self._told():
                await change()
        finally:
            self._changing = None
            if not self._talk.session.active:
                self._prompt.release()
            self.refresh_bindings()

    def _busy(self) -> bool:
        """Whether something is under way; the user is told so."""
        if self._prompt.held:
            self._explain()
        return self._prompt.held

    # -- what is told

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the server refuses is told in passing: nothing of the conversation is lost."""
        try:
            yield
        except ClientError as error:
            self.notify(as_text(error.report), severity="error", markup=False)

    def _tick(self) -> None:
        self._standing.tick(self._talk.session, self._talk.running)
