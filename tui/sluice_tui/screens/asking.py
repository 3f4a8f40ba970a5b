"""What is asked: the prompt, and the turns from the question to the answer, the error or another try."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import ClassVar

from textual import on, work
from textual.binding import BindingType

from sluice_tui.bindings import bound
from sluice_tui.connection import Connection, Line
from sluice_tui.drafts import Draft
from sluice_tui.errors import ClientError, as_text
from sluice_tui.memory import Memory
from sluice_tui.screens.choices import choose_question
from sluice_tui.screens.help import spelt
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
    """One conversation over one connection, a turn at a time."""

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
        self._prompt = Prompt(memory.history, keys["send"].split(","), keys["newline"].split(","))
        self._standing = Standing(connection, keys)
        self._talk = Talk(self, connection, self._shown, memory.records, self._standing.connected, self._ended)

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
                self._transcript.add_panel(ErrorPanel(error))

    async def _name_agent(self, line: Line) -> None:
        """An agent that the user has named by its id is called what the server calls it."""
        with suppress(ClientError):
            await self._connection.agents()
            self._standing.connected(await self._connection.use(line.agent.id))

    # -- a question and its answer

    @on(Prompt.Sent)
    async def _send(self, message: Prompt.Sent) -> None:
        if not self._talk.session.turns:
            # What was wrong at the start is told again where it still is.
            await self.query(ErrorPanel).remove()
        for panel in self.query(ErrorPanel):
            panel.settle()
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

    async def _ended(self, turn: Turn, error: ClientError | None) -> None:
        self._prompt.release()
        self._tick()
        self.refresh_bindings()
        if error:
            self._transcript.add_panel(ErrorPanel(error))
        elif turn.state is TurnState.FINISHED:
            await self._standing.guide_on()

    @on(Prompt.Refused)
    def _explain(self) -> None:
        self.notify(f"An answer is on its way; {spelt(self._keys['cancel'])} stops it. Your text stays here.")

    @on(Prompt.Settled)
    def _keep_draft(self, message: Prompt.Settled) -> None:
        if self._memory.drafts:
            self._memory.drafts.keep(message.draft)

    @on(Transcript.NewBelow)
    def _tell_new(self, message: Transcript.NewBelow) -> None:
        self._prompt.border_subtitle = f"↓ new · {spelt(self._keys['follow'])}" if message.waiting else ""

    # -- stopping, editing, and another try

    async def action_cancel(self) -> None:
        """Stop the answer, or the editing of a question."""
        if self._talk.running:
            await self._talk.stop()
        elif self._edited:
            self._edit(None, "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 -- Textual's
        """Esc is offered only where there is something to stop."""
        return action != "cancel" or self._talk.running is not None or self._edited is not None

    @work(group="dialog", exclusive=True)
    async def action_edit(self) -> None:
        """Take an earlier question up again: the conversation goes on from there, and the one before stays."""
        if not self._talk.session.turns or self._busy():
            return
        if turn := await choose_question(self.app, self._talk.session):
            self._edit(turn, turn.question)

    def _edit(self, turn: Turn | None, question: str) -> None:
        """The prompt holds this question, which takes the place of that turn; or none, and is free again."""
        self._edited = turn
        self._prompt.put(Draft(question))
        self._prompt.border_title = f"An earlier question · {spelt(self._keys['cancel'])} leaves it" if turn else ""
        self.refresh_bindings()

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

    @on(ErrorPanel.Retry)
    async def _retry(self, message: ErrorPanel.Retry) -> None:
        if not self._talk.session.active:
            await self._try_again(message.panel)

    @on(ErrorPanel.NewKey)
    @work(group="dialog", exclusive=True)
    async def _ask_for_key(self, message: ErrorPanel.NewKey) -> None:
        if await self.app.push_screen_wait(KeyScreen(self._connection)):
            await self._try_again(message.panel)

    async def _try_again(self, panel: ErrorPanel) -> None:
        self._prompt.focus()
        await panel.remove()
        if not self._talk.session.turns:
            self._connect()
            return
        self._prompt.hold()
        await self._talk.again()

    # -- what is told

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

    def _tick(self) -> None:
        self._standing.tick(self._talk.session, self._talk.running)
