"""The HTTP client: an OpenAI-compatible API's models, and the bytes of its completion streams.

Every exception of httpx and every response that is not what was asked for becomes a ClientError here, at the edge.
"""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from sluice_tui.errors import client_error
from sluice_tui.responses import MAX_ANSWER_BYTES, correlation_id, json_body, not_an_api, refusal
from sluice_tui.transport import Timeouts, no_certificates, translated
from sluice_wire.version import __version__

CANCEL_SECONDS = 3.0

_EVENTS = {"Accept": "text/event-stream"}
_STREAM_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


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
class Asked:
    """What is asked of a model; sent again under the same `key` (Idempotency-Key) it is the same question."""

    model: str
    messages: Sequence[Mapping[str, str]]
    key: str

    @classmethod
    def new(cls, model: str, messages: Sequence[Mapping[str, str]]) -> Self:
        """A question that was not asked before."""
        return cls(model, messages, uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class AnswerBytes:
    """The body of a completion stream as it arrives, and the id that the server's log knows it by.

    `stream_id` is what it can be resumed and cancelled by, "" where the server does not say.
    """

    pieces: AsyncIterator[bytes]
    correlation_id: str
    stream_id: str = ""


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
        remote = _needs_environment(endpoint.url)
        try:
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(self._timeouts.read, connect=self._timeouts.connect),
                headers=_headers(endpoint.api_key),
                trust_env=remote,
                verify=remote or no_certificates(),
            )
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
            raise client_error("environment_unusable", problem=error) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def models(self) -> list[Agent]:
        """The models on offer, in the server's order. Raises ClientError."""
        with self._translated():
            async with self._client.stream("GET", f"{self.url}/models") as response:
                body = await json_body(response)
        if not response.is_success:
            raise refusal(self.url, response, body)
        listed = body.get("data") if isinstance(body, dict) else None
        if not isinstance(listed, list):
            raise not_an_api(self.url, response)
        return [_agent(model) for model in listed if isinstance(model, dict) and isinstance(model.get("id"), str)]

    @asynccontextmanager
    async def completion(self, asked: Asked) -> AsyncIterator[AnswerBytes]:
        """One streamed answer; leaving the context closes its connection.

        Raises ClientError, on entering and while the bytes are read.
        """
        with self._translated():
            async with self._post(asked, asked.key, stream=True, stream_options={"include_usage": True}) as response:
                yield await self._stream(response)

    @asynccontextmanager
    async def resumed(self, stream_id: str, after: int) -> AsyncIterator[AnswerBytes | None]:
        """The frames of a stream that follow the first `after`; None when there are none to come.

        Raises ClientError like `completion`.
        """
        address, cursor = f"{self.url}/streams/{stream_id}", {"starting_after": after}
        with self._translated():
            async with self._client.stream("GET", address, params=cursor, headers=_EVENTS) as response:
                yield None if response.status_code == httpx.codes.NO_CONTENT else await self._stream(response)

    async def plain(self, asked: Asked) -> Any:
        """One answer in one piece: the JSON of a `chat.completion`, unchecked. Raises ClientError."""
        # Another body is another request: what a server keeps under the key may be a stream.
        with self._translated():
            async with self._post(asked, f"{asked.key}-plain", stream=False) as response:
                body = await json_body(response, MAX_ANSWER_BYTES)
        if not response.is_success:
            raise refusal(self.url, response, body)
        return body

    async def cancel(self, stream_id: str) -> None:
        """End a stream on the server: nobody wants it any more. It is tried once, and waited for CANCEL_SECONDS."""
        with suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):
                await self._client.post(f"{self.url}/streams/{stream_id}/cancel")

    def _post(self, asked: Asked, key: str, **how: Any) -> AbstractAsyncContextManager[httpx.Response]:
        body = {"model": asked.model, "messages": asked.messages, **how}
        # UTF-8 has no lone surrogates, and servers refuse them; a question mark stands for each.
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, **(_EVENTS if how["stream"] else {})}
        return self._client.stream("POST", f"{self.url}/chat/completions", content=content, headers=headers)

    async def _stream(self, response: httpx.Response) -> AnswerBytes:
        """The response's body, once it is sure that it is a stream."""
        if not response.is_success:
            raise refusal(self.url, response, await json_body(response))
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise not_an_api(self.url, response)
        stream_id = response.headers.get("x-stream-id", "")
        known = stream_id if _STREAM_ID.fullmatch(stream_id) else ""
        # Only Sluice names its streams, and only Sluice is never silent for long.
        silence = self._timeouts.silence if known else None
        return AnswerBytes(self._pieces(response, silence), correlation_id(response), known)

    async def _pieces(self, response: httpx.Response, silence_seconds: float | None) -> AsyncIterator[bytes]:
        pieces, logged_as = response.aiter_bytes(), correlation_id(response)
        with self._translated(logged_as):
            while True:
                try:
                    async with asyncio.timeout(silence_seconds):
                        piece = await anext(pieces, None)
                except TimeoutError:
                    raise client_error("read_timeout", seconds=silence_seconds, correlation_id=logged_as) from None
                if piece is None:
                    return
                yield piece

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


def _agent(model: dict[str, Any]) -> Agent:
    name, description = model.get("name"), model.get("description")
    return Agent(
        id=model["id"],
        name=name if isinstance(name, str) else "",
        description=description if isinstance(description, str) else "",
    )
