"""Connections to one upstream server, kept for the next call."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sluice_service.providers.connection import Connection, LostConnection, Reply

MAX_IDLE = 100
"""How many unused connections are kept."""

IDLE_SECONDS = 30.0
"""One that was unused for longer may be about to be closed at the other end."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the connections lead; `tls` None for plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None


class Pool:
    """HTTP/1.1; as many connections as there are calls. Belongs to one event loop."""

    def __init__(self, origin: Origin, connect_timeout_seconds: float) -> None:
        self._origin = origin
        self._connect_timeout_seconds = connect_timeout_seconds
        self._idle: deque[tuple[float, Connection]] = deque()

    @asynccontextmanager
    async def ask(self, request: bytes) -> AsyncIterator[Reply]:
        """Send a request; its reply once the head is there. Raises LostConnection.

        Leaving closes the connection, or keeps it when the reply has been read to its end.
        """
        connection = self._kept() or await self._connected()
        reply = connection.ask(request)
        try:
            await reply.head()
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
        if len(self._idle) >= MAX_IDLE:
            self._idle.popleft()[1].abort()
        self._idle.append((asyncio.get_running_loop().time(), connection))

    async def _connected(self) -> Connection:
        origin, loop = self._origin, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_seconds):
                return (await loop.create_connection(Connection, origin.host, origin.port, ssl=origin.tls))[1]
        except TimeoutError:
            said = f"no connection to {origin.host}:{origin.port} within {self._connect_timeout_seconds} s"
            raise LostConnection(said) from None
        except OSError as error:
            raise LostConnection(f"no connection to {origin.host}:{origin.port}: {error}") from error
