"""The models that a server lists, and what else it can be trusted to do by what it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

_CANNOT_CHAT = re.compile(r"embed|rerank|whisper|tts|moderation|dall-e|transcribe", re.IGNORECASE)
"""OpenAI, Ollama and LM Studio list these among the others, often first."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One of the models that a server offers; all but the id is "" where it does not say."""

    id: str
    name: str = ""
    description: str = ""
    owner: str = ""

    @property
    def title(self) -> str:
        """What to call it."""
        return self.name or self.id


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server does beyond OpenAI's chat completions."""

    sluice: bool = False
    resume: bool = False
    conversations: bool = False
    onboarding: bool = False

    @classmethod
    def of(cls, agents: Sequence[Agent]) -> Self:
        """As its list of models shows: Sluice owns all of its agents, and has everything since its first version."""
        sluice = bool(agents) and all(agent.owner == "sluice" for agent in agents)
        return cls(sluice, sluice, sluice, sluice)


def listed(body: object) -> list[Agent] | None:
    """The models in the body of `GET /models`, each once, in the server's order; None where it is no such list.

    OpenAI's list object; Together sends the list alone, and Ollama null where it has no model.
    """
    if isinstance(body, dict) and "data" in body and body["data"] is None:
        return []
    models = body.get("data") if isinstance(body, dict) else body
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
        return None
    # Some lists, such as those of several servers behind one, have a model twice.
    return list({model["id"]: _agent(model) for model in reversed(models) if isinstance(model.get("id"), str)}.values())[
        ::-1
    ]


def first_that_chats(agents: Sequence[Agent]) -> Agent | None:
    """The one to talk to where nobody has chosen."""
    return next((agent for agent in agents if not _CANNOT_CHAT.search(agent.id)), agents[0] if agents else None)


def _agent(model: dict[str, Any]) -> Agent:
    told = {name: model.get(key) for name, key in (("name", "name"), ("description", "description"), ("owner", "owned_by"))}
    return Agent(model["id"], **{name: text for name, text in told.items() if isinstance(text, str)})
