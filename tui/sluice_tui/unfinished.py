"""The answer that a terminal was reading when it was killed, so that the next one can offer to read on.

What is kept: the address, the agent, the stream's id, the conversation and the question; never a key.
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sluice_tui.held_file import HeldFile
from sluice_tui.secret_texts import IsSecret, looks_secret

MAX_AGE_SECONDS = 3600
"""Older ones are of no use: no server keeps a stream that long."""

_MAX_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An answer that somebody asked for and nobody has read to its end. `url` is the API's base URL.

    `conversation_id` is where the server stores the turn, `key` what it was asked under; "" where that is not known.
    """

    url: str
    agent: str
    stream_id: str
    question: str
    conversation_id: str = ""
    key: str = ""


class Records:
    """This terminal's own record, at most one, and those that others left behind."""

    def __init__(self, folder: Path, is_secret: IsSecret = looks_secret) -> None:
        self._is_secret = is_secret
        self._file = HeldFile(folder, MAX_AGE_SECONDS, _MAX_BYTES)

    def keep(self, unfinished: Unfinished) -> None:
        """Write the record, in place of the one before; none where the question holds a key."""
        if self._is_secret(unfinished.question):
            self._file.drop()
        else:
            self._file.keep(asdict(unfinished))

    def drop(self) -> None:
        """The answer has ended, or is not wanted."""
        self._file.drop()

    def release(self) -> None:
        """Leave the record, if there is one, to the next terminal."""
        self._file.release()

    def take_over(self, url: str) -> Unfinished | None:
        """The newest record for that address that its terminal left behind; from now on it is this terminal's own."""
        return self._file.take_over(lambda body: _unfinished(body, url))


def _unfinished(body: Any, url: str) -> Unfinished | None:
    if not isinstance(body, dict) or body.get("url") != url:
        return None
    given = {field.name: body[field.name] for field in fields(Unfinished) if field.name in body}
    needed = {"agent", "stream_id", "question"}
    return Unfinished(**given) if needed <= given.keys() and all(isinstance(text, str) for text in given.values()) else None
