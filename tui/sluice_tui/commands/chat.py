"""`sluice` without a command: the chat on the whole screen, the plain chat, or what a pipe asks."""

import argparse
import sys
from collections.abc import Mapping

from sluice_tui.commands import ask
from sluice_tui.commands.options import configuration, connection


def add_to(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.set_defaults(run=run, command=parser)
    parser.add_argument("--plain", action="store_true", help="chat line by line: for screen readers and native scrollback")


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Chat with the face that fits. Raises ConfigError."""
    if options.plain:
        return _plain(options, environment)
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        return ask.run(options, environment)
    settings = configuration(options, environment)
    server = connection(settings, environment)
    from sluice_tui.app import run as run_app

    return run_app(server, settings.get("theme"), settings.get("keys"))


def _plain(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    from sluice_tui.plain.chat import Chat
    from sluice_tui.plain.commands import completions, obey
    from sluice_tui.plain.line_editing import line_reader

    settings = configuration(options, environment)
    server = connection(settings, environment)
    return Chat(server, line_reader(completions()), obey, sys.stdout, sys.stderr, settings.get("system")).run()
