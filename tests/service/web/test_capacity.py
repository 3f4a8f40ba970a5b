"""What one instance holds: every slot taken, refusals at once, /health in between, a thousand streams."""

import asyncio
import contextlib
import json
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.raw_request import PATH, connected, error_of, read_until, request_bytes
from tests.support.running_function import RunningFunction, running_function
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
# Slow enough that the first one has not ended when the last one begins; heartbeats open the responses meanwhile.
DEMO = {"DEMO_TOKENS_PER_SECOND": "25", "DEMO_FIRST_TOKEN_MS": "8000", "HEARTBEAT_SECONDS": "2", "LOG_LEVEL": "WARNING"}


@pytest.mark.timeout(120)
def test_a_thousand_streams_at_once_are_held_and_every_byte_is_right() -> None:
    with running_function(DEMO) as function:
        answers, most_at_once, health = asyncio.run(ask_all_at_once(function))
    assert most_at_once == STREAMS
    assert statistics.median(health) < MOST_HEALTH_SECONDS
    first, *others = (without_ids(raw) for raw in answers)
    assert first.endswith(b"data: [DONE]\n\n")
    assert first.count(b"data: ") > 20
    assert all(other == first for other in others)


async def ask_all_at_once(function: RunningFunction) -> tuple[list[bytes], int, list[float]]:
    """The bodies; how many streams were open at the same moment; how long /health took at that moment."""
    all_open, opened = asyncio.Event(), 0
    body = json.dumps({"model": "demo", "stream": True, "messages": [{"role": "user", "content": "hi"}]})
    head = f"POST {PATH} HTTP/1.0\r\nhost: x\r\nauthorization: Bearer {function.key}\r\ncontent-type: application/json"
    request = f"{head}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()

    async def one() -> bytes:
        nonlocal opened
        reader, writer = await asyncio.open_connection("127.0.0.1", function.port)
        with contextlib.closing(writer):
            writer.write(request)
            assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
            opened += 1
            if opened == STREAMS:
                all_open.set()
            raw = await reader.read(-1)
            opened -= not all_open.is_set()  # one that ended before all were open does not count
        return raw

    asked = [asyncio.create_task(one()) for _ in range(STREAMS)]
    await asyncio.wait_for(all_open.wait(), 20)
    health = await asyncio.to_thread(health_seconds, function, 9)
    return await asyncio.gather(*asked), opened, health


def without_ids(raw: bytes) -> bytes:
    """The stream without its heartbeats, its id and its time."""
    frames = [block for block in raw.split(b"\n\n") if not block.startswith(b":")]
    plain = []
    for frame in frames:
        start, _, rest = frame.partition(b'"id":"chatcmpl-')
        plain.append(start + rest.partition(b'"model"')[2] if rest else frame)
    return b"\n\n".join(plain)
