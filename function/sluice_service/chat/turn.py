"""One turn: a valid request becomes a running generation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sluice_service.chat.agents import Agent, Agents, Upstream
from sluice_service.chat.conversations import Conversations, Prepared, Wanted
from sluice_service.generation.attempts import Target
from sluice_service.generation.base import Dialect, Stream
from sluice_service.generation.claims import Claim
from sluice_service.generation.clocks import Clocks
from sluice_service.generation.generation import Generation, Plan
from sluice_service.generation.registry import Registry
from sluice_service.providers.base import ModelCall, Provider
from sluice_service.quotas.base import Lease, LimitReached, Limits, Quotas, Standing
from sluice_wire.errors import SluiceError

EVICT_SECONDS = 2.0
"""How long a new turn waits for the end of the departed stream whose place it takes."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a caller asks of an agent. `messages` and `parameters` are the caller's own, unchanged.

    `grace_seconds` as in `Plan`: None for a plain answer that ends with its reader. `claim` is set when the caller sent an
    idempotency key, `wanted` when the turn shall be stored. `max_tokens` bounds the answer besides the agent's own limit.
    """

    stream_id: str
    owner: str
    limits: Limits
    agent: Agent
    messages: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Any]
    grace_seconds: float | None
    claim: Claim | None = None
    wanted: Wanted | None = None
    max_tokens: int | None = None
    request_bytes: int = 0

    @property
    def question(self) -> str:
        """The text of the last user message: what is stored, and what answers an onboarding agent."""
        asked = [message.get("content") for message in self.messages if message.get("role") == "user"]
        return _text(asked[-1]) if asked else ""


class Started(NamedTuple):
    """The stream that answers a turn; the caller's standing, when it is a new one and so was counted."""

    stream: Stream
    standing: Standing | None


class Chat:
    """Starts turns. `providers` by name; the clocks where an agent has none of its own."""

    def __init__(
        self,
        *,
        registry: Registry,
        providers: Mapping[str, Provider],
        conversations: Conversations,
        quotas: Quotas,
        clocks: Clocks,
        max_bytes: int,
    ) -> None:
        self._registry = registry
        self._providers = providers
        self._conversations = conversations
        self._quotas = quotas
        self._clocks = clocks
        self._max_bytes = max_bytes

    def start(self, turn: Turn, dialect: Dialect) -> Started:
        """Start the generation, told in this dialect, or find the one that holds the claim.

        The claim comes first, then the limits, the stored messages, the model: what finds its claim held costs nothing.
        Raises `idempotency_mismatch`, LimitReached, `not_found`, `storage_unavailable`, `over_capacity`.
        """
        standings: list[Standing] = []

        def begin() -> Generation:
            lease = self._admit(turn)
            standings.append(lease.standing)
            return self._begin(turn, dialect, lease)

        claim = turn.claim
        stream = begin() if claim is None else self._registry.claimed_or_started(claim, turn.stream_id, begin)
        return Started(stream, standings[0] if standings else None)

    def standing(self, user: str, limits: Limits) -> Standing | None:
        """Where a user stands, with nothing taken; None where a new turn would first end a departed stream.

        Raises LimitReached as `start` would.
        """
        try:
            return self._quotas.check(user, limits)
        except LimitReached as refusal:
            if refusal.code != "too_many_streams" or self._registry.oldest_departed(user) is None:
                raise
            return None

    def longest_seconds(self, agents: Agents) -> float:
        """The longest that an answer of any of these agents may take."""
        own = (self._agent_clocks(agent).total_seconds for agent in agents.allowed(("*",)))
        return max(own, default=self._clocks.total_seconds)

    def _admit(self, turn: Turn) -> Lease:
        live_seconds = self._agent_clocks(turn.agent).total_seconds
        while True:
            try:
                return self._quotas.acquire(turn.owner, turn.limits, turn.stream_id, live_seconds)
            except LimitReached as refusal:
                departed = self._registry.oldest_departed(turn.owner)
                if refusal.code != "too_many_streams" or departed is None:
                    raise
            # Nobody reads it any more, and somebody wants its place. Once only: it is not departed but ending then.
            self._registry.end(departed, SluiceError("cancelled"), EVICT_SECONDS)

    def _begin(self, turn: Turn, dialect: Dialect, lease: Lease) -> Generation:
        try:
            self._registry.require_room()
            prepared = self._conversations.prepare(turn.owner, turn.agent, turn.question, turn.wanted, turn.stream_id)
            generation = Generation(self._plan(turn, prepared, lease), dialect, self._registry.new_log(dialect.envelope))
            self._registry.start(generation)
        except SluiceError:
            lease.give_back()
            raise
        return generation

    def _plan(self, turn: Turn, prepared: Prepared, lease: Lease) -> Plan:
        return Plan(
            stream_id=turn.stream_id,
            owner=turn.owner,
            targets=[self._target(turn, prepared, upstream) for upstream in turn.agent.upstreams],
            clocks=self._agent_clocks(turn.agent),
            max_bytes=self._max_bytes,
            grace_seconds=turn.grace_seconds,
            claim=turn.claim,
            keeper=prepared.keeper,
            request_bytes=turn.request_bytes,
            release=lease.release,
        )

    def _target(self, turn: Turn, prepared: Prepared, upstream: Upstream) -> Target:
        agent = turn.agent
        instructions = [{"role": "system", "content": agent.instructions}] if agent.instructions else []
        call = ModelCall(
            model=upstream.model,
            messages=[*instructions, *prepared.context, *turn.messages],
            parameters=_parameters(turn),
            upstream_stream=agent.upstream_stream,
        )
        return Target(self._providers[upstream.provider], call)

    def _agent_clocks(self, agent: Agent) -> Clocks:
        return Clocks(
            first_token_seconds=agent.first_token_timeout_seconds or self._clocks.first_token_seconds,
            idle_seconds=agent.idle_timeout_seconds or self._clocks.idle_seconds,
            total_seconds=agent.total_timeout_seconds or self._clocks.total_seconds,
        )


def _parameters(turn: Turn) -> dict[str, Any]:
    """The agent's own parameters; the caller's too where the agent forwards them; the smallest limit on tokens."""
    agent = turn.agent
    parameters = {**(turn.parameters if agent.passthrough else {}), **agent.fixed_parameters}
    bounds = [bound for bound in (turn.max_tokens, agent.max_tokens) if bound is not None]
    return {**parameters, "max_tokens": min(bounds)} if bounds else parameters


def _text(content: object) -> str:
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text")
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
