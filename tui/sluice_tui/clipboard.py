"""Text to the clipboard: through the terminal (OSC 52), and through the system's own program where this is its desktop.

Only what the user copies goes there: an escape sequence in a model's text never reaches the terminal.
"""

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from contextlib import suppress

from textual.app import App

_SECONDS = 2.0


async def copy(app: App[object], text: str) -> str:
    """Copy, and tell how, for a notice: a terminal does not tell whether it took what it was sent."""
    App.copy_to_clipboard(app, text)
    program = await copy_natively(text)
    return f"with {program}" if program else "through the terminal (OSC 52)"


async def copy_natively(text: str) -> str:
    """Give it to the program that holds this desktop's clipboard; its name, "" where none took it."""
    command = native_command(os.environ, sys.platform)
    return command[0] if command and await _feed(command, text) else ""


def native_command(environment: Mapping[str, str], platform: str) -> list[str] | None:
    """The program that holds this desktop's clipboard; none over SSH, where that is another machine's."""
    if "SSH_CONNECTION" in environment or "SSH_TTY" in environment:
        return None
    candidates = []
    if platform == "darwin":
        candidates.append(["pbcopy"])
    if "WAYLAND_DISPLAY" in environment:
        candidates.append(["wl-copy"])
    if "DISPLAY" in environment:
        candidates += [["xclip", "-selection", "clipboard"], ["xsel", "--clipboard", "--input"]]
    if "WSL_DISTRO_NAME" in environment:
        candidates.append(["clip.exe"])
    return next((command for command in candidates if shutil.which(command[0], path=environment.get("PATH"))), None)


async def _feed(command: list[str], text: str) -> bool:
    """Whether the program took the text in time. Its own child keeps the clipboard, so that its output is not waited for."""
    # Windows reads UTF-16 from a pipe, everybody else what the locale says.
    data = text.encode("utf-16" if command[0] == "clip.exe" else "utf-8", "replace")
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL)
    except OSError:
        return False
    try:
        async with asyncio.timeout(_SECONDS):
            await process.communicate(data)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    except (BrokenPipeError, ConnectionResetError):
        await process.wait()
    return process.returncode == 0
