"""What is asked, put together: the words, the files and what standard input holds, each told apart from the others."""

import re
from collections.abc import Sequence
from typing import BinaryIO

from sluice_tui.paths import given_path
from sluice_tui.safety import inert_line

MAX_BYTES = 8 << 20
"""Of everything together. No model reads as much, and a wrong file name should not fill the memory."""


class PromptError(Exception):
    """The prompt cannot be put together; the message says why, for people."""


def prompt(words: Sequence[str], files: Sequence[str], piped: BinaryIO | None) -> str:
    """The words, then each file under its name, then what comes over standard input. Raises PromptError."""
    left = MAX_BYTES
    parts = [" ".join(words)]
    for name in files:
        data = _file(name, left)
        left -= len(data)
        parts.append(labelled(name, _text(data, name)))
    if piped is not None:
        parts.append(_text(_bounded(piped, left, "standard input"), "standard input"))
    return "\n\n".join(part for part in parts if part.strip())


def labelled(name: str, text: str) -> str:
    """A file as Markdown: its name, and its text in a fence that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"File {inert_line(name, 300)}:\n{fence}\n{text.removesuffix(chr(10))}\n{fence}"


def _file(name: str, limit: int) -> bytes:
    try:
        with given_path(name).open("rb") as file:
            return _bounded(file, limit, name)
    except OSError as problem:
        raise PromptError(f"{inert_line(name, 300)} cannot be read: {problem.strerror}.") from None


def _bounded(file: BinaryIO, limit: int, name: str) -> bytes:
    data = file.read(limit + 1)
    if len(data) > limit:
        raise PromptError(f"A prompt holds {MAX_BYTES >> 20} MB at most; with {inert_line(name, 300)} it is longer.")
    return data


def _text(data: bytes, name: str) -> str:
    if b"\0" in data:
        raise PromptError(f"{inert_line(name, 300)} is no text: it holds NUL bytes.")
    return data.decode("utf-8-sig", "replace")
