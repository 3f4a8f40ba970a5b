"""An upstream that keeps its connections, as the real ones do."""

import asyncio
import contextlib

from tests.support.scripted_upstream import chunk


class KeepingUpstream:
    """Answers any number of requests on a connection, and counts the connections. `ended` when one has ended."""

    def __init__(self, delay_seconds: float = 0) -> None:
        self.connections = 0
        self.heads: list[bytes] = []
        self.ended = asyncio.Event()
        self._delay_seconds = delay_seconds

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.partition(b":")[2]))
                await self._answer(writer)
        self.ended.set()
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        body = chunk("kept", "stop") + b"data: [DONE]\n\n"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%b\r\n" % (len(body), body))
        await writer.drain()
        await asyncio.sleep(self._delay_seconds)
        writer.write(b"0\r\n\r\n")
