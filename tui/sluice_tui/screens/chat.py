"""The chat: a transcript, a prompt, a status line, and the turn that runs between them."""

import time
from contextlib import aclosing
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Markdown
from textual.worker import Worker

from sluice_tui.connection import Connection, Line
from sluice_tui.errors import ClientError
from sluice_tui.safety import Inert, inert, inert_line
from sluice_tui.session import Session, Turn, TurnState
from sluice_tui.stream import answer
from sluice_tui.widgets.answer import Answer
from sluice_tui.widgets.error_panel import ErrorPanel
from sluice_tui.widgets.prompt import Prompt
from sluice_tui.widgets.question import Question
from sluice_tui.widgets.status_bar import StatusBar
from sluice_tui.widgets.transcript import Transcript
from sluice_wire.errors import ErrorReport

_TICK_SECONDS = 0.2


class ChatScreen(Screen[None]):
    """One conversation over one connection."""

    AUTO_FOCUS = "Prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Stop the answer"),
        Binding("ctrl+end", "follow", "Back to the end", priority=True),
    ]

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self._session = Session()
        self._answering: Worker[None] | None = None
        self._author = Inert("…")
        self._transcript = Transcript()
        self._prompt = Prompt()
        self._status = StatusBar()

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield self._transcript
        yield self._prompt
        yield self._status

    def on_mount(self) -> None:
        """Open the connection while the user looks and types."""
        self.set_interval(_TICK_SECONDS, self._show_measures)
        self._connect()

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
        self._status.place = inert_line(f"{state} {place}", 120)

    # -- a turn

    @on(Prompt.Sent)
    async def _send(self, message: Prompt.Sent) -> None:
        for panel in self.query(ErrorPanel):
            panel.settle()
        turn = self._session.begin(message.text, time.monotonic())
        await self._transcript.mount(Question(turn.question))
        await self._start(turn)

    async def _start(self, turn: Turn) -> None:
        widget = Answer(self._author)
        await self._transcript.mount(widget)
        self._transcript.follow()
        self._answering = self.run_worker(self._answer(turn, widget), group="answer")

    async def _answer(self, turn: Turn, widget: Answer) -> None:
        try:
            line = await self._connection.line()
            self._show_line(line)
            widget.name_author(self._author)
            turn.sent(time.monotonic())
            async with aclosing(answer(line.api, line.agent.id, self._session.messages())) as events:
                async for event in events:
                    if text := turn.take(event, time.monotonic()):
                        widget.append(inert(text))
            turn.finish(time.monotonic())
        except ClientError as error:
            turn.fail(error.report, time.monotonic())
        self._end(turn, widget)
        if turn.report:
            await self._show_error(turn.report)

    @on(Prompt.Refused)
    def _explain(self) -> None:
        self.notify("An answer is on its way; Esc stops it. Your text stays here.")

    def _end(self, turn: Turn, widget: Answer) -> None:
        self._prompt.release()
        widget.end(_note(turn))
        # An error with nothing before it needs no empty answer above its panel.
        widget.display = turn.state is not TurnState.FAILED or bool(turn.text)
        self._show_measures()

    def action_cancel(self) -> None:
        """Stop the answer; what arrived stays."""
        if self._answering and (turn := self._session.active):
            self._answering.cancel()
            turn.cancel(time.monotonic())
            self._end(turn, self.query(Answer).last())

    @on(ErrorPanel.Retry)
    async def _retry(self, message: ErrorPanel.Retry) -> None:
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

    def _show_measures(self) -> None:
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
