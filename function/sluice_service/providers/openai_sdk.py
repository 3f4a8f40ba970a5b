"""Any server that speaks OpenAI's chat completions, called through the `openai` SDK.

The SDK authenticates, builds the request and types the failures; the bytes of the answer are read here, without a model
per chunk. It retries nothing and follows no redirect: both would repeat a call that costs money.
"""

import asyncio
import contextlib
import functools
import logging
import ssl
import urllib.request
from collections.abc import AsyncGenerator, Callable
from itertools import chain, islice, repeat
from typing import Any, cast

import httpx2
import openai
from openai.resources.chat.completions import AsyncCompletions  # else loaded by the first call, on the loop, for 30 ms

from sluice_service.providers.base import KeySource, ModelCall, Take
from sluice_service.providers.completions import Split, chunks_of
from sluice_service.providers.event_stream import EventStream, parse_json
from sluice_service.providers.failures import LOST_CONNECTION, NO_REQUEST, Failure, failure_of
from sluice_service.providers.transport import PUSHED, Transport
from sluice_wire.chunks import ErrorChunk, InvalidChunk, events_of
from sluice_wire.decoder import MAX_EVENT_BYTES
from sluice_wire.errors import SluiceError

MAX_REFUSAL_BYTES = 64 * 1024
REFUSAL_SECONDS = 5.0
"""How long the body of a refusal may take; its status is told all the same."""

DRAIN_SECONDS = 0.1
"""How long to wait, after `[DONE]`, for the end of the body, which makes the connection reusable."""

MAX_LOGGED_CHARACTERS = 2_000

_BATCH_EVENTS = 256
# Identity is asked for, since compression holds tokens back; these two are what httpx2 undoes without extra packages.
_KNOWN_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})

_log = logging.getLogger("sluice.upstream")


