"""An HTTP proxy on loopback that leads to one upstream, whatever host it is asked for."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

GRANTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class HttpProxy:
    """`heads` are those of its connections' first requests. Each CONNECT is answered with `answer`, then a tunnel.

    With `refuses` every request gets `answer` and the connection stays open in silence, until the client ends it:
    `ended` is set then.
    """

    def __init__(self, upstream_port: int, answer: bytes = GRANTED, *, refuses: bool = False) -> None:
        self.heads: list[bytes] = []
        self.asked = asyncio.Event()
        self.ended = asyncio.Event()
        self.port = 0
        self._upstream_port = upstream_port
        self._answer = answer
        self._refuses = refuses

    @contextlib.asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["HttpProxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            self.asked.set()
            is_connect = head.startswith(b"CONNECT ")
            if is_connect or self._refuses:
                writer.write(self._answer)
            if self._refuses:
                while await reader.read(65536):
                    pass
            else:
                await self._join(reader, writer, b"" if is_connect else head)
        self.ended.set()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        upstream_writer.write(first)
        await asyncio.gather(_pass_on(reader, upstream_writer), _pass_on(upstream_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
