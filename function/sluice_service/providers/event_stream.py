"""An upstream's Server-Sent Events, from bytes to typed events. No I/O."""

import json
from typing import Any

import orjson

from sluice_wire.chunks import ErrorChunk, InvalidChunk, events_of
from sluice_wire.decoder import Decoder, EventTooLong, ServerSentEvent
from sluice_wire.events import Event


class EventStream:
    """Incremental: `feed` takes bytes as they come and returns the events in them, up to the end or the first failure.

    After it, `ended` says that `[DONE]` was seen, `failure` that the stream cannot be read on and why: EventTooLong,
    ErrorChunk, InvalidChunk. They are not raised, so that what came before them in the same bytes is not lost.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self.ended = False
        self.failure: EventTooLong | ErrorChunk | InvalidChunk | None = None
        self._decoder = Decoder(max_event_bytes)

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete; often one, none for comments and for roles alone."""
        events: list[Event] = []
        try:
            lines = self._decoder.whole_lines(data)
            if lines is None:
                self._feed_frames(self._decoder.feed(data), events)
            else:
                self._feed_lines(lines, events)
        except (EventTooLong, ErrorChunk, InvalidChunk) as failure:
            self.failure = failure
        return events

    def _feed_lines(self, lines: list[bytes], events: list[Event]) -> None:
        for line in lines:
            if line == b"[DONE]":
                self.ended = True
                return
            events += events_of(_parse(line), len(line))

    def _feed_frames(self, frames: list[ServerSentEvent], events: list[Event]) -> None:
        for frame in frames:
            if frame.data == "[DONE]":
                self.ended = True
                return
            chunk = parse_json(frame.data)
            # Some servers name the event rather than wrapping what it says in `error`.
            if frame.event == "error" and isinstance(chunk, dict) and "error" not in chunk:
                raise ErrorChunk(chunk)
            events += events_of(chunk, len(frame.data))


def _parse(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return parse_json(line.decode("utf-8", "replace"))  # as the standard has it


def parse_json(data: str | bytes) -> Any:
    """Parsed JSON. Raises InvalidChunk, whose text names the place and never shows the data, which can be an answer."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # orjson refuses escapes of lone surrogates, which models do emit when a token ends inside an emoji.
        return _parse_slowly(data)


def _parse_slowly(data: str | bytes) -> Any:
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise InvalidChunk(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise InvalidChunk(f"malformed JSON: {error.msg} at character {error.pos} of {len(data)}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidChunk(f"unacceptable JSON: {type(error).__name__}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
