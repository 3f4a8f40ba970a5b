"""`sluice ask`: one question, its answer on standard output."""

import argparse
import io
import sys
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sluice_tui.commands.options import ENVIRONMENT, configuration, connection, seconds, server_options
from sluice_tui.plain.exit_codes import LISTED

if TYPE_CHECKING:
    from sluice_tui.connection import Connection
    from sluice_tui.plain.asking import Printer, Question

_DESCRIPTION = """\
Ask one question and print the answer as it comes. The prompt is the words, then the files, then standard input if it is no
terminal.

  sluice ask "What is a sluice?"
  git diff | sluice ask "Review this" -f CONTRIBUTING.md
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Its options."""
    parser = commands.add_parser(
        "ask",
        parents=[server_options()],
        help="ask one question and print the answer",
        description=_DESCRIPTION,
        epilog=f"{ENVIRONMENT}\n{LISTED}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, command=parser)
    parser.add_argument("words", nargs="*", help="the prompt")
    parser.add_argument("-f", "--file", dest="files", action="append", metavar="FILE", help="a text to add; repeatable")
    parser.add_argument("--system", help="instructions before the question")
    parser.add_argument("--conversation", metavar="ID", help="go on with a conversation that the server keeps, or begin it")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="give up after so long")
    parser.add_argument("--no-stream", action="store_true", help="ask for the answer in one piece")


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Ask. Raises ConfigError."""
    from sluice_tui.plain.asking import Question
    from sluice_tui.prompt_parts import PromptError, prompt

    given = vars(options)
    settings = configuration(options, environment)
    try:
        text = prompt(given.get("words", ()), given.get("files") or (), _piped())
    except PromptError as problem:
        options.command.error(str(problem))
    if not text:
        options.command.error("there is nothing to ask: give a prompt as arguments, with -f or on standard input")
    server = connection(settings, environment)
    server.streaming = not given.get("no_stream")
    system = settings.get("system")
    before = [{"role": "system", "content": system}] if system else []
    question = Question(text, before, given.get("conversation"))
    printer = _printer(as_json=given.get("json", False))
    answered = _answered(
        question, server, printer, keep_agent=settings.get("agent") is not None, timeout_seconds=settings.get("timeout")
    )
    return _run(answered)


def _piped() -> Any:
    return None if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer


def _printer(*, as_json: bool) -> "Printer":
    from sluice_tui.plain.printers import JsonPrinter, TextPrinter

    # Where the locale cannot write a character, a question mark is better than an end in the middle.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return JsonPrinter(sys.stdout) if as_json else TextPrinter(sys.stdout, sys.stderr)


def _run(answered: Coroutine[Any, Any, int]) -> int:
    import asyncio

    try:
        return asyncio.run(answered)
    except KeyboardInterrupt:
        if sys.stdout.isatty():
            print()
        raise


async def _answered(
    question: "Question", server: "Connection", printer: "Printer", *, keep_agent: bool, timeout_seconds: float | None
) -> int:
    import asyncio

    from sluice_tui.errors import ClientError, client_error
    from sluice_tui.plain.asking import ask
    from sluice_tui.plain.exit_codes import exit_code

    async with server:
        try:
            async with asyncio.timeout(timeout_seconds):
                return await ask(await _with_conversation(question, server, keep_agent=keep_agent), server, printer)
        except TimeoutError:
            failure = client_error("ask_timeout", seconds=timeout_seconds)
        except ClientError as error:
            failure = error
        printer.failed(failure.report)
        return exit_code(failure.report)


async def _with_conversation(question: "Question", server: "Connection", *, keep_agent: bool) -> "Question":
    """The question after what is stored before it. Raises ClientError."""
    from sluice_tui.plain.stored import reopened

    if not question.conversation_id:
        return question
    before = (await reopened(server, question.conversation_id, keep_agent=keep_agent)).messages()
    return replace(question, before=[*question.before, *before])
