"""What one instance holds: every slot taken, refusals at once, /health in between, a thousand streams."""

import asyncio
import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.raw_request import PATH, connected, error_of, read_until, request_bytes
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import ScriptedUpstream, Step, answer
from tests.support.waiting import until

CAPACITY = 40
UNFINISHED = 8
MOST_HEALTH_SECONDS = 0.1
SILENT = {"DEMO_FIRST_TOKEN_MS": "60000", "FIRST_TOKEN_TIMEOUT_SECONDS": "90", "HEARTBEAT_SECONDS": "0.2"}


@pytest.fixture(scope="module")
def function() -> Iterator[RunningFunction]:
    with running_function({**SILENT, "THREADS": str(CAPACITY + 32), "OPENAI_API_KEY": "", "K_SERVICE": "s"}) as function:
        yield function


def stream_bytes(function: RunningFunction) -> bytes:
    return request_bytes(function, "hi").replace(b'"assistant"', b'"demo"     ')


def open_stream(function: RunningFunction, held: ExitStack) -> socket.socket:
    connection = held.enter_context(connected(function))
    connection.sendall(stream_bytes(function))
    assert b" 200 OK" in read_until(connection, b": ping")
    return connection


def unfinished_body(function: RunningFunction, held: ExitStack) -> socket.socket:
    connection = held.enter_context(connected(function))
    connection.sendall(stream_bytes(function)[:-20])
    return connection


def health_seconds(function: RunningFunction, times: int = 50) -> list[float]:
    """How long /health takes, each time on a connection of its own, as a load balancer asks."""
    taken = []
    for _ in range(times):
        began = time.monotonic()
        with connected(function) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b" 200 OK" in read_until(connection, b"healthy")
        taken.append(time.monotonic() - began)
    return taken


def test_limits_are_said_at_the_start(function: RunningFunction) -> None:
    (limits,) = [entry for entry in function.entries() if entry["event"] == "limits"]
    assert limits["capacity"] == CAPACITY
    assert limits["threads"] == CAPACITY + 32
    assert {"max_body_bytes", "max_stream_bytes", "max_log_bytes", "timeout_seconds"} <= limits.keys()


@pytest.mark.parametrize("streams", [CAPACITY, CAPACITY - UNFINISHED], ids=["beyond the slots", "in the slots"])
def test_health_answers_with_every_slot_taken_and_eight_unfinished_bodies(function: RunningFunction, streams: int) -> None:
    with ExitStack() as held:
        for _ in range(streams):
            open_stream(function, held)
        bodies = [unfinished_body(function, held) for _ in range(UNFINISHED)]
        if streams == CAPACITY:  # refused unread: from here on the server waits for them to go
            assert all(b" 503 " in read_until(body, b"over_capacity") for body in bodies)
        else:
            until(lambda: requests_open(function) == CAPACITY, "all of them to be served")
        with connected(function) as next_one:
            began = time.monotonic()
            next_one.sendall(stream_bytes(function))
            refusal = read_until(next_one, b'"correlation_id"')
            refused_seconds = time.monotonic() - began
        taken = health_seconds(function)

    assert b" 503 " in refusal.partition(b"\r\n")[0]
    assert b"\r\nretry-after: 1\r\n" in refusal.lower()
    assert error_of(refusal)["code"] == "over_capacity"
    assert refused_seconds < 1
    assert statistics.median(taken) < MOST_HEALTH_SECONDS, f"worst: {max(taken):.3f} s"
    assert max(taken) < 10 * MOST_HEALTH_SECONDS, "one that had to wait for a slot or a closing connection"
    until(lambda: requests_open(function) == 0, "every slot to be free again")


def requests_open(function: RunningFunction) -> int:
    events = [entry["event"] for entry in function.entries() if PATH in str(entry["message"])]
    return events.count("request_received") - events.count("response_complete")


def test_client_that_does_not_close_holds_up_nobody(function: RunningFunction) -> None:
    with ExitStack() as held:
        for _ in range(5):
            connection = held.enter_context(connected(function))
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            read_until(connection, b"healthy")
        assert max(health_seconds(function, times=10)) < 10 * MOST_HEALTH_SECONDS


STREAMS = 1000
PIECES = 20


@pytest.mark.timeout(180)
def test_a_thousand_streams_at_once_are_held_and_every_byte_is_right(shared_upstream: ScriptedUpstream) -> None:
    go_on = threading.Event()

    def script(body: Any) -> Iterator[Step]:
        assert go_on.wait(150)  # when every stream is open
        yield from answer(*[body["messages"][0]["content"]] * PIECES)

    shared_upstream.script = script  # type: ignore[assignment]
    upstream = {"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": shared_upstream.url, "LOG_LEVEL": "WARNING"}
    patience = {"FIRST_TOKEN_TIMEOUT_SECONDS": "170", "HEARTBEAT_SECONDS": "5"}  # a heartbeat opens the response
    with running_function({**upstream, **patience}) as function:
        answers, health = asyncio.run(ask_all_at_once(function, go_on))

    assert statistics.median(health) < MOST_HEALTH_SECONDS, f"worst: {max(health):.3f} s"
    first = without_ids(answers[0], question(0))
    assert first.count(b"(the question)") == PIECES
    assert first.endswith(b"data: [DONE]\n\n")
    assert all(without_ids(raw, question(number)) == first for number, raw in enumerate(answers))


def question(number: int) -> str:
    return f"<number {number:04}>"


async def ask_all_at_once(function: RunningFunction, go_on: threading.Event) -> tuple[list[bytes], list[float]]:
    """Every stream's bytes, read on only when all were open; and how long /health took while they were."""
    opened = [await opened_stream(function, question(number)) for number in range(STREAMS)]
    for reader, _ in opened:
        assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
    health = await asyncio.to_thread(health_seconds, function, 20)
    go_on.set()
    answers = [await reader.read(-1) for reader, _ in opened]
    for _, writer in opened:
        writer.close()
    return answers, health


async def opened_stream(function: RunningFunction, asked: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", function.port)
    # By HTTP/1.0 the body comes as it is, without chunks.
    writer.write(request_bytes(function, asked).replace(b" HTTP/1.1", b" HTTP/1.0", 1))
    return reader, writer


def without_ids(raw: bytes, asked: str) -> bytes:
    """The stream without its heartbeats, its id, its time and its question."""
    frames = raw.replace(b": ping\n\n", b"").replace(asked.encode(), b"(the question)").split(b"\n\n")
    return b"\n\n".join(re.sub(rb'"id":"[^"]*",(.*?)"created":\d+', rb"\1", frame) for frame in frames)
