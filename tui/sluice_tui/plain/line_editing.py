"""`input` with readline's editing, history and completion of commands, where standard input is a terminal."""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress


def line_reader(completions: Sequence[str]) -> Callable[[str], str]:
    """Reads one line after a prompt, which only a terminal is shown. The keys are the user's own, as inputrc sets them."""
    if not sys.stdin.isatty():
        # Nobody sees a prompt, and nothing ends its line.
        return lambda _: input()
    # Without the module, as on some small systems, `input` still reads lines.
    with suppress(ImportError):
        import readline

        readline.set_completer_delims(" \t\n")
        readline.set_completer(lambda text, number: _matching(completions, text, number))
        readline.parse_and_bind("tab: complete")
    return input


def _matching(completions: Sequence[str], text: str, number: int) -> str | None:
    found = [name for name in completions if text.startswith("/") and name.startswith(text)]
    return found[number] if number < len(found) else None
