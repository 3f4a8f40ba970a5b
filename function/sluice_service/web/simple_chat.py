"""`POST /chat`: the simple API. One message in, numbered frames or one object out; the history is kept here."""

from dataclasses import dataclass

from flask import Response, request

from sluice_service.chat.agents import Agent, Agents
from sluice_service.chat.turn import Turn
from sluice_service.web.answers import Answers, new_stream_id
from sluice_service.web.body import read_json
from sluice_service.web.exchange import exchange
from sluice_service.web.gate import principal
from sluice_service.web.idempotency import claim_of, wanted_of
from sluice_service.web.requests import ChatRequest, parse
from sluice_service.web.simple_dialect import SimpleAnswer, SimpleDialect
from sluice_wire.errors import SluiceError


@dataclass(frozen=True, slots=True)
class SimpleChat:
    """The route and what it needs. `max_tokens` is the default and the ceiling of the caller's."""

    agents: Agents
    answers: Answers
    max_body_bytes: int
    max_tokens: int
    streaming_enabled: bool

    def create(self) -> Response:
        """One turn. Raises what is wrong with the request; the rest becomes the response."""
        body = read_json(request.environ, self.max_body_bytes)
        asked = parse(ChatRequest, body)
        if asked.max_tokens is not None and asked.max_tokens > self.max_tokens:
            raise SluiceError("invalid_request", param="max_tokens", problem=f"max_tokens: at most {self.max_tokens}.")
        if asked.stream and not self.streaming_enabled:
            raise SluiceError("streaming_disabled", param="stream")
        stream_id = new_stream_id()
        claim = claim_of(request, principal().user, body)
        turn = Turn(
            stream_id=stream_id,
            owner=principal().user,
            limits=principal().limits,
            agent=self._agent(asked.model),
            messages=[{"role": "user", "content": asked.message}],
            parameters={},
            grace_seconds=self.answers.grace_seconds if asked.stream or claim else None,
            claim=claim,
            wanted=wanted_of(asked.conversation_id, claim, stream_id, with_history=True),
            max_tokens=asked.max_tokens or self.max_tokens,
        )
        correlation_id = exchange().context.correlation_id
        dialect = SimpleDialect(correlation_id) if asked.stream else SimpleAnswer(correlation_id)
        return self.answers.respond(turn, dialect)

    def _agent(self, model: str | None) -> Agent:
        """Here `model` is a field like any other: one that names no agent is simply not valid."""
        try:
            return self.agents.get_or_default(model, principal().agents)
        except SluiceError as error:
            if error.code != "model_not_found":
                raise
            problem = "model: no agent has this id; GET /v1/models lists them."
            raise SluiceError("invalid_request", param="model", problem=problem) from None
