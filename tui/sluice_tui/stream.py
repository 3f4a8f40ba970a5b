"""One response's stream: from its bytes to typed events, or to the error that ended it."""

import json
from collections.abc import AsyncGenerator, Iterator

from sluice_tui.api import AnswerBytes
from sluice_tui.errors import ClientError, client_error, told_by_server
from sluice_wire.chunks import ErrorChunk, events_of
from sluice_wire.decoder import Decoder
from sluice_wire.events import Event, Finish

_DONE = "[DONE]"


async def read(response: AnswerBytes, decoder: "AnswerDecoder") -> AsyncGenerator[Event, None]:
    """The events of one response, as they arrive; it returns only when the model has said that the answer is whole.

    Close it (`contextlib.aclosing`) before the response. Raises ClientError; what was yielded before it stands.
    """
    async for piece in response.pieces:
        for event in decoder.feed(piece):
            yield event
        if decoder.done:
            return
    decoder.end()


class AnswerDecoder:
    """Incremental: feed it the bytes as they come, and `end` it when there are no more.

    `frames` counts the whole ones, whatever is in them: it is the cursor to go on from.
    """

    def __init__(self, correlation_id: str = "") -> None:
        self.done = False
        self.finished = False
        self.frames = 0
        self._correlation_id = correlation_id
        self._decoder = Decoder()

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events completed by `data`, each before the next is looked at, so that an error costs none of them.

        `finished` is true after a finish reason, `done` after `[DONE]`. Raises ClientError.
        """
        try:
            for frame in self._decoder.feed(data):
                self.frames += 1
                if frame.data == _DONE:
                    self.done = True
                    return
                for event in events_of(json.loads(frame.data)):
                    self.finished |= isinstance(event, Finish)
                    yield event
        except ErrorChunk as chunk:
            raise told_by_server({"error": chunk.error}, self._error("answer_failed")) from chunk
        # The decoder's, the parser's and json's complaints are all ValueErrors; deep nesting is the other one.
        except (ValueError, RecursionError) as error:
            raise self._error("invalid_stream") from error

    def end(self) -> None:
        """There are no more bytes. Raises ClientError unless the model had finished; a missing `[DONE]` is forgiven."""
        if not (self.done or self.finished):
            raise self._error("answer_truncated")

    def _error(self, code: str) -> ClientError:
        return client_error(code, correlation_id=self._correlation_id)


def events_of_whole(body: object) -> list[Event]:
    """The events of an answer that came in one piece, a `chat.completion`. Raises ClientError."""
    try:
        events = events_of(_as_chunk(body))
    except ErrorChunk as chunk:
        raise told_by_server({"error": chunk.error}, client_error("answer_failed")) from chunk
    except ValueError as error:
        raise client_error("invalid_stream") from error
    if not any(isinstance(event, Finish) for event in events):
        raise client_error("answer_truncated")
    return events


def _as_chunk(body: object) -> object:
    """A whole answer differs from a chunk in one name."""
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(choices, list):
        return None
    as_deltas = [{**choice, "delta": choice.get("message")} for choice in choices if isinstance(choice, dict)]
    return {**body, "choices": as_deltas}
