"""From a generation to a response: the status line waits for the first event, then the tail is handed to the server."""

from contextlib import ExitStack
from dataclasses import dataclass

from flask import Response, request

from sluice_service.generation.generation import Generation
from sluice_service.generation.pump import Pump
from sluice_service.web.departures import Departures
from sluice_service.web.errors import JSON_TYPE, error_response
from sluice_service.web.exchange import exchange
from sluice_service.web.facts import facts_of
from sluice_service.web.tail import Tail

STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """Delivers generations to the client of Flask's current request."""

    pump: Pump
    departures: Departures
    heartbeat_seconds: float

    def stream(self, generation: Generation, heartbeat: bytes, cursor: int = 0) -> Response:
        """All frames after `cursor`, live. An upstream refusal that comes within a heartbeat is a true 4xx/5xx."""
        with ExitStack() as opened:
            tail = self._tail(generation, cursor, heartbeat)
            opened.callback(tail.close)
            tail.wait_for_first()
            error = generation.record.error
            if error is not None and not generation.opened and cursor == 0:
                return error_response(error)
            opened.pop_all()
        headers = {**STREAM_HEADERS, "x-stream-id": generation.stream_id}
        # Passed through, so that the server calls the tail's own close.
        return Response(tail, headers=headers, direct_passthrough=True)

    def plain(self, generation: Generation) -> Response:
        """The whole answer at once, by the same clocks, with the same departure and cancel."""
        with ExitStack() as opened:
            tail = self._tail(generation)
            opened.callback(tail.close)
            body = tail.wait_for_end()
        error = generation.record.error
        if error is not None:
            return error_response(error)
        return Response(body, content_type=JSON_TYPE, headers={"cache-control": "no-store"})

    def _tail(self, generation: Generation, cursor: int = 0, heartbeat: bytes = b"") -> Tail:
        tail = Tail(
            generation,
            pump=self.pump,
            departures=self.departures,
            connection=request.environ.get("gunicorn.socket"),
            cursor=cursor,
            heartbeat=heartbeat,
            heartbeat_seconds=self.heartbeat_seconds,
        )
        current = exchange()
        current.know(stream_id=generation.stream_id)
        current.add_facts(lambda: facts_of(generation.record, departed=tail.departed, resumed=cursor > 0))
        return tail
