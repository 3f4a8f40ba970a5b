"""An answer on its way, as bytes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class AnswerBytes:
    """The body of a completion stream as it arrives, and the id that the server's log knows it by.

    `stream_id` is what it can be resumed and cancelled by, "" where the server does not say. `whole` is the JSON of an
    answer that a server sent in one piece though a stream was asked for; then there are no pieces.
    """

    pieces: AsyncIterator[bytes]
    correlation_id: str
    stream_id: str = ""
    whole: Any = None

    @classmethod
    def in_one_piece(cls, whole: Any, correlation_id: str) -> Self:
        """An answer that is no stream."""
        return cls(_nothing(), correlation_id, whole=whole)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield
