"""Write the tables of routes in docs/api.md, and the frames of each kind of stream as the service really sends them."""

import hashlib
import json
import logging
import re
import sys
from collections.abc import Iterator

from flask.testing import FlaskClient
from pydantic import BaseModel

from generated import table, with_parts, write_or_check
from sluice_service.app import create_app
from sluice_service.settings import Settings
from sluice_service.web.operations import EVERYWHERE, KEYED, OPERATIONS, TURN, Operation

PATH = "docs/api.md"
KEY = "any"
CREDENTIALS = {"key": "key", "ticket": "ticket", None: ""}
QUESTION = "In short: what is a weir?"
# What is another at every run.
VARYING = (
    (r"\b[0-9a-f]{32}\b", "6f1c…"),
    (r'("correlation_id": ?)"[^"]*"', r'\1"0c9a…"'),
    (r'("created": ?)\d+', r"\g<1>1767225600"),
    (r'("duration_ms": ?)\d+', r"\g<1>640"),
)


def main() -> int:
    logging.disable()  # of the services that are asked
    parts = {"routes": routes(), "turn": turn_errors(), "openai": "", "simple": "", "eventsource": ""}
    good, late = client(demo_tokens_per_second=10_000), client(demo_tokens_per_second=0.1, timeout_seconds=0.5)
    parts["openai"] = shown(openai(good), openai(late))
    parts["simple"] = shown(simple(good), simple(late))
    parts["eventsource"] = shown(event_source(good), event_source(late))
    return write_or_check("Document every route and frame.", {PATH: with_parts(PATH, parts)})


def routes() -> str:
    """Every operation: what it takes, what it answers, what it refuses with."""
    heads = ["route", "what it does", "with", "fields", "answers", "refuses with"]
    return table(heads, map(_route, OPERATIONS))


def _route(operation: Operation) -> list[str]:
    refusals = [f"`{code}`" for code in dict.fromkeys(operation.errors) if code not in TURN or not _is_turn(operation)]
    return [
        f"`{operation.method.upper()} {operation.path}`",
        operation.summary,
        CREDENTIALS[operation.security],
        ", ".join([*fields(operation.body), *fields(operation.query), *(f"header `{name}`" for name in operation.headers)]),
        ", ".join(_answers(operation)),
        ", ".join([*(["a turn's errors"] if _is_turn(operation) else []), *refusals]),
    ]


def _is_turn(operation: Operation) -> bool:
    return set(TURN) <= set(operation.errors)


def _answers(operation: Operation) -> Iterator[str]:
    if operation.streams:
        yield "SSE"
    if operation.reply is not None:
        yield "JSON" if operation.status == 200 else f"{operation.status}, JSON"
    if operation.empty:
        yield "204"


def fields(model: type[BaseModel] | None) -> Iterator[str]:
    """The fields of a request, each with `?` where it may be left out."""
    for name, field in model.model_fields.items() if model else ():
        yield f"`{name}`" if field.is_required() else f"`{name}?`"


def turn_errors() -> str:
    """The codes that are named together in the table."""
    everywhere, keyed, turn = (", ".join(f"`{code}`" for code in codes) for codes in (EVERYWHERE, KEYED, TURN))
    others = f"Every route also refuses with {everywhere}, and where a key or ticket is wanted with {keyed}."
    return f"{others} A turn's errors: {turn}.\n"


def client(**settings: float) -> FlaskClient:
    """Calls to a service of this process, without a server."""
    keys = json.dumps([{"user": "docs", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}])
    return create_app(Settings.model_validate({"api_keys": keys, "demo_first_token_ms": 0, **settings})).app.test_client()


def openai(service: FlaskClient) -> list[str]:
    """The frames of `POST /v1/chat/completions`."""
    body = {"model": "demo", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    return _posted(service, "/v1/chat/completions", {**body, "stream_options": {"include_usage": True}})


def simple(service: FlaskClient) -> list[str]:
    """The frames of `POST /chat`."""
    return _posted(service, "/chat", {"message": QUESTION})


def event_source(service: FlaskClient) -> list[str]:
    """The frames of `GET /chat/stream`."""
    asked = {"route": "/chat/stream", "message": QUESTION}
    ticket = service.post("/v1/tickets", json=asked, headers=_headers()).json["ticket"]  # type: ignore[index]
    return _frames(service.get(f"/chat/stream?token={ticket}").text)


def _posted(service: FlaskClient, path: str, body: dict[str, object]) -> list[str]:
    return _frames(service.post(path, json=body, headers=_headers()).text)


def _headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}"}


def _frames(text: str) -> list[str]:
    return [block for block in text.split("\n\n") if block and not block.startswith(":")]


def shown(good: list[str], late: list[str]) -> str:
    """The first and last frames of an answer that went well, and the last one of an answer that did not."""
    text = "\n\n".join([*good[:3], "…", *good[-3:], "… or, when it breaks:", late[-1]])
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text)
    return f"```text\n{text}\n```\n"


if __name__ == "__main__":
    sys.exit(main())
