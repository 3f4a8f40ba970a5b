"""The command line: which command is meant, and with which face."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from sluice_tui.commands import ask, chat, completion, config, doctor, key, serve
from sluice_tui.commands.options import ENVIRONMENT, server_options
from sluice_tui.config.problem import ConfigError
from sluice_tui.output import OutputError, drop_output, open_output
from sluice_tui.plain.exit_codes import LISTED, ExitCode
from sluice_tui.safety import inert
from sluice_wire.version import __version__

# httpx imports its own command line, and with it click, rich and pygments: a third of the start of `sluice ask`. Python's
# import system takes None for "not there", and httpx does without.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Run the terminal; the process's exit code is returned."""
    root = parser()
    options = root.parse_args(arguments, argparse.Namespace(root=root))
    open_output()
    return _ended(options, environment)


def _ended(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    try:
        code: int = options.run(options, environment)
        sys.stdout.flush()
    except ConfigError as problem:
        for line in str(problem).splitlines():
            print(f"sluice: {inert(line)}", file=sys.stderr)
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        drop_output()
        return ExitCode.READER_GONE
    except OutputError as problem:
        drop_output()
        print(f"sluice: the output cannot be written: {problem}", file=sys.stderr)
        return ExitCode.ANSWER_FAILED
    return code


def parser() -> argparse.ArgumentParser:
    """Everything that can be asked for."""
    parser = argparse.ArgumentParser(
        prog="sluice",
        description="Chat with an AI model in the terminal. Without a command: the chat on the whole screen.",
        epilog=f"{ENVIRONMENT}\n{LISTED}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[server_options()],
    )
    parser.add_argument("--version", action="version", version=f"sluice {__version__}")
    chat.add_to(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in (ask, serve, doctor, config, key, completion):
        command.add(commands)
    return parser
