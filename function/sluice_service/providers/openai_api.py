"""Any server that speaks OpenAI's chat completions.

Source: OpenAI API reference, "Create chat completion". Deliberate: without the `openai` SDK, whose request costs 0.9 ms of
CPU and whose import costs 0.4 s of a cold start; and nothing is retried, no redirect followed: both would repeat a call
that costs money.
"""

import asyncio
import contextlib
import json
import logging
import ssl
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import chain, islice, repeat
from types import MappingProxyType
from typing import Any
from urllib.parse import SplitResult, urlsplit

from sluice_service.providers.base import KeySource, ModelCall, Take
from sluice_service.providers.completions import Split, chunks_of
from sluice_service.providers.connection import LostConnection, Reply
from sluice_service.providers.event_stream import EventStream, parse_json
from sluice_service.providers.failures import Failure, failure_of, refusal_of
from sluice_service.providers.pool import Origin, Pool
from sluice_service.providers.proxy import Proxy, proxy_for
from sluice_wire.chunks import ErrorChunk, InvalidChunk, events_of
from sluice_wire.decoder import MAX_EVENT_BYTES
from sluice_wire.errors import SluiceError
from sluice_wire.version import __version__

MAX_REFUSAL_BYTES = 64 * 1024
REFUSAL_SECONDS = 5.0
"""How long the body of a refusal may take; its status is told all the same."""

DRAIN_SECONDS = 0.1
"""How long to wait, after `[DONE]`, for the end of the body, which makes the connection reusable."""

MAX_LOGGED_CHARACTERS = 2_000

_BATCH_EVENTS = 256
_INFLATED_BYTES = 64 * 1024
# Identity is asked for, since compression holds tokens back; some servers compress all the same.
_PACKED = frozenset({"gzip", "deflate"})

_log = logging.getLogger("sluice.upstream")


