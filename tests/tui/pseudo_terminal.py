"""A command in a terminal of its own that keeps every byte: no screen, so an escape sequence stays what it is."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.waiting import until

_TAKE_TERMINAL = "import os, sys; os.login_tty(0); os.execvp(sys.argv[1], sys.argv[1:])"
"""So that Ctrl+C is a signal."""


class PseudoTerminal:
    """What is typed goes to the command, `shown` is all that it wrote, with line feeds for the terminal's line ends."""

    def __init__(self, process: "subprocess.Popen[bytes]", ours: int) -> None:
        self._process = process
        self._ours = ours
        self._bytes = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def shown(self) -> str:
        return self._bytes.decode("utf-8", "replace").replace("\r\n", "\n")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, text: str) -> None:
        until(lambda: text in self.shown, f"{text!r} in {self.shown!r}", seconds=20)

    def left_with(self) -> int:
        """The exit code, once it has ended and everything is read."""
        code = self._process.wait(20)
        self._reader.join(20)
        return code

    def close(self) -> None:
        self._process.kill()
        self.left_with()
        os.close(self._ours)

    def _read(self) -> None:
        try:
            while piece := os.read(self._ours, 4096):
                self._bytes += piece
        except OSError:
            pass  # Linux's way to say that nobody writes any more


@contextmanager
def pseudo_terminal(*command: str, environment: Mapping[str, str]) -> Iterator[PseudoTerminal]:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL, *command], stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environment)
    )
    os.close(theirs)
    terminal = PseudoTerminal(process, ours)
    try:
        yield terminal
    finally:
        terminal.close()
