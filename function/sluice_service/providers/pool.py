"""Connections to one upstream server, kept for the next call."""

import asyncio
import contextlib
import functools
import ssl
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import SplitResult

from sluice_service.providers.connection import Connection, LostConnection, Reply, Unanswered
from sluice_service.providers.proxy import DEFAULT_PORTS, Proxy

MAX_IDLE = 100
"""How many unused connections are kept."""

IDLE_SECONDS = 30.0
"""One that was unused for longer may be about to be closed at the other end."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the connections lead; `tls` None for plain HTTP, `proxy` None where no tunnel is needed."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    proxy: Proxy | None

    @classmethod
    def of(cls, url: SplitResult, proxy: Proxy | None, trusted: ssl.SSLContext | None) -> "Origin":
        """Of a server and the proxy on the way there, which serves requests for plain HTTP itself.

        `trusted` None: the authorities that this machine trusts.
        """
        if proxy is not None and url.scheme == "http":
            return cls(proxy.host, proxy.port, (trusted or _authorities()) if proxy.has_tls else None, None)
        tls = (trusted or _authorities()) if url.scheme == "https" else None
        return cls(url.hostname or "", url.port or DEFAULT_PORTS[url.scheme], tls, proxy)

    async def connect(self) -> Connection:
        """Raises OSError and LostConnection."""
        if self.proxy is not None and self.tls is not None:
            return await self.proxy.tunnel(self.host, self.port, self.tls)
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, self.host, self.port, ssl=self.tls))[1]

    def __str__(self) -> str:
        through = f" through the proxy {self.proxy}" if self.proxy else ""
        return f"{self.host}:{self.port}{through}"


@functools.cache
def _authorities() -> ssl.SSLContext:
    # Reading the certificates takes 70 ms: once, at the start, not on the loop that serves every stream.
    trusted = ssl.create_default_context()
    trusted.set_alpn_protocols(["http/1.1"])
    return trusted


class Pool:
    """HTTP/1.1; as many connections as there are calls. Belongs to one event loop."""

    def __init__(self, origin: Origin, connect_timeout_seconds: float) -> None:
        self._origin = origin
        self._connect_timeout_seconds = connect_timeout_seconds
        self._idle: deque[tuple[float, Connection]] = deque()

    @contextlib.asynccontextmanager
    async def ask(self, request: bytes) -> AsyncIterator[Reply]:
        """Send a request; its reply once the head is there. Raises LostConnection.

        Leaving closes the connection, or keeps it when the reply has been read to its end.
        """
        connection, reply = await self._asked(request)
        try:
            yield reply
        finally:
            if reply.reusable and not connection.closed:
                self._keep(connection)
            else:
                await connection.aclose()

    async def aclose(self) -> None:
        """Close what is idle."""
        while self._idle:
            await self._idle.pop()[1].aclose()

    async def _asked(self, request: bytes) -> tuple[Connection, Reply]:
        """Servers close what is idle, perhaps just now: what a kept connection does not answer at all is asked anew."""
        if (kept := self._kept()) is not None:
            with contextlib.suppress(Unanswered):
                return kept, await _headed(kept, request)
        fresh = await self._connected()
        return fresh, await _headed(fresh, request)

    def _kept(self) -> Connection | None:
        """The one that was used last, if it is still good."""
        while self._idle:
            since, connection = self._idle.pop()
            if not connection.closed and asyncio.get_running_loop().time() - since < IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    def _keep(self, connection: Connection) -> None:
        connection.rest()
        now = asyncio.get_running_loop().time()
        while self._idle and (len(self._idle) >= MAX_IDLE or now - self._idle[0][0] >= IDLE_SECONDS):
            self._idle.popleft()[1].abort()
        self._idle.append((now, connection))

    async def _connected(self) -> Connection:
        try:
            async with asyncio.timeout(self._connect_timeout_seconds):
                return await self._origin.connect()
        except TimeoutError:
            raise LostConnection(f"no connection to {self._origin} within {self._connect_timeout_seconds} s") from None
        except OSError as error:
            raise LostConnection(f"no connection to {self._origin}: {error}") from error


async def _headed(connection: Connection, request: bytes) -> Reply:
    reply = connection.ask(request)
    try:
        await reply.head()
    except BaseException:  # cancelled, perhaps just when the head has come
        await connection.aclose()
        raise
    return reply
