"""Small files of which every living terminal holds its own, so that the next one finds what a dead one left behind.

A terminal holds a lock on its file. Whatever the disk refuses is let pass: losing a note is better than losing a chat.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

Found = TypeVar("Found")


class HeldFile:
    """This terminal's own file, at most one, in a folder of this user alone, and those that others left there."""

    def __init__(self, folder: Path, max_age_seconds: float, max_bytes: int) -> None:
        self._folder = folder
        self._max_age_seconds = max_age_seconds
        self._max_bytes = max_bytes
        self._path = folder / f"{secrets.token_hex(8)}.json"
        self._descriptor: int | None = None

    def keep(self, body: Mapping[str, Any]) -> bool:
        """Write it, in place of what was there. A reader sees the old one or the new one, never a part.

        False where it is too long, and nothing was written.
        """
        content = json.dumps(body).encode("ascii")
        if len(content) > self._max_bytes:
            return False
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            unready = self._path.with_suffix(".new")
            descriptor = os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            self._hold(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, content)
            unready.replace(self._path)
        return True

    def drop(self) -> None:
        """It is of no use any more."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Leave the file, if there is one, to the next terminal."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def take_over(self, wanted: Callable[[Any], Found | None]) -> Found | None:
        """What `wanted` makes of the newest file that its terminal left behind; from now on it is this terminal's own.

        `wanted` is given the JSON in a file, and says None to what it has no use for.
        """
        for path in self._by_age():
            if found := self._taken(path, wanted):
                return found
        return None

    def _by_age(self) -> list[Path]:
        """The newest first; those too old are removed."""
        ages: dict[Path, float] = {}
        for path in self._folder.glob("*"):
            with suppress(OSError):  # another terminal may have dropped its own meanwhile
                ages[path] = time.time() - path.stat().st_mtime
                if ages[path] > self._max_age_seconds:
                    path.unlink(missing_ok=True)
        whole = (path for path, age in ages.items() if age <= self._max_age_seconds and path.suffix == ".json")
        return sorted(whole, key=lambda path: ages[path])

    def _taken(self, path: Path, wanted: Callable[[Any], Found | None]) -> Found | None:
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = wanted(_json(os.read(descriptor, self._max_bytes)))
            except OSError:
                os.close(descriptor)
                raise
            # Whoever waited for the lock may hold a file that has been removed meanwhile.
            if found and path.exists():
                self._hold(descriptor)
                self._path = path
                return found
            os.close(descriptor)
        return None

    def _hold(self, descriptor: int) -> None:
        self.release()
        self._descriptor = descriptor


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
