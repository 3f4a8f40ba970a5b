"""The HTTP client: an OpenAI-compatible API's models, and the bytes of its completion streams.

Every exception of httpx and every response that is not what was asked for becomes a ClientError here, at the edge.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from sluice_tui.errors import ClientError, client_error, told_by_server
from sluice_tui.transport import Timeouts, translated
from sluice_wire.version import __version__

MAX_BODY_BYTES = 1 << 20
"""How much of a response that is not a stream is read: a list of models, or an error."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an API is (`url` as OpenAI's clients take it, ending in /v1 as a rule) and the key to it."""

    url: str
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Agent:
    """One of the models that a server offers; name and description are "" where it only has an id."""

    id: str
    name: str = ""
    description: str = ""

    @property
    def title(self) -> str:
        """What to call it."""
        return self.name or self.id


@dataclass(frozen=True, slots=True)
class AnswerBytes:
    """The body of a completion stream as it arrives, and the id that the server's log knows it by."""

    pieces: AsyncIterator[bytes]
    correlation_id: str


def base_url(url: str) -> str:
    """An address as a person gives it, as a base URL: a bare host gets the usual /v1.

    Raises ValueError when it is not an http or https address.
    """
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("it must start with http:// or https:// and name a host")
    if parsed.userinfo:
        raise ValueError("it must not hold a password; the key goes into SLUICE_API_KEY")
    return str(parsed.copy_with(path=parsed.path.rstrip("/") or "/v1", query=None, fragment=None))


class Api:
    """A client of one endpoint. Use it on one event loop, and close it. Making it may raise ClientError."""

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts | None = None) -> None:
        self.url = endpoint.url
        self._timeouts = timeouts or Timeouts()
        timeout = httpx.Timeout(self._timeouts.read, connect=self._timeouts.connect)
        try:
            self._client = httpx.AsyncClient(
                timeout=timeout, headers=_headers(endpoint.api_key), trust_env=_needs_environment(endpoint.url)
            )
        except (ImportError, ValueError, OSError) as error:
            raise client_error("environment_unusable", problem=error) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def models(self) -> list[Agent]:
        """The models on offer, in the server's order. Raises ClientError."""
        with self._translated():
            async with self._client.stream("GET", f"{self.url}/models") as response:
                body = await _json_body(response)
        if not response.is_success:
            raise self._refusal(response, body)
        listed = body.get("data") if isinstance(body, dict) else None
        if not isinstance(listed, list):
            raise self._not_an_api(response)
        return [_agent(model) for model in listed if isinstance(model, dict) and isinstance(model.get("id"), str)]

    @asynccontextmanager
    async def completion(self, model: str, messages: Sequence[Mapping[str, str]]) -> AsyncIterator[AnswerBytes]:
        """One streamed answer; leaving the context closes its connection.

        Raises ClientError, on entering and while the bytes are read.
        """
        body = {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
        # UTF-8 has no lone surrogates, and servers refuse them; a question mark stands for each.
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        with self._translated():
            request = self._client.stream("POST", f"{self.url}/chat/completions", content=content, headers=headers)
            async with request as response:
                await self._require_stream(response)
                correlation_id = _correlation_id(response)
                with self._translated(correlation_id):
                    yield AnswerBytes(response.aiter_bytes(), correlation_id)

    async def _require_stream(self, response: httpx.Response) -> None:
        if not response.is_success:
            raise self._refusal(response, await _json_body(response))
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise self._not_an_api(response)

    def _refusal(self, response: httpx.Response, body: object) -> ClientError:
        """What a response that is no success means: in the server's words where it has some, else by its status."""
        status, correlation_id = response.status_code, _correlation_id(response)
        if response.has_redirect_location:
            return client_error("redirected", url=self.url, location=response.headers["location"])
        if status in (401, 403):
            ours = client_error("credentials_refused", url=self.url, correlation_id=correlation_id)
        elif status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            ours = client_error("server_error", url=self.url, status=status, correlation_id=correlation_id)
        else:
            ours = self._not_an_api(response)
        return told_by_server(body, ours)

    def _not_an_api(self, response: httpx.Response) -> ClientError:
        return client_error(
            "not_an_api",
            url=self.url,
            status=response.status_code,
            content_type=response.headers.get("content-type", "unknown").partition(";")[0],
            correlation_id=_correlation_id(response),
        )

    @contextmanager
    def _translated(self, correlation_id: str = "") -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise translated(error, self.url, self._timeouts, correlation_id) from error


def _needs_environment(url: str) -> bool:
    """Whether proxies and certificates from the environment count: on this machine without TLS neither has a part."""
    parsed = httpx.URL(url)
    return parsed.scheme == "https" or parsed.host not in ("127.0.0.1", "::1", "localhost")


def _headers(api_key: str | None) -> list[tuple[bytes, bytes]]:
    """As bytes: a key is hashed by its UTF-8 bytes and may hold any of them. httpx never shows this header's value."""
    headers = [(b"User-Agent", f"sluice/{__version__}".encode())]
    return [*headers, (b"Authorization", b"Bearer " + api_key.encode("utf-8", "replace"))] if api_key else headers


def _correlation_id(response: httpx.Response) -> str:
    headers = response.headers
    return str(headers.get("x-correlation-id") or headers.get("x-request-id") or "")


async def _json_body(response: httpx.Response) -> Any:
    """The body as JSON, None when it is something else; no more than MAX_BODY_BYTES are read."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _agent(model: dict[str, Any]) -> Agent:
    name, description = model.get("name"), model.get("description")
    return Agent(
        id=model["id"],
        name=name if isinstance(name, str) else "",
        description=description if isinstance(description, str) else "",
    )
