"""The plain face: one question, the answer on standard output as it comes, everything else on standard error."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from enum import IntEnum
from typing import Protocol, TextIO

from sluice_tui.api import Asked
from sluice_tui.connection import Connection, Line
from sluice_tui.errors import ClientError, as_text
from sluice_tui.reconnecting import AnsweredAtOnce, Cleared, Connected, Progress, Reconnecting, answer
from sluice_tui.safety import inert
from sluice_tui.session import Session, Turn
from sluice_wire.errors import ErrorReport
from sluice_wire.events import Delta, Event, Finish, Usage


class ExitCode(IntEnum):
    """What the process says when it ends; `sluice --help` lists them."""

    OK = 0
    ANSWER_FAILED = 1
    USAGE = 2
    NO_CONNECTION = 3
    CREDENTIALS_REFUSED = 4
    INTERRUPTED = 130
    READER_GONE = 141


_NO_CONNECTION = {
    "environment_unusable", "connection_refused", "unknown_host", "connect_timeout", "tls_failed", "not_an_api",
    "redirected", "request_impossible", "function_not_installed", "function_failed", "function_timeout",
}  # fmt: skip
_CREDENTIALS = {"credentials_refused", "missing_credentials", "invalid_credentials", "permission_denied"}


class Printer(Protocol):
    """How an answer is written."""

    def event(self, event: Event | Progress) -> None:
        """Something arrived, or happened to the connection."""

    def done(self, turn: Turn) -> None:
        """The answer is whole."""

    def failed(self, report: ErrorReport) -> None:
        """It never will be."""


async def ask(question: str, connection: Connection, printer: Printer) -> ExitCode:
    """Ask one question and print its answer. BrokenPipeError passes through."""
    session = Session()
    turn = session.begin(question, time.monotonic())
    try:
        line = await connection.line()
        turn.sent(time.monotonic())
        await _print(turn, line, answer(connection, Asked.new(line.agent.id, session.messages())), printer)
    except ClientError as error:
        turn.fail(error.report, time.monotonic())
        printer.failed(error.report)
        return ExitCode.ANSWER_FAILED if turn.text else exit_code(error.report)
    turn.finish(time.monotonic())
    printer.done(turn)
    return ExitCode.OK


async def _print(turn: Turn, line: Line, source: AsyncGenerator[Event | Progress, None], printer: Printer) -> None:
    """Print what comes. Whoever interrupts it does not want the rest: the server is told."""
    stream_id = ""
    try:
        async with aclosing(source) as events:
            async for event in events:
                match event:
                    case Connected():
                        stream_id = event.stream_id
                    case Cleared():
                        turn.clear()
                    case Delta() | Finish() | Usage():
                        turn.take(event, time.monotonic())
                printer.event(event)
    except (asyncio.CancelledError, BrokenPipeError):
        if stream_id:
            await line.api.cancel(stream_id)
        raise


def exit_code(report: ErrorReport) -> ExitCode:
    """The exit code for an error."""
    if report.code in _CREDENTIALS:
        return ExitCode.CREDENTIALS_REFUSED
    return ExitCode.NO_CONNECTION if report.code in _NO_CONNECTION else ExitCode.ANSWER_FAILED


class TextPrinter:
    """For people and for pipes: the text, made inert."""

    def __init__(self, out: TextIO, diagnostics: TextIO) -> None:
        self._out = out
        self._diagnostics = diagnostics
        self._at_line_start = True

    def event(self, event: Event | Progress) -> None:
        """Write what was said, at once; and what is to be waited for, beside it."""
        match event:
            case Delta() if event.text:
                self._out.write(inert(event.text))
                self._out.flush()
                self._at_line_start = event.text.endswith("\n")
            case Reconnecting():
                self._tell(f"the connection is lost; {event.told(event.wait_seconds)}")
            case Cleared():
                self._end_line()
                self._tell("the answer could not be continued: it starts again from its beginning")
            case AnsweredAtOnce():
                self._tell("this server does not stream; waiting for the whole answer")

    def done(self, turn: Turn) -> None:
        """End the line; say why the model stopped where it did not simply finish."""
        self._end_line()
        if turn.finish_reason != "stop":
            self._tell(f"the model stopped early ({inert(str(turn.finish_reason))})")

    def failed(self, report: ErrorReport) -> None:
        """End the line, and tell the error on the other channel."""
        self._end_line()
        self._tell(as_text(report).replace("\n", "\n        "))

    def _tell(self, text: str) -> None:
        self._diagnostics.write(f"sluice: {text}\n")
        self._diagnostics.flush()

    def _end_line(self) -> None:
        if not self._at_line_start:
            self._out.write("\n")
            self._out.flush()
            self._at_line_start = True


class JsonPrinter:
    """For programs: one JSON object a line, in ASCII; the text is exactly the model's."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def event(self, event: Event | Progress) -> None:
        """One line for each event; `restart` voids every `delta` before it."""
        match event:
            case Delta():
                self._line("delta", text=event.text)
            case Finish():
                self._line("finish", reason=event.reasons[0])
            case Usage():
                self._line("usage", usage=event.usage)
            case Reconnecting():
                self._line("reconnecting", **asdict(event))
            case Cleared():
                self._line("restart")

    def done(self, turn: Turn) -> None:
        """The last line: how it went."""
        self._line("done", **asdict(turn.measures(time.monotonic())))

    def failed(self, report: ErrorReport) -> None:
        """The last line: why there is no whole answer."""
        self._line("error", error=asdict(report))

    def _line(self, type: str, **fields: object) -> None:
        self._out.write(json.dumps({"type": type, **fields}) + "\n")
        self._out.flush()
