"""A terminal that interprets what it is sent: tmux, with the chat in it."""

import os
import re
import secrets
import shlex
import subprocess
from pathlib import Path

from tests.tui.processes import MARK, SLUICE, wait_until


class Tmux:
    """A tmux server of its own with one pane, in which the shell starts one command."""

    def __init__(self, socket: Path, command: str, width: int, height: int, environment: dict[str, str]) -> None:
        self._socket = socket
        self._base = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        size = ["-x", str(width), "-y", str(height)]
        self._environment = environment
        # What a program writes to the clipboard (OSC 52) becomes a buffer; by default tmux heeds only its own user.
        clipboard = ("set-option", "-s", "set-clipboard", "on", ";")
        self._run(*clipboard, "new-session", "-d", "-s", "main", *size, f"{command}; echo left with $?; exec cat")

    def _run(self, *arguments: str) -> str:
        result = subprocess.run(
            [*self._base, *arguments], env=self._environment, capture_output=True, text=True, timeout=20, check=True
        )
        return result.stdout

    def keys(self, *keys: str) -> None:
        self._run("send-keys", "-t", "main", *keys)

    def type(self, text: str) -> None:
        self._run("send-keys", "-t", "main", "-l", text)

    def mouse(self, button: int, column: int, row: int, *, released: bool = False) -> None:
        """Where the terminal would say that it is, counted from 0 (xterm, "Control Sequences", SGR mouse mode)."""
        self.type(f"\x1b[<{button};{column + 1};{row + 1}{'m' if released else 'M'}")

    def screen(self) -> str:
        return self._run("capture-pane", "-p", "-t", "main")

    def colours(self) -> set[tuple[str, ...]]:
        """Every red, green and blue of the pane's text and background."""
        return set(re.findall(r"[34]8;2;(\d+);(\d+);(\d+)", self._run("capture-pane", "-e", "-p", "-t", "main")))

    def value(self, name: str) -> str:
        return self._run("display-message", "-p", "-t", "main", f"#{{{name}}}").rstrip("\n")

    def buffers(self) -> str:
        return self._run("list-buffers")

    def copied(self) -> str:
        """The newest buffer."""
        return self._run("show-buffer")

    def until(self, text: str) -> str:
        wait_until(lambda: text in self.screen(), lambda: f"{text!r} on the screen:\n{self.screen()}", seconds=20)
        return self.screen()

    def close(self) -> None:
        self._run("kill-server")
        self._socket.unlink(missing_ok=True)


class Desk:
    """Starts the chat in a terminal, and sees that everything ends with the test."""

    def __init__(self, state: Path) -> None:
        self.mark = secrets.token_hex(8)
        self._state = state
        self._open: list[Tmux] = []

    def chat(self, *arguments: str, width: int = 80, height: int = 24, **environment: str) -> Tmux:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLUICE_", "TMUX"))}
        command = shlex.join(["env", f"{MARK}={self.mark}", "TERM=tmux-256color"]) + f" {shlex.join([*SLUICE, *arguments])}"
        # A socket's path may have 107 bytes only.
        socket = Path("/tmp") / f"sluice-{secrets.token_hex(6)}"
        folders = {"XDG_STATE_HOME": str(self._state), "XDG_DATA_HOME": str(self._state)}
        self._open.append(Tmux(socket, command, width, height, {**kept, **folders, **environment}))
        # What is typed before the chat has taken the terminal over is changed by it: Enter would be a new line.
        self._open[-1].until("F1: help")
        return self._open[-1]

    def left_on_disk(self) -> list[Path]:
        """But for what is meant to last."""
        return [path for path in self._state.rglob("*") if path.is_file() and path.name != "history.jsonl"]

    def close(self) -> None:
        while self._open:
            self._open.pop().close()
