"""The chat: a transcript, a prompt, a status line, and the turn that runs between them."""

import time
from contextlib import aclosing, suppress
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Markdown
from textual.worker import Worker

from sluice_tui.api import Asked
from sluice_tui.connection import Connection, Line
from sluice_tui.errors import ClientError
from sluice_tui.reconnecting import Connected, answer, rest_of
from sluice_tui.safety import Inert, inert, inert_line
from sluice_tui.screens.running import Running
from sluice_tui.session import Session, Turn, TurnState
from sluice_tui.unfinished import Records, Unfinished
from sluice_tui.widgets.answer import Answer
from sluice_tui.widgets.error_panel import ErrorPanel
from sluice_tui.widgets.offer import Offer
from sluice_tui.widgets.prompt import Prompt
from sluice_tui.widgets.question import Question
from sluice_tui.widgets.status_bar import StatusBar
from sluice_tui.widgets.transcript import Transcript
from sluice_wire.errors import ErrorReport

_TICK_SECONDS = 0.2


class ChatScreen(Screen[None]):
    """One conversation over one connection. `records` remember the answer that is being read, if it can be read on."""

    AUTO_FOCUS = "Prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Stop the answer"),
        Binding("ctrl+end", "follow", "Back to the end", priority=True),
    ]

    def __init__(self, connection: Connection, records: Records | None = None) -> None:
        super().__init__()
        self._connection = connection
        self._records = records
        self._left_behind: Unfinished | None = None
        self._session = Session()
        self._answering: Worker[None] | None = None
        self._current: Running | None = None
        self._place = Inert("")
        self._author = Inert("…")
        self._transcript = Transcript()
        self._prompt = Prompt()
        self._status = StatusBar()

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self._transcript
        yield self._prompt
        yield self._status

    async def on_mount(self) -> None:
        """Open the connection while the user looks and types."""
        self.set_interval(_TICK_SECONDS, self._tick)
        self._connect()
        url = self._connection.lasting_url
        self._left_behind = self._records.take_over(url) if self._records and url else None
        if self._left_behind:
            await self._transcript.mount(Offer(inert_line(self._left_behind.question, 200)))

    # -- the connection

    def _connect(self) -> None:
        self.run_worker(self._open_line(), group="connection", exclusive=True)

    async def _open_line(self) -> None:
        self._show_place("○ connecting")
        try:
            self._show_line(await self._connection.line())
        except ClientError as error:
            self._show_place("✗ not connected")
            # A turn that waits for the line tells it itself.
            if not self._session.active:
                await self._show_error(error.report)

    def _show_line(self, line: Line) -> None:
        self._author = inert_line(line.agent.title, 60)
        self._show_place("●", self._author)

    def _show_place(self, state: str, agent: str = "") -> None:
        place = " · ".join(part for part in (self._connection.place, agent) if part)
        self._place = self._status.place = inert_line(f"{state} {place}", 120)

    # -- a turn

    @on(Prompt.Sent)
    async def _send(self, message: Prompt.Sent) -> None:
        for panel in self.query(ErrorPanel):
            panel.settle()
        await self._take_offer()
        await self._begin(message.text)

    @on(Offer.Answered)
    async def _take_up(self, message: Offer.Answered) -> None:
        self._prompt.focus()
        left_behind = await self._take_offer()
        if left_behind and message.wanted:
            self._prompt.hold()
            await self._begin(left_behind.question, left_behind)
        elif left_behind:
            self._forget_stream()

    async def _take_offer(self) -> Unfinished | None:
        """What was offered, if it still is: an offer holds once, and until something else is asked."""
        left_behind, self._left_behind = self._left_behind, None
        await self.query(Offer).remove()
        return left_behind

    async def _begin(self, question: str, left_behind: Unfinished | None = None) -> None:
        turn = self._session.begin(question, time.monotonic())
        await self._transcript.mount(Question(turn.question))
        await self._start(turn, left_behind)

    async def _start(self, turn: Turn, left_behind: Unfinished | None = None) -> None:
        widget = Answer(inert_line(left_behind.agent, 60) if left_behind else self._author)
        await self._transcript.mount(widget)
        self._transcript.follow()
        self._current = Running(turn, widget)
        self._answering = self.run_worker(self._answer(self._current, left_behind), group="answer")

    async def _answer(self, running: Running, left_behind: Unfinished | None) -> None:
        turn = running.turn
        try:
            line = await self._connection.line()
            self._show_line(line)
            turn.sent(time.monotonic())
            if left_behind:
                source = rest_of(self._connection, left_behind.stream_id)
            else:
                running.widget.name_author(self._author)
                source = answer(self._connection, Asked.new(line.agent.id, self._session.messages()))
            async with aclosing(source) as events:
                async for event in events:
                    running.take(event, time.monotonic())
                    if isinstance(event, Connected) and event.stream_id:
                        self._remember_stream(left_behind.agent if left_behind else line.agent.id)
            turn.finish(time.monotonic())
        except ClientError as error:
            turn.fail(error.report, time.monotonic())
        self._end(turn, running.widget)
        if turn.report:
            await self._show_error(turn.report)

    def _remember_stream(self, agent: str) -> None:
        url, running = self._connection.lasting_url, self._current
        if self._records and url and running:
            self._records.keep(Unfinished(url, agent, running.stream_id, running.turn.question))

    def _forget_stream(self) -> None:
        if self._records:
            self._records.drop()

    @on(Prompt.Refused)
    def _explain(self) -> None:
        self.notify("An answer is on its way; Esc stops it. Your text stays here.")

    def _end(self, turn: Turn, widget: Answer) -> None:
        self._current = None
        self._forget_stream()
        self._prompt.release()
        widget.end(_note(turn))
        # An error with nothing before it needs no empty answer above its panel.
        widget.display = turn.state is not TurnState.FAILED or bool(turn.text)
        self._tick()

    def action_cancel(self) -> None:
        """Stop the answer, here and on the server; what arrived stays."""
        if self._answering and (running := self._current):
            self._answering.cancel()
            running.turn.cancel(time.monotonic())
            self._end(running.turn, running.widget)
            if running.stream_id:
                self.run_worker(self._cancel(running.stream_id), group="cancel")

    async def _cancel(self, stream_id: str) -> None:
        with suppress(ClientError):  # where there is no server there is no stream
            await (await self._connection.line()).api.cancel(stream_id)

    @on(ErrorPanel.Retry)
    async def _retry(self, message: ErrorPanel.Retry) -> None:
        if self._session.active:
            return
        self._prompt.focus()
        await message.panel.remove()
        if not self._session.turns:
            self._connect()
            return
        self._prompt.hold()
        await self.query(Answer).last().remove()
        await self._start(self._session.again(time.monotonic()))

    # -- what is shown

    async def _show_error(self, report: ErrorReport) -> None:
        await self._transcript.mount(ErrorPanel(report))

    def _tick(self) -> None:
        wait = self._current.show_wait(time.monotonic()) if self._current else ""
        self._status.place = inert(f"◌ {wait}") if wait else self._place
        if self._session.turns:
            self._status.measures = self._session.turns[-1].measures(time.monotonic())

    def action_follow(self) -> None:
        """Go to the end of the transcript."""
        self._transcript.follow()

    def action_scroll_pages(self, pages: int) -> None:
        """Scroll the transcript, from wherever the focus is."""
        self._transcript.scroll_relative(y=pages * (self._transcript.size.height - 1), animate=False)

    @on(Markdown.LinkClicked)
    def _tell_link(self, message: Markdown.LinkClicked) -> None:
        self.app.copy_to_clipboard(inert(message.href))
        self.notify(inert_line(message.href), title="Address copied", markup=False)


def _note(turn: Turn) -> Inert | None:
    match turn.state:
        case TurnState.CANCELLED:
            return Inert("You stopped this answer.")
        case TurnState.FAILED:
            return Inert("This is not the whole answer.") if turn.text else None
    if not turn.text:
        return Inert("The model sent no text.")
    if turn.finish_reason != "stop":
        return Inert(f"The model stopped early: {inert_line(str(turn.finish_reason), 60)}")
    return None