class OpenAIProvider:
    """One OpenAI-compatible server. `api_key` None: it needs none, and no Authorization header is sent.

    An `api_key` that changes with time is a function, which is awaited for each call.
    `split` cuts a text that comes whole. `max_event_bytes` bounds one event of a stream, and a whole reply. Belongs to
    the event loop of its first call. `proxies` and `trusted`: see `proxy_for` and `Origin.of`. Raises ValueError for a
    key, an address or a proxy that no request could be made with.
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
        proxies: Mapping[str, str] = MappingProxyType({}),
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        if isinstance(api_key, str) and not (api_key.isascii() and api_key.isprintable()):
            raise ValueError(f"the key of the provider {name} holds characters that no header can carry")
        url = _checked_url(name, base_url)
        self._name = name
        self._api_key = api_key if isinstance(api_key, str) else None
        self._key_source = None if isinstance(api_key, str) else api_key
        self._split = split
        self._max_event_bytes = max_event_bytes
        proxy = proxy_for(url, proxies)
        self._forwarder = proxy if url.scheme == "http" else None
        self._head = _head(url, self._forwarder)
        self._pool = Pool(Origin.of(url, proxy, trusted), connect_timeout_seconds)

    async def relay(self, call: ModelCall, take: Take) -> None:
        """Make a call: see `Provider.relay`."""
        if self._key_source is not None:
            self._api_key = await self._key_source()
        try:
            async with self._pool.ask(self._request(call)) as reply:
                is_stream = await self._is_stream(reply)
                take(())
                await (self._relay_stream(reply, take) if is_stream else self._relay_whole(reply, take))
        except LostConnection as error:
            raise self._failed(Failure("upstream_unavailable", str(error))) from None

    async def aclose(self) -> None:
        """Close pooled connections."""
        await self._pool.aclose()

    def _request(self, call: ModelCall) -> bytes:
        try:
            body = json.dumps(_body(call), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
        except (ValueError, RecursionError) as error:
            # Its text can hold a message.
            raise self._failed(Failure("upstream_rejected", type(error).__name__)) from None
        accept = b"text/event-stream, application/json" if call.upstream_stream else b"application/json"
        authorization = b"" if self._api_key is None else b"Authorization: Bearer %b\r\n" % self._api_key.encode("ascii")
        return b"%bAccept: %b\r\n%bContent-Length: %d\r\n\r\n%b" % (self._head, accept, authorization, len(body), body)

    async def _is_stream(self, reply: Reply) -> bool:
        """Raises what a refusal stands for, or a reply that is no answer."""
        media_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = _encoding(reply)
        is_success = 200 <= reply.status < 300
        # Which of the two was asked for does not matter: some servers know only one.
        if is_success and encoding in _PACKED | {""} and media_type in ("text/event-stream", "application/json"):
            return media_type == "text/event-stream"
        start = await _start_of(reply)
        if reply.status == 407 and self._forwarder is not None:
            raise self._failed(Failure("upstream_unavailable", self._forwarder.refusal(reply.status)))
        if not is_success:
            raise self._failed(refusal_of(reply.status, reply.headers, start, datetime.now(UTC)))
        said = f"{media_type or 'no content type'} {encoding}: {start.decode('utf-8', 'replace')}"
        raise self._failed(Failure("upstream_invalid_response", said))

    async def _relay_stream(self, reply: Reply, take: Take) -> None:
        stream = EventStream(self._max_event_bytes)

        def feed(data: bytes) -> bool:
            if events := stream.feed(data):
                take(events)
            return stream.ended or stream.failure is not None

        await self._push(reply, feed)
        if stream.failure is not None:
            raise self._failed(failure_of(stream.failure))
        await _drain(reply)

    async def _relay_whole(self, reply: Reply, take: Take) -> None:
        body = await self._read_whole(reply)
        try:
            chunks = chunks_of(parse_json(body), self._split)
            sizes_bytes = chain([len(body)], repeat(0))
            events = chain.from_iterable(map(events_of, chunks, sizes_bytes))
            while batch := list(islice(events, _BATCH_EVENTS)):
                take(batch)
                await asyncio.sleep(0)  # nothing else here waits, and others use this loop
        except (ErrorChunk, InvalidChunk) as failure:
            raise self._failed(failure_of(failure)) from None

    async def _read_whole(self, reply: Reply) -> bytes:
        body = bytearray()

        def feed(data: bytes) -> bool:
            body.extend(data)
            return len(body) > self._max_event_bytes

        await self._push(reply, feed)
        if len(body) > self._max_event_bytes:
            said = f"a reply of more than {self._max_event_bytes} bytes"
            raise self._failed(Failure("upstream_invalid_response", said))
        return bytes(body)

    async def _push(self, reply: Reply, feed: Callable[[bytes], bool]) -> None:
        """Feed the body as it arrives, until that is enough. What feeding raises ends the call."""
        feed_packed = _unpacking(_encoding(reply), feed)
        refused: list[SluiceError | zlib.error] = []

        def sink(data: bytes) -> bool:
            try:
                return feed_packed(data)
            except (SluiceError, zlib.error) as error:
                refused.append(error)
                return True

        try:
            await reply.push_to(sink)
        except LostConnection as error:
            raise self._failed(Failure("upstream_truncated", str(error))) from None
        for failure in refused:
            raise self._failed(failure_of(failure)) if isinstance(failure, zlib.error) else failure

    def _failed(self, failure: Failure) -> SluiceError:
        said = failure.said.replace(self._api_key, "(key)") if self._api_key else failure.said
        _log.warning("%s: %s: %s", self._name, failure.code, ascii(said[:MAX_LOGGED_CHARACTERS])[:MAX_LOGGED_CHARACTERS])
        return SluiceError(failure.code, retry_after_seconds=failure.retry_after_seconds)


def _checked_url(name: str, base_url: str) -> SplitResult:
    try:
        url = urlsplit(base_url)
        has_host = bool(url.hostname) and url.port != 0
    except ValueError as error:
        raise ValueError(f"the address of the provider {name} is not valid: {error}") from None
    if url.scheme not in ("http", "https") or not has_host:
        raise ValueError(f"the address of the provider {name} is not one of http or https")
    if "@" in url.netloc:
        raise ValueError(f"the address of the provider {name} holds a name or a password: use api_key_env")
    if not (base_url.isascii() and base_url.isprintable() and " " not in base_url):
        raise ValueError(f"the address of the provider {name} holds characters that no request can carry")
    return url


def _head(url: SplitResult, forwarder: Proxy | None) -> bytes:
    """The request's head, as far as it is the same for all (RFC 9112, section 3)."""
    path = f"{url.path.rstrip('/')}/chat/completions{'?' + url.query if url.query else ''}"
    target = path if forwarder is None else f"http://{url.netloc}{path}"
    fields = {
        "Host": url.netloc,
        "User-Agent": f"Sluice/{__version__}",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
    }
    lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), ""]
    return "\r\n".join(lines).encode("ascii") + (forwarder.authorization if forwarder else b"")


def _body(call: ModelCall) -> dict[str, Any]:
    body = {**call.parameters, "model": call.model, "messages": call.messages, "stream": call.upstream_stream}
    options = body.pop("stream_options", None)
    if call.upstream_stream:
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return body


def _encoding(reply: Reply) -> str:
    encoding = reply.headers.get("content-encoding", "").strip().lower()
    return "" if encoding == "identity" else encoding


def _unpacking(encoding: str, feed: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
    """Undoes a content coding and feeds what it gives, in pieces of a bounded size. Raises zlib.error when used."""
    if not encoding:
        return feed
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib: it looks

    def unpack(data: bytes) -> bool:
        while data and not inflate.eof:  # zlib would gather all that follows the end
            if feed(inflate.decompress(data, _INFLATED_BYTES)):
                return True
            data = inflate.unconsumed_tail
        return False

    return unpack


async def _start_of(reply: Reply) -> bytes:
    start = bytearray()

    def feed(data: bytes) -> bool:
        start.extend(data)
        return len(start) >= MAX_REFUSAL_BYTES

    with contextlib.suppress(LostConnection, TimeoutError):
        async with asyncio.timeout(REFUSAL_SECONDS):
            await reply.push_to(feed)
    return bytes(start[:MAX_REFUSAL_BYTES])


async def _drain(reply: Reply) -> None:
    with contextlib.suppress(LostConnection, TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await reply.push_to(lambda _: False)
