"""`POST /v1/tickets`: what a browser opens an EventSource with, since that cannot send a key."""

from dataclasses import dataclass

from flask import Response, request

from sluice_service.chat.turn import Chat
from sluice_service.quotas.base import rate_limit_headers
from sluice_service.web.ascii_json import ascii_json
from sluice_service.web.body import read_json
from sluice_service.web.errors import JSON_TYPE
from sluice_service.web.gate import principal
from sluice_service.web.requests import TicketRequest, parse
from sluice_service.web.tickets import START_SECONDS, Tickets


@dataclass(frozen=True, slots=True)
class TicketDesk:
    """The route and what it needs."""

    tickets: Tickets
    chat: Chat
    max_body_bytes: int

    def issue(self) -> Response:
        """`{"ticket", "expires_in"}`, or the refusal that EventSource could not read: limits are checked here, in full."""
        asked = parse(TicketRequest, read_json(request.environ, self.max_body_bytes))
        standing = self.chat.standing(principal().user, principal().limits)
        ticket = self.tickets.issue(principal(), asked.route, asked.message, asked.turn)
        body = ascii_json({"ticket": ticket, "expires_in": int(START_SECONDS)})
        headers = {"cache-control": "no-store", **(rate_limit_headers(standing) if standing else {})}
        return Response(body, content_type=JSON_TYPE, headers=headers)
