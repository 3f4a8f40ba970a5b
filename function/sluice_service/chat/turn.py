"""One turn: a valid request becomes a running generation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluice_service.chat.agents import Agent, Upstream
from sluice_service.generation.attempts import Target
from sluice_service.generation.base import Dialect, Stream
from sluice_service.generation.claims import Claim
from sluice_service.generation.clocks import Clocks
from sluice_service.generation.generation import Generation, Plan
from sluice_service.generation.registry import Registry
from sluice_service.providers.base import ModelCall, Provider


@dataclass(frozen=True, slots=True)
class Turn:
    """What a caller asks of an agent. `messages` and `parameters` are the caller's own, unchanged.

    `grace_seconds` as in `Plan`: None for a plain answer that ends with its reader. `claim` is set when the caller sent an
    idempotency key.
    """

    stream_id: str
    owner: str
    agent: Agent
    messages: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Any]
    grace_seconds: float | None
    claim: Claim | None = None


class Chat:
    """Starts turns. `providers` by name; the clocks where an agent has none of its own."""

    def __init__(self, registry: Registry, providers: Mapping[str, Provider], clocks: Clocks, max_bytes: int) -> None:
        self._registry = registry
        self._providers = providers
        self._clocks = clocks
        self._max_bytes = max_bytes

    def start(self, turn: Turn, dialect: Dialect) -> Stream:
        """Start the generation, told in this dialect, or find the one that holds the claim.

        Raises `over_capacity`, `idempotency_mismatch`.
        """
        if turn.claim is None:
            return self._start(turn, dialect)
        return self._registry.claimed_or_started(turn.claim, turn.stream_id, lambda: self._start(turn, dialect))

    def _start(self, turn: Turn, dialect: Dialect) -> Generation:
        plan = Plan(
            stream_id=turn.stream_id,
            owner=turn.owner,
            targets=[self._target(turn, upstream) for upstream in turn.agent.upstreams],
            clocks=self._agent_clocks(turn.agent),
            max_bytes=self._max_bytes,
            grace_seconds=turn.grace_seconds,
            claim=turn.claim,
        )
        generation = Generation(plan, dialect, self._registry.new_log(dialect.envelope))
        self._registry.start(generation)
        return generation

    def _target(self, turn: Turn, upstream: Upstream) -> Target:
        agent = turn.agent
        instructions = [{"role": "system", "content": agent.instructions}] if agent.instructions else []
        forwarded = turn.parameters if agent.passthrough else {}
        call = ModelCall(
            model=upstream.model,
            messages=[*instructions, *turn.messages],
            parameters={**forwarded, **agent.fixed_parameters},
            upstream_stream=agent.upstream_stream,
        )
        return Target(self._providers[upstream.provider], call)

    def _agent_clocks(self, agent: Agent) -> Clocks:
        return Clocks(
            first_token_seconds=agent.first_token_timeout_seconds or self._clocks.first_token_seconds,
            idle_seconds=agent.idle_timeout_seconds or self._clocks.idle_seconds,
            total_seconds=agent.total_timeout_seconds or self._clocks.total_seconds,
        )
