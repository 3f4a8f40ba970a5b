"""What a response says that is not the answer asked for: its JSON, and the error that it means."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx

from sluice_tui.backoff import retry_after
from sluice_tui.errors import ClientError, client_error, told_by_server
from sluice_tui.foreign_errors import openai_error

MAX_BODY_BYTES = 1 << 20
"""How much of a list of models or of an error is read."""

MAX_ANSWER_BYTES = 16 << 20
"""How much of an answer that comes in one piece is read."""


def correlation_id(response: httpx.Response) -> str:
    """The id that the server's log knows the request by."""
    headers = response.headers
    return str(headers.get("x-correlation-id") or headers.get("x-request-id") or "")


async def json_body(response: httpx.Response, limit_bytes: int = MAX_BODY_BYTES) -> Any:
    """The body as JSON, None when it is something else; no more than `limit_bytes` are read."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > limit_bytes:
            return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def refusal(url: str, response: httpx.Response, body: object) -> ClientError:
    """What a response that is no success means: in the server's words where it has some, else by its status."""
    status = response.status_code
    if response.has_redirect_location:
        return client_error("redirected", url=url, location=response.headers["location"])
    ours = _by_status(url, response, told=openai_error(body) is not None)
    told = told_by_server(body, ours)
    told.status = status
    told.retry_after_seconds = retry_after(response.headers.get("retry-after"), datetime.now(UTC))
    if response.headers.get("x-should-retry") == "false":
        told.report = replace(told.report, retryable=False)
    return told


def _by_status(url: str, response: httpx.Response, *, told: bool) -> ClientError:
    """What the status alone says; `told` is whether the server said more."""
    status, logged_as = response.status_code, correlation_id(response)
    if status in (401, 403) and is_page(response):
        return client_error("identity_refused", url=url, status=status, correlation_id=logged_as)
    if status in (401, 403):
        return client_error("credentials_refused", url=url, correlation_id=logged_as)
    if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return client_error("server_error", url=url, status=status, correlation_id=logged_as)
    if told:
        return client_error("request_refused", url=url, status=status, correlation_id=logged_as)
    return not_an_api(url, response)


def is_page(response: httpx.Response) -> bool:
    """Whether it is a page for people, which no API answers with."""
    return str(response.headers.get("content-type", "")).startswith("text/html")


def not_an_api(url: str, response: httpx.Response) -> ClientError:
    """The error for a response that no OpenAI-compatible server gives."""
    error = client_error(
        "not_an_api",
        url=url,
        status=response.status_code,
        content_type=response.headers.get("content-type", "unknown").partition(";")[0],
        correlation_id=correlation_id(response),
    )
    error.status = response.status_code
    return error
