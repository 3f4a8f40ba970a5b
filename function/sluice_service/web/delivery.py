"""From a generation to a response: the status line waits for the first event, then the tail is handed to the server."""

import socket
from contextlib import ExitStack, closing
from dataclasses import dataclass

from flask import Response, request

from sluice_service.generation.base import Stream
from sluice_service.generation.pump import Pump
from sluice_service.web.departures import Departures
from sluice_service.web.errors import JSON_TYPE, STREAM_HEADERS, error_response
from sluice_service.web.exchange import exchange
from sluice_service.web.facts import facts_of
from sluice_service.web.tail import Tail


@dataclass(frozen=True, slots=True)
class Delivery:
    """Delivers generations to the client of Flask's current request."""

    pump: Pump
    departures: Departures
    heartbeat_seconds: float

    def begin(self, stream: Stream) -> Response:
        """All frames from the first, live. An upstream refusal that comes within a heartbeat is a true 4xx/5xx."""
        with ExitStack() as opened:
            tail = self._tail(stream)
            opened.callback(tail.close)
            tail.wait_for_first()
            error = stream.record.error
            if error is not None and not stream.opened:
                tail.wait_for_end()  # a tail that did not take everything stands for a client that left
                return error_response(error)
            opened.pop_all()
        return _streamed(tail, stream)

    def resume(self, stream: Stream, cursor: int, preamble: bytes = b"") -> Response:
        """All frames after `cursor`, live: the same bytes that the first reader got from there on.

        Begins at once, with `preamble` where there is one, and tells every failure as a frame.
        """
        tail = self._tail(stream, cursor, preamble)
        if not preamble:
            tail.begin_at_once()
        return _streamed(tail, stream)

    def plain(self, stream: Stream) -> Response:
        """The whole answer at once, by the same clocks, with the same departure and cancel."""
        tail = self._tail(stream)
        with closing(tail):
            body = tail.wait_for_end()
        error = stream.record.error
        if error is not None:
            return error_response(error)
        return Response(body, content_type=JSON_TYPE, headers={"cache-control": "no-store"})

    def _tail(self, stream: Stream, cursor: int = 0, preamble: bytes = b"") -> Tail:
        current = exchange()
        tail = Tail(
            stream,
            pump=self.pump,
            departures=self.departures,
            connection=current.connection,
            cursor=cursor,
            preamble=preamble,
            heartbeat_seconds=self.heartbeat_seconds,
            chunked=_is_chunked(current.connection),
            sent=current.count_sent,
        )
        current.know(stream_id=stream.stream_id)
        current.add_facts(lambda: facts_of(stream.record, departed=tail.departed))
        return tail


def _streamed(tail: Tail, stream: Stream) -> Response:
    headers = {**STREAM_HEADERS, "x-stream-id": stream.stream_id}
    # Passed through, so that the server calls the tail's own close.
    return Response(tail, headers=headers, direct_passthrough=True)


def _is_chunked(connection: socket.socket | None) -> bool:
    """Whether the server frames the body so, and a write to its socket is one to the wire and need not wait."""
    plain = type(connection) is socket.socket and connection.gettimeout() is None
    return plain and request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
