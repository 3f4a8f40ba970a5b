"""One response's stream: from its bytes to typed events, or to the error that ended it."""

import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from sluice_tui.answer_bytes import AnswerBytes
from sluice_tui.errors import ClientError, client_error, told_by_server
from sluice_tui.foreign_errors import is_error_chunk
from sluice_wire.chunks import ErrorChunk, events_of
from sluice_wire.decoder import Decoder
from sluice_wire.events import Delta, Event, Finish

_DONE = "[DONE]"


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the server keeps this turn, and whether it already does."""

    conversation_id: str
    persisted: bool


@dataclass(frozen=True, slots=True)
class Onboarding:
    """How far an onboarding agent's questions are answered."""

    step: int
    total: int
    done: bool


Addition: TypeAlias = Stored | Onboarding
"""What only Sluice tells with an answer, beside its finish reason."""


async def read(response: AnswerBytes, decoder: "AnswerDecoder") -> AsyncGenerator[Event | Addition, None]:
    """The events of one response, as they arrive; it returns only when the model has said that the answer is whole.

    Close it (`contextlib.aclosing`) before the response. Raises ClientError; what was yielded before it stands.
    """
    if response.whole is not None:
        for event in events_of_whole(response.whole):
            yield event
        return
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

    def feed(self, data: bytes) -> Iterator[Event | Addition]:
        """The events completed by `data`, each before the next is looked at, so that an error costs none of them.

        `finished` is true after a finish reason, `done` after `[DONE]`. Raises ClientError.
        """
        try:
            for frame in self._decoder.feed(data):
                self.frames += 1
                if frame.data == _DONE:
                    self.done = True
                    return
                for event in _all_of(json.loads(frame.data)):
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


def events_of_whole(body: object) -> list[Event | Addition]:
    """The events of an answer that came in one piece, a `chat.completion`. Raises ClientError."""
    try:
        events = list(_all_of(_as_chunk(body)))
    except ErrorChunk as chunk:
        raise told_by_server({"error": chunk.error}, client_error("answer_failed")) from chunk
    except ValueError as error:
        raise client_error("invalid_stream") from error
    if not any(isinstance(event, Finish) for event in events):
        raise client_error("answer_truncated")
    return events


def reasoning_of(delta: Delta) -> str:
    """What the model thinks aloud, which is no part of its answer: DeepSeek's name for it, or OpenRouter's and Ollama's."""
    deltas = (choice["delta"] for choice in delta.choices if choice.get("index", 0) == 0)
    texts = (thought.get("reasoning_content") or thought.get("reasoning") for thought in deltas)
    return "".join(text for text in texts if isinstance(text, str))


def _all_of(chunk: object) -> Iterator[Event | Addition]:
    if is_error_chunk(chunk):
        raise ErrorChunk(chunk)
    # The whole chunk is understood before any of it is told.
    yield from [*events_of(chunk), *_additions(chunk)]


def _additions(chunk: object) -> Iterator[Addition]:
    told = chunk.get("sluice") if isinstance(chunk, dict) else None
    if not isinstance(told, dict):
        return
    if isinstance(told.get("conversation_id"), str):
        yield Stored(told["conversation_id"], told.get("persisted") is True)
    if type(told.get("step")) is int and type(told.get("total")) is int:
        yield Onboarding(told["step"], told["total"], told.get("done") is True)


def _as_chunk(body: object) -> object:
    """A whole answer differs from a chunk in one name."""
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(choices, list):
        return None
    as_deltas = [{**choice, "delta": choice.get("message")} for choice in choices if isinstance(choice, dict)]
    return {**body, "choices": as_deltas}