class OpenAIProvider:
    """One OpenAI-compatible server. `api_key` None: it needs none, and no Authorization header is sent.

    An `api_key` that changes with time is a function, which is awaited for each call.
    `split` cuts a text that comes whole. `max_event_bytes` bounds one event of a stream, and a whole reply. Belongs to
    the event loop of its first call. Raises ValueError for a key or an address that no request could be made with.
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        api_key: str | KeySource | None,
        split: Split,
        max_event_bytes: int = MAX_EVENT_BYTES,
        connect_timeout_seconds: float = 10.0,
    ) -> None:
        if isinstance(api_key, str) and not (api_key.isascii() and api_key.isprintable()):
            raise ValueError(f"the key of the provider {name} holds characters that no header can carry")
        self._name = name
        self._base_url = _checked_url(name, base_url)
        self._api_key = api_key if isinstance(api_key, str) else None
        self._key_source = None if isinstance(api_key, str) else api_key
        self._split = split
        self._max_event_bytes = max_event_bytes
        self._connect_timeout_seconds = connect_timeout_seconds
        self._trusted = _trusted_authorities()
        self._sdk: openai.AsyncOpenAI | None = None

    async def relay(self, call: ModelCall, take: Take) -> None:
        """Make a call: see `Provider.relay`."""
        async with contextlib.AsyncExitStack() as stack:
            response = await self._open(call, stack)
            is_stream = await self._is_stream(response)
            take(())
            await (self._relay_stream(response, take) if is_stream else self._relay_whole(response, take))

    async def aclose(self) -> None:
        """Close pooled connections."""
        if self._sdk is not None:
            await self._sdk.close()

    async def _open(self, call: ModelCall, stack: contextlib.AsyncExitStack) -> httpx2.Response:
        if self._key_source is not None:
            self._api_key = await self._key_source()
        # Everything goes through extra_body, which is sent as it stands; the SDK's own parameters are a closed list.
        request = self._completions().with_streaming_response.create(
            model=call.model, messages=[], extra_body=_body(call), extra_headers=self._headers(call)
        )
        try:
            return (await stack.enter_async_context(request)).http_response
        except (openai.OpenAIError, *NO_REQUEST) as error:
            raise self._failed(failure_of(error)) from None

    def _completions(self) -> AsyncCompletions:
        if self._sdk is None:
            # Proxies are httpx2's own part: what goes through one is read the slower way.
            direct = not urllib.request.getproxies()
            http_client = httpx2.AsyncClient(
                verify=self._trusted,
                transport=Transport(self._trusted) if direct else None,
                follow_redirects=False,
                # How long to wait is the engine's to say; how many calls there are at once, admission's.
                timeout=httpx2.Timeout(None, connect=self._connect_timeout_seconds),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=30.0),
                event_hooks={"response": [_bound_refusal]},
            )
            self._sdk = openai.AsyncOpenAI(
                # Any text will do where the header is left out: without one the SDK would look into the environment.
                api_key=self._api_key or "none",
                base_url=self._base_url,
                max_retries=0,
                timeout=http_client.timeout,
                http_client=http_client,
            )
        return self._sdk.chat.completions

    def _headers(self, call: ModelCall) -> dict[str, str | openai.Omit]:
        # Said for each request, because the SDK would take the last three from the environment, for any server.
        return {
            "Accept": "text/event-stream, application/json" if call.upstream_stream else "application/json",
            "Accept-Encoding": "identity",
            "Authorization": openai.Omit() if self._api_key is None else f"Bearer {self._api_key}",
            "OpenAI-Organization": openai.Omit(),
            "OpenAI-Project": openai.Omit(),
        }

    async def _is_stream(self, response: httpx2.Response) -> bool:
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = response.headers.get("content-encoding", "").strip().lower()
        # Which of the two was asked for does not matter: some servers know only one.
        if encoding in _KNOWN_ENCODINGS and media_type in ("text/event-stream", "application/json"):
            return media_type == "text/event-stream"
        start = await _start_of(response.aiter_bytes())
        said = f"{media_type or 'no content type'} {encoding}: {start.decode('utf-8', 'replace')}"
        raise self._failed(Failure("upstream_invalid_response", said))

    async def _relay_stream(self, response: httpx2.Response, take: Take) -> None:
        stream = EventStream(self._max_event_bytes)
        refused: list[SluiceError] = []

        def feed(data: bytes) -> bool:
            try:
                if events := stream.feed(data):
                    take(events)
            except SluiceError as error:
                refused.append(error)
            return stream.ended or stream.failure is not None or bool(refused)

        try:
            await _push(response, feed)
        except (httpx2.DecodingError, *LOST_CONNECTION) as error:
            raise self._failed(failure_of(error)) from None
        if refused:
            raise refused[0]
        if stream.failure is not None:
            raise self._failed(failure_of(stream.failure))

    async def _relay_whole(self, response: httpx2.Response, take: Take) -> None:
        body = await self._read_whole(response)
        try:
            chunks = chunks_of(parse_json(body), self._split)
            sizes_bytes = chain([len(body)], repeat(0))
            events = chain.from_iterable(map(events_of, chunks, sizes_bytes))
            while batch := list(islice(events, _BATCH_EVENTS)):
                take(batch)
                await asyncio.sleep(0)  # nothing else here waits, and others use this loop
        except (ErrorChunk, InvalidChunk) as failure:
            raise self._failed(failure_of(failure)) from None

    async def _read_whole(self, response: httpx2.Response) -> bytes:
        body = bytearray()
        try:
            async with contextlib.aclosing(response.aiter_bytes()) as pieces:
                async for data in pieces:
                    body += data
                    if len(body) > self._max_event_bytes:
                        said = f"a reply of more than {self._max_event_bytes} bytes"
                        raise self._failed(Failure("upstream_invalid_response", said))
        except (httpx2.DecodingError, *LOST_CONNECTION) as error:
            raise self._failed(failure_of(error)) from None
        return bytes(body)

    def _failed(self, failure: Failure) -> SluiceError:
        said = failure.said.replace(self._api_key, "(key)") if self._api_key else failure.said
        _log.warning("%s: %s: %s", self._name, failure.code, ascii(said[:MAX_LOGGED_CHARACTERS])[:MAX_LOGGED_CHARACTERS])
        return SluiceError(failure.code, retry_after_seconds=failure.retry_after_seconds)


@functools.cache
def _trusted_authorities() -> ssl.SSLContext:
    # Reading the certificates takes 70 ms: once, at the start, not on the loop that serves every stream.
    return httpx2.create_ssl_context()


def _checked_url(name: str, base_url: str) -> str:
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"the address of the provider {name} is not valid: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"the address of the provider {name} is not one of http or https")
    return base_url


def _body(call: ModelCall) -> dict[str, Any]:
    messages = [dict(message) for message in call.messages]
    body = {**call.parameters, "model": call.model, "messages": messages, "stream": call.upstream_stream}
    options = body.pop("stream_options", None)
    if call.upstream_stream:
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return body


async def _bound_refusal(response: httpx2.Response) -> None:
    # The SDK reads a refusal to its end, however long that is and takes: it gets the start of it instead.
    if response.is_success:
        return
    stream = cast(httpx2.AsyncByteStream, response.stream)
    start = await _start_of(cast(AsyncGenerator[bytes, None], aiter(stream)))
    await stream.aclose()
    response.stream = httpx2.ByteStream(start)
    response.encoding = "utf-8"
    response.headers.pop("content-encoding", None)


async def _start_of(body: AsyncGenerator[bytes, None]) -> bytes:
    start = bytearray()
    with contextlib.suppress(*LOST_CONNECTION, httpx2.DecodingError, TimeoutError):
        async with asyncio.timeout(REFUSAL_SECONDS), contextlib.aclosing(body):
            async for piece in body:
                start += piece
                if len(start) >= MAX_REFUSAL_BYTES:
                    break
    return bytes(start[:MAX_REFUSAL_BYTES])


async def _push(response: httpx2.Response, feed: Callable[[bytes], bool]) -> None:
    """Feed the body as it arrives until that is enough, then wait a little for its end."""
    reply = response.extensions.get(PUSHED)
    if reply is not None and response.headers.get("content-encoding", "identity") == "identity":
        await reply.push_to(feed)
        rest = aiter(reply)
    else:
        # Compressed all the same, or through a proxy.
        rest = response.aiter_bytes()
        async for data in rest:
            if feed(data):
                break
    async with contextlib.aclosing(rest):
        await _drain(rest)


async def _drain(pieces: AsyncGenerator[bytes, None]) -> None:
    with contextlib.suppress(*LOST_CONNECTION, httpx2.DecodingError, TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in pieces:
                pass
