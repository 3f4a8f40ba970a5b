"""The agents on offer: agents.toml, read and checked once at the start."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sluice_wire.errors import SluiceError

DEMO_PROVIDER = "demo"

DEMO_AGENT: Mapping[str, Any] = {
    "id": "demo",
    "name": "Demo",
    "description": "Answers offline, without a model: for trying everything out.",
    "provider": DEMO_PROVIDER,
    "model": "demo",
    "passthrough": True,
}


class AgentsError(Exception):
    """The agents cannot be offered as they are written; the message names file, agent and field."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProviderSpec(_Table):
    """One `[providers.NAME]` table: an OpenAI-compatible server and the variable that holds its key, if it wants one.

    With `auth` "google" no key is needed: each call carries a token of the function's own Google account.
    """

    base_url: Annotated[str, Field(pattern=r"^https?://")]
    api_key_env: Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")] | None = None
    auth: Literal["google"] | None = None

    @model_validator(mode="after")
    def _one_kind_of_credentials(self) -> "ProviderSpec":
        if self.auth and self.api_key_env:
            raise ValueError("auth and api_key_env stand side by side, and only one of them can be sent")
        return self


class Upstream(_Table):
    """A model at a provider."""

    provider: str
    model: Annotated[str, Field(min_length=1)]


class Step(_Table):
    """One question of an onboarding agent; its answer is kept under `key`."""

    key: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
    question: Annotated[str, Field(min_length=1)]


class Agent(Upstream):
    """One `[[agents]]` table. Parameters that are set are fixed: a caller's are accepted and ignored."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
    name: str = ""
    description: str = ""
    instructions: str = ""
    fallbacks: tuple[Upstream, ...] = ()
    upstream_stream: bool = True
    passthrough: bool = False
    onboarding: tuple[Step, ...] = ()
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: int | None = None
    first_token_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] | None = None
    idle_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] | None = None
    total_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] | None = None

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """Whom to ask, in order."""
        return (self, *self.fallbacks)

    @property
    def fixed_parameters(self) -> dict[str, Any]:
        """The parameters that this agent sets, by OpenAI's names."""
        names = ("temperature", "top_p", "max_tokens", "presence_penalty", "frequency_penalty", "seed")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class AgentsFile(_Table):
    """The whole of agents.toml."""

    providers: dict[str, ProviderSpec] = {}
    agents: tuple[Agent, ...] = ()

    @model_validator(mode="after")
    def _names_match(self) -> "AgentsFile":
        ids = [agent.id for agent in self.agents]
        for agent in self.agents:
            if ids.count(agent.id) > 1:
                raise ValueError(f"the agent {agent.id!r} stands there twice")
            for upstream in agent.upstreams:
                if upstream.provider not in self.providers and upstream.provider != DEMO_PROVIDER:
                    raise ValueError(f"agent {agent.id!r}: there is no [providers.{upstream.provider}]")
        return self


def read_agents(path: Path) -> AgentsFile:
    """The file, checked. Raises AgentsError with a line for each mistake."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
        return AgentsFile.model_validate(content)
    except ValidationError as error:
        raise AgentsError("\n".join(f"{path.name}: {_place(content, p)}: {p['msg']}." for p in error.errors())) from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AgentsError(f"{path}: {error}.") from error


def _place(content: Mapping[str, Any], problem: Any) -> str:
    location = problem["loc"]
    if location[:1] == ("agents",) and len(location) > 1:
        agent = content["agents"][location[1]]
        number = f"number {location[1] + 1}"
        name = agent.get("id", number) if isinstance(agent, dict) else number
        return f"agent {name}: {'.'.join(map(str, location[2:])) or 'the table'}"
    return ".".join(map(str, location)) or "the file"


class Agents:
    """The agents whose providers can be reached, in the order in which they are offered; the first is the default."""

    def __init__(self, agents: Sequence[Agent]) -> None:
        self._agents = {agent.id: agent for agent in agents}

    def first_with_onboarding(self, patterns: Sequence[str]) -> Agent:
        """The agent that guides a first conversation. Raises `model_not_found` when there is none for this key."""
        for agent in self.allowed(patterns):
            if agent.onboarding:
                return agent
        raise SluiceError("model_not_found", param="model", model="with onboarding steps")

    def allowed(self, patterns: Sequence[str]) -> list[Agent]:
        """The agents that a key with these `agents` may use; `*` stands for all."""
        return [agent for agent in self._agents.values() if _allows(patterns, agent.id)]

    def get_or_default(self, agent_id: str | None, patterns: Sequence[str]) -> Agent:
        """The agent that a caller named, or the first that the key may use. Raises as `get`."""
        if agent_id is not None:
            return self.get(agent_id, patterns)
        for agent in self.allowed(patterns):
            return agent
        raise SluiceError("permission_denied", param="model", model="by default")

    def get(self, agent_id: str, patterns: Sequence[str]) -> Agent:
        """The agent that a caller named. Raises `model_not_found`, `permission_denied`."""
        agent = self._agents.get(agent_id)
        if agent is None:
            raise SluiceError("model_not_found", param="model", model=agent_id)
        if not _allows(patterns, agent_id):
            raise SluiceError("permission_denied", param="model", model=agent_id)
        return agent


def _allows(patterns: Sequence[str], agent_id: str) -> bool:
    return "*" in patterns or agent_id in patterns
