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

from sluice_tui.addresses import needs_environment, origin, other_base_url
from sluice_tui.agents import Agent, listed
from sluice_tui.answer_bytes import AnswerBytes
from sluice_tui.errors import ClientError, client_error, told_by_server
from sluice_tui.foreign_errors import openai_error
from sluice_tui.identity import IdentityTokens, usual_sources
from sluice_tui.responses import MAX_ANSWER_BYTES, correlation_id, is_page, json_body, not_an_api, refusal
from sluice_tui.transport import Timeouts, no_certificates, translated
from sluice_wire.version import __version__

CANCEL_SECONDS = 3.0

_NO_ROUTE = (404, 405)
_UNPROCESSABLE = (400, 422)
_EVENTS = {"Accept": "text/event-stream"}
_STREAM_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an API is (`url` as OpenAI's clients take it, ending in /v1 as a rule) and the key to it.

    `iam` says that Cloud Run checks a Google identity before it.
    """

    url: str
    api_key: str | None = field(default=None, repr=False)
    iam: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a model; sent again under the same `key` (Idempotency-Key) it is the same question.

    With `store` the turn is kept by the server: in `conversation_id`, or in a new conversation where that is None.
    """

    model: str
    messages: Sequence[Mapping[str, str]]
    key: str
    store: bool = False
    conversation_id: str | None = None

    @classmethod
    def new(
        cls, model: str, messages: Sequence[Mapping[str, str]], *, store: bool = False, conversation_id: str | None = None
    ) -> Self:
        """A question that was not asked before."""
        return cls(model, messages, uuid.uuid4().hex, store, conversation_id)

    def body(self, **how: Any) -> bytes:
        """As OpenAI's JSON."""
        stored: dict[str, Any] = {"store": True} if self.store else {}
        if self.store and self.conversation_id is not None:
            stored["metadata"] = {"conversation_id": self.conversation_id}
        body = {"model": self.model, "messages": self.messages, **stored, **how}
        # UTF-8 has no lone surrogates, and servers refuse them; a question mark stands for each.
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


class Api:
    """A client of one endpoint. Use it on one event loop, and close it. Making it may raise ClientError.

    Where an address has no such route it is tried once with /v1, or without it, and what answers is kept as `url`.
    """

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts | None = None) -> None:
        self.url = endpoint.url
        self._other_url: str | None = other_base_url(endpoint.url)
        self._states_usage = True
        self._timeouts = timeouts or Timeouts()
        remote = needs_environment(endpoint.url)
        try:
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(self._timeouts.read, connect=self._timeouts.connect),
                headers=_headers(endpoint.api_key),
                auth=IdentityTokens(origin(endpoint.url), usual_sources()) if endpoint.iam else None,
                trust_env=remote,
                verify=remote or no_certificates(),
            )
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
            raise client_error("environment_unusable", problem=error) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def models(self) -> list[Agent]:
        """The models on offer, in the server's order. Raises ClientError, `models_unlisted` where it has no such list."""
        async with self._response("GET", "/models") as response:
            body = await json_body(response)
        if response.status_code in _NO_ROUTE and openai_error(body) is not None:
            raise client_error("models_unlisted", url=self.url)
        if not response.is_success:
            raise refusal(self.url, response, body)
        agents = listed(body)
        if agents is None:
            raise not_an_api(self.url, response)
        return agents

    @asynccontextmanager
    async def completion(self, asked: Asked) -> AsyncIterator[AnswerBytes]:
        """One streamed answer; leaving the context closes its connection.

        Raises ClientError, on entering and while the bytes are read.
        """
        async with self._post(asked, asked.key, stream=True, **self._usage()) as response:
            if response.status_code not in _UNPROCESSABLE or not self._states_usage:
                yield await self._stream(response)
                return
            body = await json_body(response)
        if "stream_options" not in json.dumps(body):
            raise refusal(self.url, response, body)
        # Servers that check strictly and are older than this option, such as Mistral's once was.
        self._states_usage = False
        async with self._post(asked, asked.key, stream=True) as response:
            yield await self._stream(response)

    @asynccontextmanager
    async def resumed(self, stream_id: str, after: int) -> AsyncIterator[AnswerBytes | None]:
        """The frames of a stream that follow the first `after`; None when there are none to come.

        Raises ClientError like `completion`.
        """
        cursor = {"starting_after": after}
        async with self._response("GET", f"/streams/{stream_id}", params=cursor, headers=_EVENTS) as response:
            yield None if response.status_code == httpx.codes.NO_CONTENT else await self._stream(response)

    async def plain(self, asked: Asked) -> Any:
        """One answer in one piece: the JSON of a `chat.completion`, unchecked. Raises ClientError."""
        # Another body is another request: what a server keeps under the key may be a stream.
        async with self._post(asked, f"{asked.key}-plain", stream=False) as response:
            body = await json_body(response, MAX_ANSWER_BYTES)
        if not response.is_success:
            raise refusal(self.url, response, body)
        return body

    async def call(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """Any other route below the base URL: the JSON that it answers with, None for no content. Raises ClientError."""
        async with self._response(method, path, params=query, json=body) as response:
            told = await json_body(response, MAX_ANSWER_BYTES)
        if not response.is_success:
            raise refusal(self.url, response, told)
        if told is None and response.status_code != httpx.codes.NO_CONTENT:
            raise not_an_api(self.url, response)
        return told

    async def health(self) -> tuple[httpx.Response, Any]:
        """What Sluice says of itself at its root: the response, read, and its JSON. Raises ClientError."""
        with self._translated():
            response = await self._sent("GET", f"{origin(self.url)}/health")
            try:
                return response, await json_body(response)
            finally:
                await response.aclose()

    async def cancel(self, stream_id: str) -> None:
        """End a stream on the server: nobody wants it any more. It is tried once, and waited for CANCEL_SECONDS."""
        with suppress(httpx.HTTPError, ClientError, TimeoutError):
            async with asyncio.timeout(CANCEL_SECONDS):
                await self._client.post(f"{self.url}/streams/{stream_id}/cancel")

    def _usage(self) -> dict[str, Any]:
        return {"stream_options": {"include_usage": True}} if self._states_usage else {}

    def _post(self, asked: Asked, key: str, **how: Any) -> AbstractAsyncContextManager[httpx.Response]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, **(_EVENTS if how["stream"] else {})}
        # The key is 16 bytes in hex, as a trace id is (W3C, Trace Context, 3.2.2): the details of a turn show it.
        headers |= {"traceparent": f"00-{asked.key}-{asked.key[:16]}-00"}
        return self._response("POST", "/chat/completions", content=asked.body(**how), headers=headers)

    @asynccontextmanager
    async def _response(self, method: str, path: str, **how: Any) -> AsyncIterator[httpx.Response]:
        """A response with its body unread, and closed at the end."""
        with self._translated():
            response = await self._sent(method, self.url + path, **how)
            try:
                if response.status_code in _NO_ROUTE and (other := await self._sent_elsewhere(method, path, **how)):
                    await response.aclose()
                    response = other
                elif response.is_success:
                    self._other_url = None
                yield response
            finally:
                await response.aclose()

    async def _sent(self, method: str, address: str, **how: Any) -> httpx.Response:
        return await self._client.send(self._client.build_request(method, address, **how), stream=True)

    async def _sent_elsewhere(self, method: str, path: str, **how: Any) -> httpx.Response | None:
        """The response of the other address that may be meant; None where there is no such route either."""
        if self._other_url is None:
            return None
        url, self._other_url = self._other_url, None
        response = await self._sent(method, url + path, **how)
        if response.status_code in _NO_ROUTE or is_page(response):
            await response.aclose()
            return None
        self.url = url
        return response

    async def _stream(self, response: httpx.Response) -> AnswerBytes:
        """The response's body, once it is sure that it is a stream, or an answer in one piece."""
        if not response.is_success:
            raise refusal(self.url, response, await json_body(response))
        logged_as = correlation_id(response)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            return AnswerBytes.in_one_piece(await self._whole(response), logged_as)
        stream_id = response.headers.get("x-stream-id", "")
        known = stream_id if _STREAM_ID.fullmatch(stream_id) else ""
        # Only Sluice names its streams, and only Sluice is never silent for long.
        silence = self._timeouts.silence if known else None
        return AnswerBytes(self._pieces(response, silence), logged_as, known)

    async def _whole(self, response: httpx.Response) -> Any:
        """The JSON of a server that does not heed `stream`, or that tells of an error with the status of success."""
        body = await json_body(response, MAX_ANSWER_BYTES)
        if isinstance(body, dict) and body.get("choices"):
            return body
        if openai_error(body) is not None:
            raise told_by_server(body, client_error("answer_failed", correlation_id=correlation_id(response)))
        raise not_an_api(self.url, response)

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


def _headers(api_key: str | None) -> list[tuple[bytes, bytes]]:
    """As bytes: a key is hashed by its UTF-8 bytes and may hold any of them. httpx never shows this header's value."""
    headers = [(b"User-Agent", f"sluice/{__version__}".encode())]
    return [*headers, (b"Authorization", b"Bearer " + api_key.encode("utf-8", "replace"))] if api_key else headers
