"""A stream's body: what the pump writes in the request's place is framed, whole, and keeps nothing alive afterwards."""

import gc
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sluice_service.generation.attempts import Target
from sluice_service.generation.clocks import Clocks
from sluice_service.generation.generation import Generation, Plan
from sluice_service.generation.memory_log import MemoryLog
from sluice_service.generation.pump import Pump
from sluice_service.providers.base import ModelCall
from sluice_service.web.departures import Departures
from sluice_service.web.openai_dialect import OpenAIDialect
from sluice_service.web.tail import Tail
from tests.support.scripted_provider import ScriptedProvider, delta, finish
from tests.support.waiting import until

MakeTail = Callable[..., Tail]


class HesitantSocket(socket.socket):
    """Takes 30 ms for a write: a thread may lose the processor at any moment."""

    def send(self, *arguments: Any) -> int:
        time.sleep(0.03)
        return super().send(*arguments)


@pytest.fixture
def connections() -> Iterator[tuple[HesitantSocket, socket.socket]]:
    """The server's end, and the client's, with little room between them."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.connect(listener.getsockname())
        accepted = listener.accept()[0]
        with HesitantSocket(fileno=accepted.detach()) as ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            yield ours, client


def tail_of(pump: Pump, connection: socket.socket, *steps: Any, heartbeat_seconds: float) -> Tail:
    dialect = OpenAIDialect("s", "m")
    target = Target(ScriptedProvider([*steps, finish()]), ModelCall("m", []))
    plan = Plan("s", "alice", [target], Clocks(30, 30, 60), max_bytes=1 << 24, grace_seconds=30)
    generation = Generation(plan, dialect, MemoryLog(dialect.envelope))
    pump.post(generation.start, lambda _: None)
    departures = Departures(pump)
    return Tail(
        generation,
        pump=pump,
        departures=departures,
        connection=connection,
        heartbeat_seconds=heartbeat_seconds,
        chunked=True,
    )


def write_all(tail: Tail, connection: socket.socket) -> None:
    """As the server does it."""
    for piece in tail:
        connection.sendall(b"%X\r\n%b\r\n" % (len(piece), piece))
    connection.sendall(b"0\r\n\r\n")
    tail.close()
    connection.shutdown(socket.SHUT_WR)


def unchunked(received: bytes) -> bytes:
    """A chunked body's bytes (RFC 9112, section 7.1); fails where its framing is broken."""
    body = b""
    while True:
        size, _, rest = received.partition(b"\r\n")
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n"
        if length == 0:
            return body
        body, received = body + rest[:length], rest[length + 2 :]


def test_slow_client_gets_every_chunk_whole_with_heartbeats_between(
    pump: Pump, connections: tuple[HesitantSocket, socket.socket]
) -> None:
    ours, client = connections
    texts = ["first", "x" * 200_000, "second", "third"]
    steps = [step for text in texts for step in (delta(text), 0.185)]
    tail = tail_of(pump, ours, *steps, heartbeat_seconds=0.2)
    writer = threading.Thread(target=write_all, args=(tail, ours))
    writer.start()
    received = bytearray()
    time.sleep(0.6)  # the client is slow: what it does not take waits on our side
    while data := client.recv(65536):
        received += data
    writer.join()

    body = unchunked(bytes(received))

    assert [body.count(b'"%b"' % text.encode()) for text in texts] == [1] * len(texts)
    assert body.endswith(b"data: [DONE]\n\n")


def test_tail_goes_with_its_request_without_a_collection(
    pump: Pump, connections: tuple[HesitantSocket, socket.socket]
) -> None:
    ours, _ = connections
    gc.disable()
    try:
        tail = tail_of(pump, ours, delta("a"), 0.1, delta("b"), heartbeat_seconds=5)
        write_all(tail, ours)
        kept = weakref.ref(tail)
        del tail
        until(lambda: kept() is None, "the tail is gone")
    finally:
        gc.enable()
