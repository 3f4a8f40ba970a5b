"""One conversation over a connection: what is asked, how the answers come, and where a server keeps them."""

import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from textual.screen import Screen

from sluice_tui.api import Asked
from sluice_tui.connection import Connection, Line
from sluice_tui.conversations import Conversations, Summary
from sluice_tui.errors import ClientError
from sluice_tui.reconnecting import Connected, answer, rest_of
from sluice_tui.reopening import last_before, session_of
from sluice_tui.safety import Inert, inert_line
from sluice_tui.screens.running import Running
from sluice_tui.screens.shown_turns import ShownTurns, note_of
from sluice_tui.session import Session, Turn, TurnState
from sluice_tui.unfinished import Records, Unfinished

UNWANTED_SECONDS = 15.0
"""A server tells a stream's id within its heartbeat, 10 s. Who stops an answer before waits so long to cancel it there."""


def new_session() -> Session:
    """A conversation that nobody has yet."""
    return Session(uuid.uuid4().hex)


class Talk:
    """Runs the turns. `on_end` is told how each ended and what was wrong."""

    def __init__(
        self,
        screen: Screen[Any],
        connection: Connection,
        shown: ShownTurns,
        records: Records | None,
        on_end: Callable[[Turn, ClientError | None], Awaitable[None]],
    ) -> None:
        self.session = new_session()
        self.stored = False
        self.running: Running | None = None
        self._unwanted: Running | None = None
        self._screen = screen
        self._connection = connection
        self._shown = shown
        self._records = records
        self._on_end = on_end

    async def open(self, session: Session, *, stored: bool) -> None:
        """Go on with this conversation."""
        self.session, self.stored = session, stored
        await self._shown.show(session)

    async def ask(self, question: str, left_behind: Unfinished | None = None) -> None:
        """Ask, or read on what another terminal has asked. Raises Busy."""
        turn = self.session.begin(question, time.monotonic())
        if left_behind:
            turn.agent, turn.key, turn.stream_id = left_behind.agent, left_behind.key, left_behind.stream_id
        self._start(Running(turn, await self._shown.begin(turn, _author(turn))), left_behind)

    async def read_on(self, left_behind: Unfinished) -> None:
        """Show what came before, then the answer: from the store where it is whole there, else from its stream."""
        if left_behind.conversation_id and (session := await self._stored(left_behind.conversation_id)):
            last = session.turns[-1] if session.turns else None
            whole = last is not None and last.state is TurnState.FINISHED and last.stream_id == left_behind.stream_id
            if last and not whole and last.question == left_behind.question:
                session.turns.pop()
            await self.open(session, stored=True)
            if last and whole:
                await self._settle(last, None)
                return
        await self.ask(left_behind.question, left_behind)

    async def again(self) -> None:
        """Another try for the last turn, which failed or was stopped. Raises Busy."""
        turn = self.session.again(time.monotonic())
        if self._unwanted and self._unwanted.worker and self._unwanted.turn.key == turn.key:
            # It is wanted after all: the server finds it by its key.
            self._unwanted.worker.cancel()
        self._start(Running(turn, await self._shown.again(turn, _author(turn))), None)

    async def fork_before(self, turn: Turn) -> None:
        """Go on as if this turn and those after it had not been. What is stored stays, under its own id.

        Raises ClientError; nothing has changed then.
        """
        fork = await self._fork(turn) if self.stored else None
        place = self.session.turns.index(turn)
        gone = self.session.turns[place:]
        self.session.turns[place:] = []
        self.session.id, self.session.title = (fork.id, fork.title) if fork else (uuid.uuid4().hex, "")
        self.stored = fork is not None
        await self._shown.cut(gone)

    async def stop(self) -> None:
        """Stop the answer, here and on the server; what arrived stays."""
        running = self.running
        if running is None or running.worker is None:
            return
        running.turn.cancel(time.monotonic())
        if running.asked and not running.turn.stream_id:
            # Its id will come with the first sign of life; to hang up before would leave the model at work.
            running.unwanted, self._unwanted = True, running
            self._screen.set_timer(UNWANTED_SECONDS, running.worker.cancel)
        else:
            running.worker.cancel()
            self._screen.run_worker(self._cancel(running.turn.stream_id), group="cancel")
        await self._end(running, None)

    async def leave(self) -> None:
        """The terminal ends: what the local function has of an answer is stored now, since it ends too."""
        if self.running and self._connection.lasting_url is None:
            await self._cancel(self.running.turn.stream_id)

    def _start(self, running: Running, left_behind: Unfinished | None) -> None:
        self.running = running
        running.worker = self._screen.run_worker(self._answer(running, left_behind), group="answer")

    async def _answer(self, running: Running, left_behind: Unfinished | None) -> None:
        turn, failure = running.turn, None
        try:
            line = await self._connection.line()
            source = await self._source(running, line, left_behind)
            async with aclosing(source) as events:
                async for event in events:
                    if running.unwanted:
                        await self._cancel(event.stream_id if isinstance(event, Connected) else "")
                        return
                    running.take(event, time.monotonic())
                    if isinstance(event, Connected):
                        self._remember(turn, left_behind.agent if left_behind else line.agent.id)
            turn.finish(time.monotonic())
        except ClientError as error:
            if running.unwanted:
                return
            turn.fail(error.report, time.monotonic())
            failure = error
        await self._end(running, failure)

    async def _source(self, running: Running, line: Line, left_behind: Unfinished | None) -> AsyncGenerator[Any, None]:
        turn = running.turn
        turn.sent(time.monotonic())
        if left_behind:
            return rest_of(self._connection, left_behind.stream_id)
        capabilities = await self._connection.capabilities()
        running.asked = capabilities.resume
        store = capabilities.conversations
        asked = Asked.new(
            line.agent.id, self.session.messages(), store=store, conversation_id=self.session.id if store else None
        )
        # The same request under the same key takes the place of the one that failed; to another agent it is another.
        if turn.key and turn.agent == line.agent.title:
            asked = replace(asked, key=turn.key)
        turn.key, turn.agent, turn.stream_id = asked.key, line.agent.title, ""
        running.widget.name_author(_author(turn))
        self.stored |= store
        return answer(self._connection, asked)

    async def _stored(self, conversation_id: str) -> Session | None:
        with suppress(ClientError):
            conversations = Conversations((await self._connection.line()).api)
            return session_of(*await conversations.read(conversation_id))
        return None

    async def _fork(self, turn: Turn) -> Summary | None:
        """A new conversation with all that is stored before the turn; None when there is nothing."""
        conversations = Conversations((await self._connection.line()).api)
        try:
            _, messages = await conversations.read(self.session.id)
        except ClientError as error:
            if error.report.code == "not_found":
                return None
            raise
        last = last_before(turn, self.session, messages)
        return await conversations.fork(self.session.id, last.id) if last else None

    async def _cancel(self, stream_id: str) -> None:
        with suppress(ClientError):  # where there is no server there is no stream
            if stream_id:
                await (await self._connection.line()).api.cancel(stream_id)

    def _remember(self, turn: Turn, agent: str) -> None:
        url = self._connection.lasting_url
        if self._records and url and turn.stream_id:
            conversation_id = self.session.id if self.stored else ""
            self._records.keep(Unfinished(url, agent, turn.stream_id, turn.question, conversation_id, turn.key))

    async def _end(self, running: Running, error: ClientError | None) -> None:
        turn = running.turn
        running.widget.end(note_of(turn))
        # An error with nothing before it needs no empty answer above its panel.
        running.widget.display = turn.state is not TurnState.FAILED or bool(turn.text)
        self.running = None
        await self._settle(turn, error)

    async def _settle(self, turn: Turn, error: ClientError | None) -> None:
        if self._records:
            self._records.drop()
        await self._on_end(turn, error)


def _author(turn: Turn) -> Inert:
    return inert_line(turn.agent, 60) or Inert("…")
