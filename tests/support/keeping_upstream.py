"""An upstream that keeps its connections, as the real ones do."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from ssl import SSLContext

from tests.support.scripted_upstream import chunk

BODY = chunk("kept", "stop") + b"data: [DONE]\n\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n" % (len(BODY), BODY), 0.0, b"0\r\n\r\n")
AT_ONCE = (HEAD + b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY),)


class KeepingUpstream:
    """Answers each request on a connection with `reply`: bytes to send and seconds to wait.

    It counts the connections; `ended` when one has ended. With `requests` it closes when one more than so many is asked.
    """

    def __init__(self, reply: Sequence[bytes | float] = CHUNKED, requests: int | None = None) -> None:
        self.connections = 0
        self._requests = requests
        self.heads: list[bytes] = []
        self.ended = asyncio.Event()
        self._reply = reply

    @contextlib.asynccontextmanager
    async def listening(self, tls: SSLContext | None = None) -> AsyncIterator[int]:
        """Its port on loopback."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls) as server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, OSError):
            for number in itertools.count():
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.partition(b":")[2]))
                if number == self._requests:
                    break
                for step in self._reply:
                    await self._perform(step, writer)
        self.ended.set()

    @staticmethod
    async def _perform(step: bytes | float, writer: asyncio.StreamWriter) -> None:
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        else:
            await asyncio.sleep(step)
