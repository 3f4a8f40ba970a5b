"""The command line: whom to talk to, and with which face."""

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sluice_wire.version import __version__

# Textual takes a quarter of a second to import, and `sluice ask` does without it; so does `--help` without httpx.
if TYPE_CHECKING:
    from sluice_tui.connection import Connection

MAX_PROMPT_BYTES = 8 << 20

_EXIT_CODES = """\
environment:
  SLUICE_URL, SLUICE_API_KEY, SLUICE_AGENT   used where the option is not given

exit codes of ask:
  0    the answer is whole
  1    the answer failed, or broke off
  2    the command line is wrong, or there is no prompt
  3    no connection, or the local function did not start
  4    the API key was refused
  130  interrupted with Ctrl+C
  141  whoever read standard output went away
"""

_KEY_NEW = """\
Mint an API key. The key itself goes to standard error, once: hand it to its user, and keep it nowhere else. The JSON object
that the service is to know it by goes to standard output; it holds only the key's SHA-256. The service takes an array of
them, in API_KEYS or in the file that API_KEYS_FILE names:

  sluice key new alice >> keys        the key on the screen, its object in `keys`
  jq --slurp . keys > keys.json       all of them as the array
  sluice key new me --env >> .env     both for this machine: SLUICE_API_KEY and API_KEYS
"""

_APOSTROPHE = "\\u0027"
"""As JSON spells it."""


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Run the terminal; the process's exit code is returned."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "key":
        return _mint_key(options)
    connection = _connection(parser, options, environment)
    if options.command is None and sys.stdin and sys.stdin.isatty() and sys.stdout.isatty():
        from sluice_tui.app import run

        return run(connection)
    try:
        prompt = _prompt(options.words)
    except KeyboardInterrupt:
        from sluice_tui.plain import ExitCode

        return ExitCode.INTERRUPTED
    if not prompt.strip():
        parser.error("there is nothing to ask: give a prompt as arguments or on standard input")
    return _ask(prompt, connection, as_json=options.json)


def _common() -> argparse.ArgumentParser:
    """The options that stand before or after a command. Made anew for each parser: set_defaults would change shared ones."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--url", help="an OpenAI-compatible server; without one the local function is started")
    common.add_argument("--api-key", help="the key to it; better given as SLUICE_API_KEY, where no process list shows it")
    common.add_argument("--agent", help="the agent, or model, to talk to; the server's first by default")
    common.add_argument("--json", action="store_true", help="ask: print one JSON event a line")
    return common


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluice",
        description="Chat with an AI model in the terminal. Without a command: the chat on the whole screen.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_common()],
    )
    parser.add_argument("--version", action="version", version=f"sluice {__version__}")
    parser.set_defaults(command=None, words=[], url=None, api_key=None, agent=None, json=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    ask = commands.add_parser(
        "ask",
        parents=[_common()],
        help="ask one question and print the answer",
        description="Ask one question and print the answer. Standard input, if it is no terminal, follows the words.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ask.set_defaults(command="ask")
    ask.add_argument("words", nargs="*", help="the prompt")
    _add_key_command(commands)
    return parser


def _add_key_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    key = commands.add_parser("key", help="make API keys for a Sluice service")
    actions = key.add_subparsers(title="commands", dest="action", metavar="new", required=True)
    new = actions.add_parser(
        "new",
        help="mint a key for a user",
        description=_KEY_NEW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    new.set_defaults(command="key")
    new.add_argument("name", metavar="NAME", type=_user, help="the user, as the service's log and limits will know them")
    new.add_argument("--agents", type=_agents, default=(), metavar="A,B", help="the only agents it may use; all by default")
    new.add_argument(
        "--streams", type=_limit, metavar="N", help="answers at the same time; the service's default if not given"
    )
    new.add_argument("--messages-per-hour", type=_limit, metavar="N", help="messages an hour; likewise")
    new.add_argument("--env", action="store_true", help="print lines for a .env file instead, the key among them")


def _user(text: str) -> str:
    if not 1 <= len(text) <= 128 or not text.isprintable():
        raise argparse.ArgumentTypeError("a name has 1 to 128 characters that can be printed")
    return text


def _agents(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError("agents are ids with commas between them")
    return names


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 9 and int(text)):
        raise argparse.ArgumentTypeError("a limit is a whole number from 1")
    return int(text)


def _mint_key(options: argparse.Namespace) -> int:
    from sluice_tui.keys import mint

    minted = mint(options.name, options.agents, options.streams, options.messages_per_hour)
    if options.env:
        # In single quotes for the shell, which would end at one of the user's.
        print(f"SLUICE_API_KEY={minted.key}", f"API_KEYS='[{minted.entry.replace(chr(39), _APOSTROPHE)}]'", sep="\n")
        return 0
    print(f"The key for {options.name}, shown only this once:\n\n    {minted.key}\n", file=sys.stderr)
    print(minted.entry)
    return 0


def _connection(
    parser: argparse.ArgumentParser, options: argparse.Namespace, environment: Mapping[str, str]
) -> "Connection":
    from sluice_tui.addresses import base_url
    from sluice_tui.api import Endpoint
    from sluice_tui.connection import Connection
    from sluice_tui.local_function import LocalFunction

    url = options.url or environment.get("SLUICE_URL")
    key = (options.api_key or environment.get("SLUICE_API_KEY") or "").strip() or None
    agent = options.agent or environment.get("SLUICE_AGENT") or None
    if not url:
        return Connection(LocalFunction(environment), agent)
    try:
        return Connection(Endpoint(base_url(url), key), agent)
    except ValueError as error:
        parser.error(f"--url (SLUICE_URL) is not an address: {error}")


def _prompt(words: Sequence[str]) -> str:
    """The words, then what standard input holds unless it is a terminal."""
    given = " ".join(words)
    if sys.stdin is None or sys.stdin.isatty():
        return given
    piped = sys.stdin.buffer.read(MAX_PROMPT_BYTES).decode("utf-8", "replace")
    return f"{given}\n\n{piped}" if given and piped else given or piped


def _ask(prompt: str, connection: "Connection", *, as_json: bool) -> int:
    from sluice_tui.plain import ExitCode, JsonPrinter, TextPrinter, ask

    # Where the locale cannot write a character, a question mark is better than an end in the middle.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    printer = JsonPrinter(sys.stdout) if as_json else TextPrinter(sys.stdout, sys.stderr)

    async def asked() -> int:
        async with connection:
            return await ask(prompt, connection, printer)

    try:
        return asyncio.run(asked())
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Python flushes standard output once more at its exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.READER_GONE
