"""One turn as a response: what every route that asks an agent has in common."""

import uuid
from dataclasses import dataclass

from flask import Response

from sluice_service.chat.agents import Agent
from sluice_service.chat.turn import Chat, Started, Turn
from sluice_service.generation.base import Dialect
from sluice_service.quotas.base import rate_limit_headers
from sluice_service.web.delivery import Delivery
from sluice_service.web.exchange import exchange


@dataclass(frozen=True, slots=True)
class Answers:
    """Starts turns and delivers them. `grace_seconds`: how long a stream goes on without a reader."""

    chat: Chat
    delivery: Delivery
    grace_seconds: float
    log_content: bool

    def respond(self, turn: Turn, dialect: Dialect) -> Response:
        """The answer, streamed or whole as the dialect has it, with where the caller stands when it was counted."""
        started = self.start(turn, dialect)
        stream = started.stream
        response = self.delivery.plain(stream) if stream.heartbeat is None else self.delivery.begin(stream)
        return with_standing(response, started)

    def start(self, turn: Turn, dialect: Dialect) -> Started:
        """Start the turn, and note for the log what it is."""
        note_turn(turn, streamed=dialect.heartbeat is not None)
        started = self.chat.start(turn, dialect)
        stream = started.stream
        if started.standing is None:
            exchange().add_facts(lambda: {"resumed": True})
        if self.log_content:
            exchange().add_facts(lambda: {"messages": turn.messages, "answer": stream.record.text})
        return started


def with_standing(response: Response, started: Started) -> Response:
    """Say where the caller stands with the limits; nothing for a repetition, which is free."""
    if started.standing is not None:
        response.headers.update(rate_limit_headers(started.standing))
    return response


def note_turn(turn: Turn, *, streamed: bool) -> None:
    """What every entry, and `response_complete`, says of the turn."""
    note_agent(turn.agent, turn.stream_id)
    facts = {"gen_ai.request.model": turn.agent.model, "stream": streamed, "message_count": len(turn.messages)}
    exchange().add_facts(lambda: facts)


def note_agent(agent: Agent, stream_id: str) -> None:
    """The agent and the stream, on this and every later entry."""
    exchange().know(agent=agent.id, stream_id=stream_id)


def new_stream_id() -> str:
    """An id that cannot be guessed, without a dot, since a frame's id has one behind it."""
    return uuid.uuid4().hex
