"""`POST /v1/chat/completions`, streamed and plain."""

from dataclasses import dataclass
from typing import Any

from flask import Response, request

from sluice_service.chat.agents import Agent, Agents
from sluice_service.chat.turn import Turn
from sluice_service.generation.base import Dialect
from sluice_service.web.answers import Answers, new_stream_id
from sluice_service.web.body import read_json
from sluice_service.web.exchange import exchange
from sluice_service.web.gate import principal
from sluice_service.web.idempotency import claim_of, wanted_of
from sluice_service.web.openai_dialect import OpenAIDialect
from sluice_service.web.plain_answer import PlainAnswer
from sluice_service.web.requests import OURS, CompletionRequest, parse
from sluice_wire.errors import SluiceError


@dataclass(frozen=True, slots=True)
class Completions:
    """The route and what it needs."""

    agents: Agents
    answers: Answers
    max_body_bytes: int
    streaming_enabled: bool

    def create(self) -> Response:
        """One turn. Raises what is wrong with the request; the rest becomes the response."""
        body = read_json(request.environ, self.max_body_bytes)
        asked = parse(CompletionRequest, body)
        agent = self.agents.get(asked.model, principal().agents)
        if asked.stream and not self.streaming_enabled:
            raise SluiceError("streaming_disabled", param="stream")
        turn = self._turn(body, asked, agent)
        return self.answers.respond(turn, self._dialect(turn, asked))

    def _turn(self, body: dict[str, Any], asked: CompletionRequest, agent: Agent) -> Turn:
        stream_id = new_stream_id()
        claim = claim_of(request, principal().user, body)
        return Turn(
            stream_id=stream_id,
            owner=principal().user,
            limits=principal().limits,
            agent=agent,
            messages=body["messages"],
            parameters={name: value for name, value in body.items() if name not in OURS},
            grace_seconds=self.answers.grace_seconds if asked.stream or claim else None,
            claim=claim,
            request_bytes=request.content_length or self.max_body_bytes,
            wanted=wanted_of(asked.conversation_id, claim, stream_id, with_history=False) if asked.store else None,
        )

    def _dialect(self, turn: Turn, asked: CompletionRequest) -> Dialect:
        correlation_id = exchange().context.correlation_id
        if not asked.stream:
            return PlainAnswer(turn.stream_id, turn.agent.id, correlation_id)
        return OpenAIDialect(
            turn.stream_id,
            turn.agent.id,
            choices=(asked.n or 1) if turn.agent.passthrough else 1,
            include_usage=asked.include_usage,
            correlation_id=correlation_id,
        )
