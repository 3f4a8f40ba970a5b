"""What was sent before, so that it can be recalled, in this run and the next.

A file of this user alone, one JSON string a line, the newest last; several terminals append to it. Bounded: long texts do
not go in, and at its start a terminal cuts the file down. What looks like a key or a token is not written down.
"""

import json
import os
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sluice_tui.secret_texts import IsSecret, looks_secret

MAX_ENTRIES = 1000
MAX_ENTRY_CHARACTERS = 20_000
MAX_FILE_BYTES = 2 << 20


class History:
    """The texts that were sent, oldest first. Without a path they last as long as the terminal."""

    def __init__(self, path: Path | None = None, is_secret: IsSecret = looks_secret) -> None:
        self._path = path
        self._is_secret = is_secret
        self._entries = deque(_entries(path) if path else (), MAX_ENTRIES)

    @property
    def entries(self) -> list[str]:
        """Oldest first."""
        return list(self._entries)

    def add(self, text: str) -> None:
        """Remember what was sent; the same again counts once."""
        if self._entries and self._entries[-1] == text:
            return
        self._entries.append(text)
        if self._path and len(text) <= MAX_ENTRY_CHARACTERS and not self._is_secret(text):
            with suppress(OSError):
                _append(self._path, text)


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # One write: lines of several terminals do not mix.
        os.write(descriptor, _line(text))
    finally:
        os.close(descriptor)


def _entries(path: Path) -> list[str]:
    """The newest entries; a file that has grown too long is cut down to them."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MAX_FILE_BYTES))
            newest = list(_texts(file))[-MAX_ENTRIES:]
            if size > MAX_FILE_BYTES:
                _cut_down(path, newest)
    except OSError:
        return []
    return newest


def _cut_down(path: Path, entries: list[str]) -> None:
    unready = path.with_suffix(".new")
    descriptor = os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(_line(text) for text in entries[-MAX_ENTRIES // 2 :])
    unready.replace(path)


def _texts(lines: Iterable[bytes]) -> Iterable[str]:
    for line in lines:
        with suppress(ValueError, RecursionError):
            if isinstance(text := json.loads(line), str):
                yield text


def _line(text: str) -> bytes:
    return json.dumps(text).encode("ascii") + b"\n"
