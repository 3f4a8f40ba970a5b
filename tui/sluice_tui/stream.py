"""One answer: from the bytes of a completion stream to typed events, or to the error that ended it."""

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

from sluice_tui.api import Api
from sluice_tui.errors import ClientError, client_error, told_by_server
from sluice_wire.chunks import ErrorChunk, events_of
from sluice_wire.decoder import Decoder
from sluice_wire.events import Event, Finish

_DONE = "[DONE]"


async def answer(api: Api, model: str, messages: Sequence[Mapping[str, str]]) -> AsyncGenerator[Event, None]:
    """The events of one answer, as they arrive; it returns only when the model has said that it is whole.

    Close it (`contextlib.aclosing`) to hang up. Raises ClientError; what was yielded before it stands.
    """
    async with api.completion(model, messages) as response:
        decoder = AnswerDecoder(response.correlation_id)
        async for piece in response.pieces:
            for event in decoder.feed(piece):
                yield event
            if decoder.done:
                return
        decoder.end()


class AnswerDecoder:
    """Incremental: feed it the bytes as they come, and `end` it when there are no more."""

    def __init__(self, correlation_id: str = "") -> None:
        self.done = False
        self._finished = False
        self._correlation_id = correlation_id
        self._frames = Decoder()

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events completed by `data`, each before the next is looked at, so that an error costs none of them.

        `done` is true after `[DONE]`. Raises ClientError.
        """
        try:
            for frame in self._frames.feed(data):
                if frame.data == _DONE:
                    self.done = True
                    return
                for event in events_of(json.loads(frame.data)):
                    self._finished |= isinstance(event, Finish)
                    yield event
        except ErrorChunk as chunk:
            raise told_by_server({"error": chunk.error}, self._error("answer_failed")) from chunk
        # The decoder's, the parser's and json's complaints are all ValueErrors; deep nesting is the other one.
        except (ValueError, RecursionError) as error:
            raise self._error("invalid_stream") from error

    def end(self) -> None:
        """There are no more bytes. Raises ClientError unless the model had finished; a missing `[DONE]` is forgiven."""
        if not (self.done or self._finished):
            raise self._error("answer_truncated")

    def _error(self, code: str) -> ClientError:
        return client_error(code, correlation_id=self._correlation_id)
