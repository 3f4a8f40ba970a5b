"""One question and its answer, told to a printer as it comes."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

from sluice_tui.api import Asked
from sluice_tui.connection import Connection, Line
from sluice_tui.errors import ClientError
from sluice_tui.plain.exit_codes import ExitCode, exit_code
from sluice_tui.reconnecting import Cleared, Connected, Progress, answer
from sluice_tui.session import Turn
from sluice_wire.errors import ErrorReport
from sluice_wire.events import Delta, Event, Finish, Usage


class Printer(Protocol):
    """How an answer is written."""

    def event(self, event: Event | Progress) -> None:
        """Something arrived, or happened to the connection."""

    def done(self, turn: Turn) -> None:
        """The answer is whole."""

    def failed(self, report: ErrorReport) -> None:
        """It never will be."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask. `before` are the messages that come before it; `conversation_id` is where the server keeps the turn.

    `key` is what a failed one was asked under before, "" for one that is new.
    """

    text: str
    before: Sequence[Mapping[str, str]] = field(default=())
    conversation_id: str | None = None
    key: str = ""

    def asked(self, model: str) -> Asked:
        """As it is sent."""
        messages = [*self.before, {"role": "user", "content": self.text}]
        new = Asked.new(model, messages, store=self.conversation_id is not None, conversation_id=self.conversation_id)
        return replace(new, key=self.key) if self.key else new


async def ask(question: Question, connection: Connection, printer: Printer) -> ExitCode:
    """Ask and print the answer. BrokenPipeError passes through."""
    turn = Turn(question.text, time.monotonic())
    try:
        await answered(question, connection, printer, turn)
    except ClientError as error:
        printer.failed(error.report)
        return exit_code(error.report, began=bool(turn.text))
    printer.done(turn)
    return ExitCode.OK


async def answered(question: Question, connection: Connection, printer: Printer, turn: Turn) -> None:
    """Ask, and print what comes; the turn takes it too. Raises ClientError, BrokenPipeError."""
    line = await connection.line()
    asked = question.asked(line.agent.id)
    turn.key = asked.key
    turn.sent(time.monotonic())
    await _print(turn, line, answer(connection, asked), printer)
    turn.finish(time.monotonic())


async def _print(turn: Turn, line: Line, source: AsyncGenerator[Event | Progress, None], printer: Printer) -> None:
    """Print what comes. Whoever interrupts it does not want the rest: the server is told."""
    try:
        async with aclosing(source) as events:
            async for event in events:
                match event:
                    case Connected():
                        turn.stream_id = event.stream_id
                    case Cleared():
                        turn.clear()
                    case Delta() | Finish() | Usage():
                        turn.take(event, time.monotonic())
                printer.event(event)
    except (asyncio.CancelledError, BrokenPipeError):
        if turn.stream_id:
            await line.api.cancel(turn.stream_id)
        raise
