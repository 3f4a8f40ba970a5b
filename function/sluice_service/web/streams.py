"""`GET /v1/streams/{id}` continues a stream where its reader left off; `POST …/cancel` ends it."""

from dataclasses import dataclass

from flask import Response, request

from sluice_service.generation.base import Stream
from sluice_service.generation.registry import Registry
from sluice_service.web.ascii_json import ascii_json
from sluice_service.web.delivery import Delivery
from sluice_service.web.errors import JSON_TYPE
from sluice_service.web.exchange import exchange
from sluice_service.web.gate import principal
from sluice_wire.errors import SluiceError

CANCEL_SECONDS = 5.0
"""How long to wait for the end of a cancelled stream: its upstream connection is being closed meanwhile."""


@dataclass(frozen=True, slots=True)
class Streams:
    """The routes on streams that exist."""

    registry: Registry
    delivery: Delivery

    def resume(self, stream_id: str) -> Response:
        """The frames after the cursor, then live; 204 when there is nothing left to come.

        Raises `not_found`, and `invalid_request` for a cursor that is malformed or beyond the end.
        """
        stream = self.registry.find(stream_id, principal().user)
        exchange().add_facts(lambda: {"resumed": True})
        cursor = _cursor()
        if not self.registry.caught_up(stream, cursor):
            raise _bad_cursor(f"it is beyond frame {stream.log.count}, the last one there is.")
        # Asked in this order: a stream that ends in between has only become longer.
        ended, count = stream.log.ended, stream.log.count
        if ended and cursor == count:
            return Response(status=204)
        return self.delivery.resume(stream, cursor)

    def cancel(self, stream_id: str) -> Response:
        """End the stream now; readers get the in-band error `cancelled`. After the end it changes nothing."""
        stream = self.registry.find(stream_id, principal().user)
        self.registry.end(stream, SluiceError("cancelled"), CANCEL_SECONDS)
        body = {"id": stream_id, "object": "stream", "status": _status(stream)}
        return Response(ascii_json(body), content_type=JSON_TYPE)


def _cursor() -> int:
    """How many frames the reader has: `Last-Event-ID` or `starting_after`, 0 when neither is given."""
    given = {text for text in (request.headers.get("Last-Event-ID"), request.args.get("starting_after")) if text is not None}
    if len(given) > 1:
        raise _bad_cursor("Last-Event-ID and starting_after differ.")
    text = next(iter(given), "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _bad_cursor("it is the number of the last frame that was received.")
    return int(text)


def _bad_cursor(problem: str) -> SluiceError:
    return SluiceError("invalid_request", param="starting_after", problem=f"the cursor is not usable: {problem}")


def _status(stream: Stream) -> str:
    error = stream.record.error
    if error is None:
        return "finished" if stream.log.ended else "running"
    return "cancelled" if error.code == "cancelled" else "failed"
