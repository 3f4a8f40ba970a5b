"""`GET /v1/models` and `/v1/models/{id}`: the agents that the key may use, and `GET /health`."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flask import Response

from sluice_service.chat.agents import Agent, Agents
from sluice_service.web.ascii_json import ascii_json
from sluice_service.web.errors import JSON_TYPE
from sluice_service.web.gate import principal
from sluice_wire.version import __version__


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The routes that tell what is here."""

    agents: Agents
    streaming_enabled: bool = True
    started: int = field(default_factory=lambda: int(time.time()))

    def models(self) -> Response:
        """OpenAI's list object."""
        data = [self._model(agent) for agent in self.agents.allowed(principal().agents)]
        return _json({"object": "list", "data": data})

    def model(self, agent_id: str) -> Response:
        """One agent. Raises `model_not_found`, `permission_denied`."""
        return _json(self._model(self.agents.get(agent_id, principal().agents)))

    def health(self) -> Response:
        """That the service answers, and since when it is which."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return _json(
            {
                "status": "healthy",
                "timestamp": now,
                "version": __version__,
                "features": {"streaming": self.streaming_enabled},
            }
        )

    def _model(self, agent: Agent) -> dict[str, Any]:
        return {
            "id": agent.id,
            "object": "model",
            "created": self.started,
            "owned_by": "sluice",
            "name": agent.name or agent.id,
            "description": agent.description,
            "onboarding_steps": len(agent.onboarding),
        }


def _json(value: Any) -> Response:
    return Response(ascii_json(value), content_type=JSON_TYPE, headers={"cache-control": "no-store"})
