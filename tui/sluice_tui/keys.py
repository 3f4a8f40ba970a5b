"""API keys for a Sluice service: minted here, handed to their user once, and stored there as a hash alone."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

PREFIX = "sk-sluice-"
RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A new key, and the JSON object to put into the service's API_KEYS."""

    key: str
    entry: str


def mint(
    user: str, agents: Sequence[str] = (), streams: int | None = None, messages_per_hour: int | None = None
) -> MintedKey:
    """A key of 256 random bits for a user; agents and limits are the service's own where they are not given."""
    key = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    entry: dict[str, object] = {"user": user, "sha256": hashlib.sha256(key.encode()).hexdigest()}
    if agents:
        entry["agents"] = list(agents)
    given = {"streams": streams, "messages_per_hour": messages_per_hour}
    if limits := {name: limit for name, limit in given.items() if limit is not None}:
        entry["limits"] = limits
    return MintedKey(key, json.dumps(entry))
