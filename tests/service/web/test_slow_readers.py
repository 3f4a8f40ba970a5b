"""Readers that take nothing: each holds its own connection and nothing else, and not for ever."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from sluice_service.web.tail import WRITE_TIMEOUT_SECONDS
from tests.support.footprint import footprint
from tests.support.raw_request import PATH, connected, read_until, request_bytes
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import HANG, STREAM_HEAD, Script, ScriptedUpstream, answer, chunk
from tests.support.waiting import until

PIECE = "x" * 8000
FLOOD: Script = [STREAM_HEAD, *[chunk(PIECE)] * 900, HANG]
"""More than two sockets' buffers can take, and less than one stream may hold."""

STUCK = 6


@pytest.fixture(scope="module")
def function(shared_upstream: ScriptedUpstream) -> Iterator[RunningFunction]:
    upstream = {"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": shared_upstream.url, "K_SERVICE": "sluice"}
    with running_function({**upstream, "RESUME_GRACE_SECONDS": "60", "IDLE_TIMEOUT_SECONDS": "100"}) as function:
        yield function


def by_question(scripts: dict[str, Script]) -> Callable[[Any], Script]:
    return lambda body: scripts[body["messages"][0]["content"]]


def stuck_reader(function: RunningFunction) -> tuple[socket.socket, str]:
    """A reader that takes the head of a flooding stream and then nothing more; and that stream's id."""
    connection = connected(function, receive_buffer_bytes=4096)
    connection.sendall(request_bytes(function, "flood"))
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    return connection, head.decode().lower().partition("x-stream-id: ")[2].split()[0]


def ask(function: RunningFunction, question: str) -> tuple[float, str]:
    """How long a whole stream took, in seconds, and its bytes."""
    began = time.monotonic()
    body = {"model": "assistant", "stream": True, "messages": [{"role": "user", "content": question}]}
    with function.client() as client:
        text = client.post(PATH, json=body).text
    return time.monotonic() - began, text


@pytest.mark.timeout(90)
def test_reader_that_takes_nothing_holds_its_own_connection_alone_and_is_dropped(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    upstream.script = by_question({"flood": FLOOD, "quick": answer(*["word "] * 50, pause=0.01)})
    with ExitStack() as opened:
        began = time.monotonic()
        stuck = [stuck_reader(function) for _ in range(STUCK)]
        for connection, _ in stuck:
            opened.enter_context(connection)

        with ThreadPoolExecutor(4) as pool:
            others = list(pool.map(lambda _: ask(function, "quick"), range(8)))
        with function.client() as client, client.stream("GET", f"/v1/streams/{stuck[0][1]}") as same:
            received = 0
            for piece in same.iter_raw():
                received += len(piece)
                if received > 900 * len(PIECE):
                    break
        assert time.monotonic() - began < WRITE_TIMEOUT_SECONDS / 2, "others did not wait for those who take nothing"
        assert all(text.endswith("data: [DONE]\n\n") for _, text in others)

        until(lambda: len(departed(function)) == STUCK + 1, "the stuck readers to be dropped", WRITE_TIMEOUT_SECONDS + 15)
        lasted = [float(str(entry["duration_ms"])) / 1000 for entry in departed(function)[1:]]
        assert httpx.get(f"{function.url}/health", timeout=2).status_code == 200

    assert min(lasted) > WRITE_TIMEOUT_SECONDS - 1
    assert max(lasted) < WRITE_TIMEOUT_SECONDS + 10
    dropped = [entry for entry in function.entries() if "took or sent nothing" in str(entry["message"])]
    assert len(dropped) == STUCK
    assert all(entry["severity"] == "WARNING" for entry in dropped)
    assert "Traceback" not in function.log()


def departed(function: RunningFunction) -> Sequence[dict[str, object]]:
    """The entries of requests whose clients went before the end, or were sent away."""
    return [entry for entry in function.entries() if entry.get("client_disconnected") is True]


MIB = 1 << 20
HALF_A_MIB = [STREAM_HEAD, *[chunk(PIECE)] * 64]


def test_logs_of_ended_streams_make_room_oldest_first(shared_upstream: ScriptedUpstream) -> None:
    shared_upstream.script = [*HALF_A_MIB, *answer("end")[2:]]
    with small_function(shared_upstream) as function:
        ids = [stream_of(function) for _ in range(12)]

        with function.client() as client:
            statuses = [client.get(f"/v1/streams/{stream_id}").status_code for stream_id in ids]

        kept = statuses.count(200)
        assert statuses == [404] * (12 - kept) + [200] * kept
        assert 2 <= kept <= 4
        evicted = [entry for entry in function.entries() if entry["event"] == "stream_cleanup"]
        assert [entry["stream_id"] for entry in evicted] == ids[: 12 - kept]
        assert {entry["reason"] for entry in evicted} == {"memory_needed"}


def test_with_live_streams_alone_a_new_turn_is_over_capacity_and_memory_is_bounded(
    shared_upstream: ScriptedUpstream,
) -> None:
    shared_upstream.script = [*HALF_A_MIB, HANG]
    with small_function(shared_upstream) as function, ExitStack() as opened:
        before = footprint(function).resident_bytes
        live = [opened.enter_context(connected(function)) for _ in range(5)]
        for connection in live:
            connection.sendall(request_bytes(function, "hi"))
            assert b" 200 OK" in read_until(connection, PIECE.encode())

        until(lambda: refused(function), "a refusal for lack of memory")

        assert footprint(function).resident_bytes - before < 40 * MIB
        live[0].close()
        until(lambda: not refused(function), "room, once a stream has ended")


def small_function(upstream: ScriptedUpstream) -> Any:
    settings = {"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": upstream.url, "K_SERVICE": "sluice"}
    return running_function({**settings, "MAX_LOG_BYTES": str(2 * MIB), "RESUME_GRACE_SECONDS": "0"})


def stream_of(function: RunningFunction) -> str:
    body = {"model": "assistant", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    with function.client() as client:
        reply = client.post(PATH, json=body)
    assert reply.text.endswith("data: [DONE]\n\n")
    return str(reply.headers["x-stream-id"])


def refused(function: RunningFunction) -> bool:
    body = {"model": "assistant", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    with function.client() as client, client.stream("POST", PATH, json=body) as reply:
        if reply.status_code == 200:
            return False
        error = httpx.Response(reply.status_code, content=reply.read()).json()["error"]
    assert (reply.status_code, error["code"], reply.headers["retry-after"]) == (503, "over_capacity", "1")
    return True


def test_answer_that_is_too_long_for_one_stream_ends_with_an_error(shared_upstream: ScriptedUpstream) -> None:
    shared_upstream.script = FLOOD
    settings = {"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": shared_upstream.url, "MAX_STREAM_BYTES": str(MIB)}
    with running_function(settings) as function:
        shared_upstream.calls.clear()

        _, text = ask(function, "flood")

        assert MIB < len(text) < 2 * MIB
        assert '"code":"output_too_large"' in text.removesuffix("\n\n").rpartition("\n\n")[2]
        assert shared_upstream.calls[0].closed.wait(2)
