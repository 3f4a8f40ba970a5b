"""The simple API and its relatives, as their tests meet them: agents over a scripted upstream, and frames read back."""

import json
import secrets
from pathlib import Path
from typing import Any

import httpx

from sluice_wire.decoder import Decoder
from tests.support.scripted_upstream import ScriptedUpstream

AGENTS = """
[providers.here]
base_url = "{url}"
[[agents]]
id = "assistant"
provider = "here"
model = "m-1"
[[agents]]
id = "capped"
provider = "here"
model = "m-2"
max_tokens = 50
[[agents]]
id = "impatient"
provider = "here"
model = "m-3"
first_token_timeout_seconds = 0.2
[[agents]]
id = "guide"
provider = "here"
model = "m-4"
[[agents.onboarding]]
key = "goal"
question = "What would you like to achieve?"
[[agents.onboarding]]
key = "when"
question = "By when?"
"""

Body = dict[str, Any]


def agents_file(folder: Path, upstream: ScriptedUpstream) -> str:
    """The path of an agents.toml with the agents above."""
    path = folder / "agents.toml"
    path.write_text(AGENTS.format(url=upstream.url))
    return str(path)


def events(raw: bytes) -> list[tuple[str, Body]]:
    """Every event's id and body."""
    return [(event.id, json.loads(event.data)) for event in Decoder().feed(raw)]


def bodies(raw: bytes) -> list[Body]:
    return [body for _, body in events(raw)]


def content(raw: bytes) -> str:
    return "".join(body.get("content", "") for body in bodies(raw))


def blank_lines_as_dispatched_by_python_clients(raw: bytes) -> int:
    """How many events a client makes that dispatches one on any blank line once it has seen an id (httpx-sse does)."""
    lines = raw.decode().split("\n")[:-1]
    seen_id = False
    dispatched = 0
    for line in lines:
        seen_id = seen_id or line.startswith("id:")
        dispatched += line == "" and seen_id
    return dispatched


def ask(client: httpx.Client, message: str = "hi", **more: Any) -> httpx.Response:
    """POST /chat; `key` is an Idempotency-Key."""
    key = more.pop("key", None)
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/chat", json={"message": message, **more}, headers=headers)


def complete(client: httpx.Client, message: str = "hi", **more: Any) -> httpx.Response:
    """POST /v1/chat/completions."""
    key = more.pop("key", None)
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"model": "assistant", "messages": [{"role": "user", "content": message}], **more}
    return client.post("/v1/chat/completions", json=body, headers=headers)


def ticket(client: httpx.Client, route: str = "/chat/stream", message: str | None = None, turn: str | None = None) -> str:
    asked = {"route": route, "message": message, "turn": turn}
    reply = client.post("/v1/tickets", json={name: value for name, value in asked.items() if value is not None})
    reply.raise_for_status()
    token: str = reply.json()["ticket"]
    return token


def stored(client: httpx.Client, conversation_id: str) -> list[Body]:
    """All messages of a conversation."""
    reply = client.get(f"/v1/conversations/{conversation_id}", params={"limit": 100})
    reply.raise_for_status()
    found: list[Body] = reply.json()["messages"]["data"]
    return found


def new_id() -> str:
    return secrets.token_hex(8)


def read_until(reply: httpx.Response, end: bytes) -> bytes:
    """What comes until `end` is in it. Then the reader has gone: an iterator that is dropped closes the connection."""
    received = b""
    for piece in reply.iter_raw():
        received += piece
        if end in received:
            break
    return received
