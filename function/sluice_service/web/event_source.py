"""`GET /chat/stream` and `/chat/onboarding-stream`: a turn for a browser's EventSource, opened with a ticket.

Source: WHATWG HTML, section 9.2. EventSource can set no header and read no refusal's body, and it reconnects by itself, to
the same address: so the ticket names the one stream that it may open, a reconnect resumes that one, and whatever fails
after the ticket was accepted is an `error` event.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from flask import Response, request

from sluice_service.chat.agents import Agent, Agents
from sluice_service.chat.turn import Turn
from sluice_service.generation.base import Stream
from sluice_service.generation.claims import Claim
from sluice_service.generation.registry import Registry
from sluice_service.web.answers import Answers, note_agent, with_standing
from sluice_service.web.ascii_json import ascii_json
from sluice_service.web.event_dialect import event_dialect, first_id
from sluice_service.web.exchange import exchange
from sluice_service.web.idempotency import wanted_of
from sluice_service.web.requests import EventQuery, parse
from sluice_service.web.tickets import Ticket, Tickets
from sluice_wire.errors import SluiceError

_LAST_EVENT_ID = re.compile(r"(?P<stream>[0-9a-f]{32})\.(?P<frame>[0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class EventSourceChat:
    """The two routes and what they need."""

    agents: Agents
    answers: Answers
    registry: Registry
    tickets: Tickets
    max_tokens: int
    streaming_enabled: bool

    def chat(self) -> Response:
        """A turn with any agent that the ticket's key may use."""
        return self._answer("/chat/stream", self.agents.get_or_default)

    def onboarding(self) -> Response:
        """A turn with the first agent that has onboarding steps."""
        return self._answer("/chat/onboarding-stream", lambda _, allowed: self.agents.first_with_onboarding(allowed))

    def _answer(self, route: str, choose: Callable[[str | None, Sequence[str]], Agent]) -> Response:
        token = request.args.get("token")
        if token is None:
            raise SluiceError("missing_credentials")
        ticket = self.tickets.open_(token, route)
        exchange().know(user=ticket.principal.user)
        exchange().error_shape = "event"
        query = parse(EventQuery, request.args.to_dict())
        claim = _claim(ticket, query)
        stream_id = _stream_id(claim)
        resumed = self._resumed(ticket, stream_id)
        if resumed is not None:
            return resumed
        if not ticket.may_start:
            raise _not_accepted()
        if not self.streaming_enabled:
            raise SluiceError("streaming_disabled", param="stream")
        agent = choose(query.model, ticket.principal.agents)
        note_agent(agent, stream_id)
        return self._started(self._turn(ticket, stream_id, agent, query, claim))

    def _started(self, turn: Turn) -> Response:
        dialect = event_dialect(turn.stream_id, exchange().context.correlation_id)
        try:
            started = self.answers.start(turn, dialect)
        except SluiceError as error:
            if error.code != "idempotency_mismatch":
                raise
            raise _not_accepted() from None  # the ticket has started another turn
        return with_standing(self.answers.delivery.resume(started.stream, 0, first_id(turn.stream_id)), started)

    def _resumed(self, ticket: Ticket, stream_id: str) -> Response | None:
        """The rest of the stream that this ticket opened; None when it has opened none, and is not asked to resume."""
        last = request.headers.get("Last-Event-ID", "")
        place = _LAST_EVENT_ID.fullmatch(last)
        stream = self._opened(ticket, stream_id)
        if not last and stream is None:
            return None
        exchange().add_facts(lambda: {"resumed": True})
        if place is None and last:
            raise _unusable("Last-Event-ID is not the id of an event of this stream.")
        if place is not None and place["stream"] != stream_id:
            raise SluiceError("not_found", path=f"/v1/streams/{place['stream']}")
        if stream is None:
            raise SluiceError("not_found", path=f"/v1/streams/{stream_id}")
        cursor = int(place["frame"]) if place else 0
        if not self.registry.caught_up(stream, cursor):
            raise _unusable(f"Last-Event-ID is beyond frame {stream.log.count}, the last one there is.")
        ended, count = stream.log.ended, stream.log.count
        if ended and cursor == count:
            return Response(status=204)
        return self.answers.delivery.resume(stream, cursor, b"" if cursor else first_id(stream_id))

    def _opened(self, ticket: Ticket, stream_id: str) -> Stream | None:
        try:
            resuming = bool(request.headers.get("Last-Event-ID"))
            return self.registry.find(stream_id, ticket.principal.user, patient=resuming)
        except SluiceError as error:
            # Without an id to resume from, a shared store that is out of reach is no reason not to begin.
            if error.code == "not_found" or not request.headers.get("Last-Event-ID"):
                return None
            raise

    def _turn(self, ticket: Ticket, stream_id: str, agent: Agent, query: EventQuery, claim: Claim) -> Turn:
        message = _message(ticket, query)
        if message is None:
            raise _unusable("message is missing, both in the address and in the ticket.")
        return Turn(
            stream_id=stream_id,
            owner=ticket.principal.user,
            limits=ticket.principal.limits,
            agent=agent,
            messages=[{"role": "user", "content": message}],
            parameters={},
            grace_seconds=self.answers.grace_seconds,
            claim=claim,
            wanted=wanted_of(query.conversation_id, _named(claim, ticket), stream_id, with_history=True),
            max_tokens=self.max_tokens,
        )


def _message(ticket: Ticket, query: EventQuery) -> str | None:
    return query.message if ticket.message is None else ticket.message


def _claim(ticket: Ticket, query: EventQuery) -> Claim:
    """The ticket is the idempotency key; what is asked with it, the body."""
    asked = ascii_json([_message(ticket, query), query.model, query.conversation_id])
    return Claim(ticket.principal.user, request.path, ticket.id, hashlib.sha256(asked).digest())


def _named(claim: Claim, ticket: Ticket) -> Claim:
    """The claim under the turn's own name, which the tickets of its repetitions share."""
    return claim if ticket.turn is None else replace(claim, key=ticket.turn)


def _stream_id(claim: Claim) -> str:
    """The one stream that a ticket may open, on whichever instance; only its own address leads there."""
    return hashlib.sha256(b"stream of ticket " + claim.key.encode() + claim.digest).hexdigest()[:32]


def _not_accepted() -> SluiceError:
    """A true 401, which ends EventSource's trying."""
    exchange().error_shape = "simple"
    return SluiceError("invalid_credentials")


def _unusable(problem: str) -> SluiceError:
    return SluiceError("invalid_request", param="message", problem=problem)
