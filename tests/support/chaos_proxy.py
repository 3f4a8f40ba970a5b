"""A TCP proxy that breaks connections as a test tells it to: at an exact byte, in either direction.

It stands between a client and the function, or between the function and its upstream, and runs on an asyncio loop of its
own thread. Each new connection takes the next plan, in the order in which they were made; with none left it is passed
through untouched.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self, TypeAlias

_PIECE_BYTES = 1 << 16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Act(Enum):
    """What happens once so many bytes have been passed."""

    DROP = "both sides are closed, as by a proxy that is restarted"
    RESET = "both sides get a TCP reset"
    HALF_CLOSE = "this direction ends cleanly, the other one goes on"
    STALL = "nothing is passed in this direction any more, nothing is closed"
    TRICKLE = "everything further is passed byte by byte"


class Towards(Enum):
    """A direction."""

    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to happen after `at_byte` bytes in its direction, counted from the connection's first."""

    act: Act
    at_byte: int
    towards: Towards = Towards.CLIENT


Plan: TypeAlias = Sequence[Fault]
Pair: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Broken(Exception):
    """Raised where a fault ends the whole connection."""

    def __init__(self, act: Act) -> None:
        super().__init__(act)
        self.act = act


class ChaosProxy:
    """`with ChaosProxy(port) as proxy:` listens on `proxy.port` and connects to `port` on loopback.

    `plans` may be extended at any time; `connections` and `injected` count what came and which faults happened.
    """

    def __init__(self, target_port: int, plans: Sequence[Plan] = ()) -> None:
        self.plans: deque[Plan] = deque(plans)
        self.connections = 0
        self.injected = 0
        self._target_port = target_port
        self._ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, name="chaos proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._loop, self._stop, self.port = self._ready.result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset every connection that is open now."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in self._open:
            _end((writer,), Act.RESET)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=2048)
        stop = asyncio.Event()
        self._ready.set_result((asyncio.get_running_loop(), stop, server.sockets[0].getsockname()[1]))
        await stop.wait()
        server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plan = self.plans.popleft() if self.plans else ()
        self.connections += 1
        try:
            server = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, server[1]}
        try:
            await self._join((reader, writer), server, plan)
            act = Act.DROP
        except _Broken as broken:
            act = broken.act
        except OSError:  # one side was reset: so is the other
            act = Act.RESET
        self._open -= {writer, server[1]}
        _end((writer, server[1]), act)

    async def _join(self, client: Pair, server: Pair, plan: Plan) -> None:
        ended = {towards: asyncio.Event() for towards in Towards}

        async def one_way(source: Pair, target: Pair, towards: Towards, other: Towards) -> None:
            faults = sorted((fault for fault in plan if fault.towards is towards), key=lambda fault: fault.at_byte)
            await self._pass_on(source[0], target[1], faults, ended[other])
            ended[towards].set()

        both = [
            asyncio.create_task(one_way(client, server, Towards.SERVER, Towards.CLIENT)),
            asyncio.create_task(one_way(server, client, Towards.CLIENT, Towards.SERVER)),
        ]
        try:
            await asyncio.gather(*both)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Plan, other_ended: asyncio.Event
    ) -> None:
        """Pass one direction on until its end or its fault; `other_ended` is when a stall has nothing to wait for."""
        passed, piece_bytes = 0, _PIECE_BYTES
        for fault in faults:
            if not await self._copy(reader, writer, fault.at_byte - passed, piece_bytes):
                break
            passed = fault.at_byte
            self.injected += 1
            if fault.act is Act.TRICKLE:
                piece_bytes = 1
            elif fault.act is Act.STALL:
                await other_ended.wait()
                return
            elif fault.act is Act.HALF_CLOSE:
                break
            else:
                raise _Broken(fault.act)
        else:
            await self._copy(reader, writer, None, piece_bytes)
        writer.write_eof()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None, piece_bytes: int
    ) -> bool:
        """Pass on `limit` bytes, or all; False when the source ended before."""
        writer.transport.set_write_buffer_limits(0)  # so that drain() waits until the kernel has everything
        while limit is None or limit > 0:
            data = await reader.read(piece_bytes if limit is None else min(piece_bytes, limit))
            if not data:
                return False
            writer.write(data)
            await writer.drain()
            limit = None if limit is None else limit - len(data)
            if piece_bytes == 1:
                await asyncio.sleep(0)  # so that each byte is a segment of its own
        return True


def _end(writers: Sequence[asyncio.StreamWriter], act: Act) -> None:
    for writer in writers:
        if act is Act.RESET:
            with contextlib.suppress(OSError):  # it may be closed already
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()
        else:
            writer.close()
