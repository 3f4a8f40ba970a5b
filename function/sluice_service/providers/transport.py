"""How the SDK's requests reach upstream: a pool of our own connections under its HTTP client."""

import asyncio
import ssl
from collections import deque
from typing import NamedTuple

import httpx2

from sluice_service.providers.connection import Connection

MAX_IDLE = 100
"""How many unused connections are kept for one server."""

IDLE_SECONDS = 30.0
"""An older one may be about to be closed at the other end."""

PUSHED = "sluice.reply"
"""Under this name the reply stands in a response's extensions."""


class Origin(NamedTuple):
    """Where a connection leads."""

    scheme: str
    host: str
    port: int


class Transport(httpx2.AsyncBaseTransport):
    """HTTP/1.1, with TLS by `trusted`. As many connections as there are calls; belongs to one event loop."""

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted
        self._idle: dict[Origin, deque[tuple[float, Connection]]] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it and wait for the head. Raises httpx2.ConnectError, ConnectTimeout, LocalProtocolError; and as `Reply`."""
        wire = _head(request) + await request.aread()
        origin = _origin(request.url)
        connection = self._reused(origin) or await self._connected(origin, _connect_timeout(request))
        reply = connection.ask(wire)
        reply.return_to(lambda returned: self._keep(origin, returned))
        try:
            await reply.head()
        except BaseException:
            await connection.aclose()
            raise
        return httpx2.Response(reply.status, headers=reply.headers, stream=reply, extensions={PUSHED: reply})

    async def aclose(self) -> None:
        """Close what is idle."""
        for kept in self._idle.values():
            for _, connection in kept:
                await connection.aclose()
        self._idle.clear()

    def _reused(self, origin: Origin) -> Connection | None:
        """The one that was used last, if it is still good."""
        kept = self._idle.get(origin)
        while kept:
            since, connection = kept.pop()
            if not connection.closed and asyncio.get_running_loop().time() - since < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        kept = self._idle.setdefault(origin, deque())
        if len(kept) >= MAX_IDLE:
            kept.popleft()[1].abort()
        kept.append((asyncio.get_running_loop().time(), connection))

    async def _connected(self, origin: Origin, timeout_seconds: float | None) -> Connection:
        scheme, host, port = origin
        trusted = self._trusted if scheme == "https" else None
        try:
            async with asyncio.timeout(timeout_seconds):
                loop = asyncio.get_running_loop()
                return (await loop.create_connection(Connection, host, port, ssl=trusted))[1]
        except TimeoutError:
            raise httpx2.ConnectTimeout(f"no connection to {host}:{port} within {timeout_seconds} s") from None
        except OSError as error:
            raise httpx2.ConnectError(str(error)) from error


def _head(request: httpx2.Request) -> bytes:
    """RFC 9112, section 3. Raises httpx2.LocalProtocolError for what would end a line."""
    lines = [request.method.encode("ascii") + b" " + request.url.raw_path + b" HTTP/1.1"]
    lines += (name + b": " + value for name, value in request.headers.raw)
    if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
        raise httpx2.LocalProtocolError("a header holds a line's end")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _origin(url: httpx2.URL) -> Origin:
    return Origin(url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))


def _connect_timeout(request: httpx2.Request) -> float | None:
    timeout: dict[str, float | None] = request.extensions.get("timeout", {})
    return timeout.get("connect")
