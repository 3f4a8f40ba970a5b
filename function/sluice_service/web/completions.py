"""`POST /v1/chat/completions`, streamed and plain."""

import uuid
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from sluice_service.chat.agents import Agent, Agents
from sluice_service.chat.turn import Chat, Turn
from sluice_service.generation.base import Dialect
from sluice_service.web.body import read_json
from sluice_service.web.delivery import Delivery
from sluice_service.web.exchange import exchange
from sluice_service.web.gate import principal
from sluice_service.web.idempotency import claim_of
from sluice_service.web.openai_dialect import OpenAIDialect
from sluice_service.web.plain_answer import PlainAnswer
from sluice_service.web.requests import OURS, CompletionRequest, parse_completion


@dataclass(frozen=True, slots=True)
class Completions:
    """The route and what it needs."""

    agents: Agents
    chat: Chat
    delivery: Delivery
    max_body_bytes: int
    grace_seconds: float
    log_content: bool

    def create(self) -> Response:
        """One turn. Raises what is wrong with the request; the rest becomes the response."""
        body = read_json(request.environ, self.max_body_bytes)
        wanted = parse_completion(body)
        agent = self.agents.get(wanted.model, principal().agents)
        turn = self._turn(body, wanted, agent)
        self._note(turn, streamed=bool(wanted.stream))
        stream = self.chat.start(turn, self._dialect(turn, wanted))
        if stream.stream_id != turn.stream_id:
            exchange().add_facts(lambda: {"resumed": True})
        if self.log_content:
            exchange().add_facts(lambda: {"messages": turn.messages, "answer": stream.record.text})
        return self.delivery.begin(stream) if wanted.stream else self.delivery.plain(stream)

    def _turn(self, body: dict[str, Any], wanted: CompletionRequest, agent: Agent) -> Turn:
        claim = claim_of(request, principal().user, body)
        return Turn(
            stream_id=uuid.uuid4().hex,
            owner=principal().user,
            agent=agent,
            messages=body["messages"],
            parameters={name: value for name, value in body.items() if name not in OURS},
            grace_seconds=self.grace_seconds if wanted.stream or claim else None,
            claim=claim,
        )

    def _dialect(self, turn: Turn, wanted: CompletionRequest) -> Dialect:
        correlation_id = exchange().context.correlation_id
        if not wanted.stream:
            return PlainAnswer(turn.stream_id, turn.agent.id, correlation_id)
        return OpenAIDialect(
            turn.stream_id,
            turn.agent.id,
            choices=(wanted.n or 1) if turn.agent.passthrough else 1,
            include_usage=wanted.include_usage,
            correlation_id=correlation_id,
        )

    def _note(self, turn: Turn, *, streamed: bool) -> None:
        current = exchange()
        current.know(agent=turn.agent.id, stream_id=turn.stream_id)
        facts = {"gen_ai.request.model": turn.agent.model, "stream": streamed, "message_count": len(turn.messages)}
        current.add_facts(lambda: facts)
