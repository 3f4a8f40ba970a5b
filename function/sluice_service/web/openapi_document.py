"""The service described in OpenAPI 3.1, from the request models and the table of routes.

Source: OpenAPI Specification 3.1.1. It has no words for a stream's frames, so a stream is described by one of its events.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from sluice_service.web import replies
from sluice_service.web.errors import JSON_TYPE
from sluice_service.web.operations import OPERATIONS, Operation
from sluice_wire.errors import ERRORS
from sluice_wire.version import __version__

Json = dict[str, Any]

SECURITY = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key that whoever runs the service has given out."},
    "ticket": {"type": "apiKey", "in": "query", "name": "token", "description": "What POST /v1/tickets gives out."},
}
REQUEST_HEADERS = {
    "Idempotency-Key": ("Repeats of a request with the same key find the first one's answer.", r"^[\x21-\x7e]{1,255}$"),
    "Last-Event-ID": ("The last frame that was received.", r"^([0-9a-f]{32}\.)?[0-9]{1,18}$"),
}
RESPONSE_HEADERS = {
    "x-request-id": "This request's own id.",
    "x-correlation-id": "The caller's X-Correlation-Id or X-Request-Id, or a new one: the log has it.",
    "x-stream-id": "What GET /v1/streams/{stream_id} continues the stream by.",
    "www-authenticate": "That a bearer key is wanted.",
    "retry-after": "Seconds.",
    "x-should-retry": "`false` where trying again does not help.",
    "x-ratelimit-limit-requests": "Messages an hour.",
    "x-ratelimit-remaining-requests": "How many are left.",
    "x-ratelimit-reset-requests": "Until there is room for one more, as in `6m0s`.",
}
EVENT = {
    "description": "One event of the stream: JSON as text, and at the end of a completion `[DONE]`.",
    "type": "object",
    "properties": {"data": {"type": "string"}, "id": {"type": "string"}},
    "required": ["data"],
}
LIMIT_HEADERS = tuple(name for name in RESPONSE_HEADERS if name.startswith("x-ratelimit-"))


def document(max_tokens: int) -> Json:
    """The whole of /openapi.json."""
    paths: dict[str, Json] = defaultdict(dict)
    for operation in OPERATIONS:
        paths[operation.path][operation.method] = _operation(operation)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Sluice", "version": __version__, "description": "Streams chat completions."},
        "paths": paths,
        "components": {
            "securitySchemes": SECURITY,
            "headers": {
                name: {"description": told, "schema": {"type": "string"}} for name, told in RESPONSE_HEADERS.items()
            },
            "schemas": _schemas(max_tokens),
        },
    }


def _schemas(max_tokens: int) -> Json:
    models: list[type[BaseModel]] = [replies.OpenAIError, replies.SimpleError]
    models += [model for each in OPERATIONS for model in (each.body, each.reply) if model is not None]
    _, defined = models_json_schema([(model, "validation") for model in models], ref_template="#/components/schemas/{model}")
    schemas: Json = defined["$defs"]
    schemas["ChatRequest"]["properties"]["max_tokens"]["anyOf"][0]["maximum"] = max_tokens
    return schemas


def _operation(operation: Operation) -> Json:
    told: Json = {
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": list(_parameters(operation)),
        "responses": {**_successes(operation), **_failures(operation)},
        "security": [] if operation.security is None else [{operation.security: []}],
    }
    if operation.body is not None:
        told["requestBody"] = {"required": True, "content": {JSON_TYPE: _schema(operation.body)}}
    return told


def _parameters(operation: Operation) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", operation.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    if operation.query is not None:
        for name, schema in operation.query.model_json_schema()["properties"].items():
            yield {"name": name, "in": "query", "schema": _without_null(schema)}
    for name in operation.headers:
        description, pattern = REQUEST_HEADERS[name]
        schema = {"type": "string", "pattern": pattern}
        yield {"name": name, "in": "header", "description": description, "schema": schema}


def _without_null(schema: Json) -> Json:
    """An address cannot say null: a parameter is there or not."""
    (kept,) = [kind for kind in schema.get("anyOf", [schema]) if kind != {"type": "null"}]
    return {name: value for name, value in {**schema, **kept}.items() if name != "anyOf" and value is not None}


def _successes(operation: Operation) -> Json:
    content: Json = {}
    if operation.reply is not None:
        content[JSON_TYPE] = _schema(operation.reply)
    if operation.streams:
        content["text/event-stream"] = {"schema": EVENT}
    extra = ("x-stream-id",) if operation.streams else ()
    limits = LIMIT_HEADERS if operation.limited else ()
    successes = {}
    if content:
        successes[str(operation.status)] = _response("As asked.", content, (*extra, *limits))
    if operation.empty:
        successes["204"] = _response("There is nothing more to say.", None)
    return successes


def _failures(operation: Operation) -> Json:
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys(operation.codes):
        by_status[ERRORS[code].status].append(code)
    return {str(status): _failure(operation, status, codes) for status, codes in sorted(by_status.items())}


def _failure(operation: Operation, status: int, codes: list[str]) -> Json:
    one_of = {"properties": {"code": {"enum": codes}}}
    model: type[BaseModel] = replies.SimpleError if operation.simple_errors else replies.OpenAIError
    narrowed = one_of if operation.simple_errors else {"properties": {"error": one_of}}
    schema = {"allOf": [_schema(model)["schema"], narrowed]}
    waits = any(ERRORS[code].retryable for code in codes)
    headers = [*(["retry-after"] if waits else ["x-should-retry"]), *(["www-authenticate"] if status == 401 else [])]
    limits = LIMIT_HEADERS if {"rate_limited", "too_many_streams"} & set(codes) else ()
    described = ", ".join(f"`{code}`" for code in codes) + "."
    return _response(described, {JSON_TYPE: {"schema": schema}}, (*headers, *limits))


def _response(description: str, content: Mapping[str, Json] | None, headers: tuple[str, ...] = ()) -> Json:
    named = {name: {"$ref": f"#/components/headers/{name}"} for name in ("x-request-id", "x-correlation-id", *headers)}
    told: Json = {"description": description, "headers": named}
    return told if content is None else {**told, "content": content}


def _schema(model: type[BaseModel]) -> Json:
    return {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
