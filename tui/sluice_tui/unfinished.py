"""The answer that a terminal was reading when it was killed, so that the next one can offer to read on.

One small file for each terminal, in a folder of this user alone: the address, the agent, the stream's id and the question;
never a key. A terminal holds a lock on its file, so that nobody is offered what a living one still reads.
"""

import fcntl
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

MAX_AGE_SECONDS = 3600
"""Older ones are of no use: no server keeps a stream that long."""

_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An answer that somebody asked for and nobody has read to its end. `url` is the API's base URL."""

    url: str
    agent: str
    stream_id: str
    question: str


class Records:
    """This terminal's own record, at most one, and those that others left behind.

    Whatever the disk refuses is let pass: losing an offer is better than losing a chat.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{secrets.token_hex(8)}.json"
        self._descriptor: int | None = None

    def keep(self, unfinished: Unfinished) -> None:
        """Write the record, in place of the one before. A reader sees the old one or the new one, never a part."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._path.with_suffix(".new")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self._hold(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, json.dumps(asdict(unfinished)).encode("ascii"))
            draft.replace(self._path)

    def drop(self) -> None:
        """The answer has ended, or is not wanted."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Leave the record, if there is one, to the next terminal."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def take_over(self, url: str) -> Unfinished | None:
        """The newest record for that address that its terminal left behind; from now on it is this terminal's own."""
        for path in self._by_age():
            if unfinished := self._taken(path, url):
                return unfinished
        return None

    def _by_age(self) -> list[Path]:
        """The newest first; those too old are removed."""
        ages: dict[Path, float] = {}
        for path in self._folder.glob("*"):
            with suppress(OSError):  # another terminal may have dropped its own meanwhile
                ages[path] = time.time() - path.stat().st_mtime
                if ages[path] > MAX_AGE_SECONDS:
                    path.unlink(missing_ok=True)
        whole = (path for path, age in ages.items() if age <= MAX_AGE_SECONDS and path.suffix == ".json")
        return sorted(whole, key=lambda path: ages[path])

    def _taken(self, path: Path, url: str) -> Unfinished | None:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                unfinished = _parsed(os.read(descriptor, _MAX_BYTES))
            except OSError:
                os.close(descriptor)
                raise
            # Whoever waited for the lock may hold a file that has been removed meanwhile.
            if unfinished and unfinished.url == url and path.exists():
                self._hold(descriptor)
                self._path = path
                return unfinished
            os.close(descriptor)
        return None

    def _hold(self, descriptor: int) -> None:
        self.release()
        self._descriptor = descriptor


def _parsed(data: bytes) -> Unfinished | None:
    try:
        body: Any = json.loads(data)
        texts = {field.name: body[field.name] for field in fields(Unfinished)}
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return Unfinished(**texts) if all(isinstance(text, str) for text in texts.values()) else None
