"""`sluice --plain`: a whole chat, line after line, for a screen reader and for the terminal's own scrollback."""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

from sluice_tui.connection import Connection
from sluice_tui.errors import ClientError
from sluice_tui.plain.asking import Question, answered
from sluice_tui.plain.exit_codes import ExitCode, exit_code
from sluice_tui.plain.printers import ChatPrinter
from sluice_tui.plain.stored import id_without
from sluice_tui.safety import inert_line
from sluice_tui.session import Session, Turn, TurnState

PROMPT = "You: "
MORE = "... "
CONTINUES = "\\"
"""At the end of a line: the next one belongs to it."""


def new_session() -> Session:
    """A conversation that nobody has yet."""
    return Session(uuid.uuid4().hex)


@dataclass(slots=True)
class Chat:
    """One conversation at a time, kept by a server that keeps them.

    `read_line` shows a prompt and returns the line that the user gave; it may raise EOFError and KeyboardInterrupt.
    `obey` does what a command says: its name and the rest of its line. It may raise ClientError and KeyboardInterrupt.
    """

    connection: Connection
    read_line: Callable[[str], str]
    obey: Callable[["Chat", asyncio.Runner, str, str], None]
    out: TextIO
    diagnostics: TextIO
    system: str | None = None
    session: Session = field(default_factory=new_session)
    over: bool = False

    def run(self) -> ExitCode:
        """Talk until the user leaves. BrokenPipeError passes through."""
        # One loop for all turns, since the connection lives in it; it stands still while the user types.
        with asyncio.Runner() as runner:
            try:
                code = self._open(runner)
                while code is ExitCode.OK and not self.over:
                    self._step(runner)
            finally:
                runner.run(self.connection.aclose())
        return code

    def say(self, text: str) -> None:
        """Lines of ours, beside the answers."""
        self.diagnostics.write(f"{text}\n")
        self.diagnostics.flush()

    def ask(self, runner: asyncio.Runner, turn: Turn) -> None:
        """Print the answer to a turn of this session, or why there is none."""
        printer = ChatPrinter(self.out, self.diagnostics)
        try:
            runner.run(self._answer(turn, printer))
        except KeyboardInterrupt:
            turn.cancel(time.monotonic())
            printer.stopped()
        except ClientError as error:
            turn.fail(error.report, time.monotonic())
            printer.failed(error.report)
            self.say("/retry asks it again.")
        else:
            printer.done(turn)

    def ask_again(self, runner: asyncio.Runner) -> None:
        """The last question once more, in place of its answer."""
        last = self.session.turns[-1]
        if last.state is TurnState.FINISHED:
            last.key = ""
            runner.run(self._leave_out(last))
        self.ask(runner, self.session.again(time.monotonic()))

    def _open(self, runner: asyncio.Runner) -> ExitCode:
        try:
            line = runner.run(self.connection.line())
        except KeyboardInterrupt:
            return ExitCode.INTERRUPTED
        except ClientError as error:
            ChatPrinter(self.out, self.diagnostics).failed(error.report)
            return exit_code(error.report)
        self.say(f"Connected to {inert_line(line.agent.title, 60)} at {self.connection.place}. /help lists the commands.")
        return ExitCode.OK

    def _step(self, runner: asyncio.Runner) -> None:
        try:
            text = self._read()
        except EOFError:
            self.over = True
            self.say("")
        except KeyboardInterrupt:
            self.say("\nNothing was sent. /quit leaves, and so does Ctrl+D.")
        else:
            self._take(runner, text)

    def _take(self, runner: asyncio.Runner, text: str) -> None:
        if text.startswith("/") and not text.startswith("//"):
            name, _, argument = text[1:].partition(" ")
            try:
                self.obey(self, runner, name, argument.strip())
            except ClientError as error:
                ChatPrinter(self.out, self.diagnostics).failed(error.report)
            except KeyboardInterrupt:
                self.say("\nStopped.")
        elif text.strip():
            self.ask(runner, self.session.begin(text.removeprefix("/"), time.monotonic()))

    def _read(self) -> str:
        lines = [self.read_line(PROMPT)]
        while lines[-1].endswith(CONTINUES):
            lines[-1] = lines[-1].removesuffix(CONTINUES)
            lines.append(self.read_line(MORE))
        return "\n".join(lines)

    async def _answer(self, turn: Turn, printer: ChatPrinter) -> None:
        line = await self.connection.line()
        stored = (await self.connection.capabilities()).conversations
        self.out.write(f"{inert_line(line.agent.title, 60)}: ")
        self.out.flush()
        instructions = [{"role": "system", "content": self.system}] if self.system else []
        *before, _ = self.session.messages()
        kept_in = self.session.id if stored else None
        # The same request under the same key takes the place of the one that failed; to another agent it is another.
        key = turn.key if turn.agent == line.agent.title else ""
        turn.agent = line.agent.title
        await answered(Question(turn.question, [*instructions, *before], kept_in, key), self.connection, printer, turn)

    async def _leave_out(self, turn: Turn) -> None:
        """Go on in a copy of what is stored, without this turn: the one with it stays as it is."""
        if (await self.connection.capabilities()).conversations:
            self.session.id = await id_without(self.connection, self.session, turn) or uuid.uuid4().hex
