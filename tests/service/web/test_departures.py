"""Readers that leave: upstream is closed in time, what came is kept and told, and nothing stays behind."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.abandoning import (
    BEFORE_FIRST_TOKEN,
    IN_SILENCE,
    Abandoner,
    abandon,
    function_to_abandon,
    settled,
    started,
)
from tests.support.raw_request import PATH, connected, read_until, request_bytes, reset, stream_id_in
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import HANG, STREAM_HEAD, USAGE, Call, Script, ScriptedUpstream, Step, answer, chunk
from tests.support.waiting import until

GRACE_SECONDS = 1.0
NOTICED_SECONDS = 2.0


def environment(upstream: ScriptedUpstream, **more: str) -> dict[str, str]:
    basics = {"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": upstream.url, "K_SERVICE": "sluice", "HEARTBEAT_SECONDS": "0.3"}
    return {**basics, **more}


@pytest.fixture(scope="module", params=[0.0, GRACE_SECONDS], ids=["no grace", "some grace"])
def grace_seconds(request: pytest.FixtureRequest) -> float:
    grace: float = request.param
    return grace


@pytest.fixture(scope="module")
def function(shared_upstream: ScriptedUpstream, grace_seconds: float) -> Iterator[RunningFunction]:
    with running_function(environment(shared_upstream, RESUME_GRACE_SECONDS=str(grace_seconds))) as function:
        yield function


def first_call(upstream: ScriptedUpstream) -> Call:
    until(lambda: bool(upstream.calls), "a call of upstream")
    return upstream.calls[0]


def entry_of_departure(function: RunningFunction, stream_id: str) -> dict[str, Any]:
    """The `response_complete` of the only request on a stream."""

    def found() -> list[dict[str, Any]]:
        entries = function.entries()
        return [e for e in entries if e.get("stream_id") == stream_id and e["event"] == "response_complete"]

    until(lambda: bool(found()), f"response_complete of {stream_id}")
    return found()[0]


MID_TOKEN: list[Step] = [STREAM_HEAD, *answer(*["tick "] * 200, pause=0.05)[2:]]


@pytest.mark.parametrize("leave", [socket.socket.close, reset], ids=["closed", "reset"])
@pytest.mark.parametrize(
    ("script", "seen"),
    [(MID_TOKEN, b"tick"), (IN_SILENCE, b": ping"), (BEFORE_FIRST_TOKEN, b": ping"), (BEFORE_FIRST_TOKEN, b"")],
    ids=["mid-token", "in silence", "before the first token", "before the status line"],
)
def test_reader_that_leaves_closes_upstream_when_the_grace_has_passed(
    function: RunningFunction,
    upstream: ScriptedUpstream,
    grace_seconds: float,
    script: Script,
    seen: bytes,
    leave: Callable[[socket.socket], None],
) -> None:
    upstream.script = script
    connection = connected(function)
    connection.sendall(request_bytes(function, "hi"))
    call = first_call(upstream)
    read_until(connection, seen)

    left = time.monotonic()
    leave(connection)

    assert call.closed.wait(grace_seconds + 10)
    assert grace_seconds * 0.9 < call.closed_at - left < grace_seconds + NOTICED_SECONDS


def test_plain_request_that_is_left_closes_upstream_at_once(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = IN_SILENCE
    connection = connected(function)
    connection.sendall(request_bytes(function, "hi", stream=False))
    call = first_call(upstream)

    left = time.monotonic()
    connection.close()

    assert call.closed.wait(10)
    assert call.closed_at - left < NOTICED_SECONDS


def test_plain_request_with_an_idempotency_key_has_the_grace_of_a_stream(
    function: RunningFunction, upstream: ScriptedUpstream, grace_seconds: float
) -> None:
    upstream.script = IN_SILENCE
    connection = connected(function)
    connection.sendall(request_bytes(function, "hi", {"idempotency-key": "plain-1"}, stream=False))
    call = first_call(upstream)

    left = time.monotonic()
    connection.close()

    assert call.closed.wait(grace_seconds + 10)
    assert grace_seconds * 0.9 < call.closed_at - left < grace_seconds + NOTICED_SECONDS


def left_mid_stream(function: RunningFunction, upstream: ScriptedUpstream, idempotency_key: str = "") -> str:
    """The id of a stream that was left after two chunks and a running usage, and has ended since."""
    upstream.script = [STREAM_HEAD, chunk("one "), chunk("two", usage=USAGE), HANG]
    connection = connected(function)
    headers = {"idempotency-key": idempotency_key} if idempotency_key else {}
    connection.sendall(request_bytes(function, "hi", headers))
    received = read_until(connection, b"two")
    connection.close()
    assert first_call(upstream).closed.wait(10)
    return stream_id_in(received)


def test_entry_of_a_departure_has_what_came_until_then(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    stream_id = left_mid_stream(function, upstream)

    entry = entry_of_departure(function, stream_id)

    assert entry["client_disconnected"] is True
    assert entry["chunks"] == 2
    assert entry["gen_ai.usage.input_tokens"] == USAGE["prompt_tokens"]
    assert entry["gen_ai.usage.output_tokens"] == USAGE["completion_tokens"]
    assert "gen_ai.response.finish_reasons" not in entry


def test_reader_that_closes_when_it_has_everything_has_not_left(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    ids = []
    for _ in range(30):
        with connected(function) as connection:
            connection.sendall(request_bytes(function, "hi"))
            ids.append(stream_id_in(read_until(connection, b"[DONE]\n\n")))

    assert not any(entry_of_departure(function, stream_id)["client_disconnected"] for stream_id in ids)
    assert len(upstream.calls) == 30


def test_text_of_a_left_stream_can_still_be_read_up_to_its_cancellation(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    stream_id = left_mid_stream(function, upstream)

    with function.client() as client:
        raw = client.get(f"/v1/streams/{stream_id}").text

    *frames, last = raw.removesuffix("\n\n").split("\n\n")
    assert ["one " in frame or "two" in frame for frame in frames] == [False, True, True]
    assert '"code":"cancelled"' in last


def test_left_stream_is_not_replayed_to_a_repetition_but_asked_for_anew(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    stream_id = left_mid_stream(function, upstream, idempotency_key="left")
    until(lambda: cancelled(function, stream_id), "the end of the left stream")
    upstream.script = answer("whole")

    body = {"model": "assistant", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    with function.client() as client:
        reply = client.post(PATH, json=body, headers={"idempotency-key": "left"})

    assert "whole" in reply.text
    assert reply.headers["x-stream-id"] != stream_id
    assert len(upstream.calls) == 2


def cancelled(function: RunningFunction, stream_id: str) -> bool:
    with function.client() as client:
        return bool(client.post(f"/v1/streams/{stream_id}/cancel").json()["status"] == "cancelled")


def test_reader_that_returns_within_the_grace_keeps_the_stream_alive(shared_upstream: ScriptedUpstream) -> None:
    go_on = threading.Event()

    def script(_: Any) -> Iterator[Any]:
        yield from (STREAM_HEAD, chunk("one "))
        assert go_on.wait(10)
        yield from answer("two")[2:]

    shared_upstream.script = script  # type: ignore[assignment]
    settings = environment(shared_upstream, RESUME_GRACE_SECONDS="0.6")
    with running_function(settings) as function, connected(function) as connection, function.client() as client:
        connection.sendall(request_bytes(function, "hi"))
        stream_id = stream_id_in(read_until(connection, b"one "))
        connection.close()
        with client.stream("GET", f"/v1/streams/{stream_id}") as reply:
            pieces = reply.iter_text()
            received = ""
            while received.count(": ping") < 4:  # twice the grace
                received += next(pieces)
            go_on.set()
            received += "".join(pieces)
    assert "two" in received
    assert received.endswith("data: [DONE]\n\n")


MAX_GROWTH_BYTES = 16 << 20
"""The allocator's fragments, which grow ever more slowly; a thousand streams that were kept would take far more."""


def test_a_thousand_abandoned_requests_leave_nothing_behind(shared_upstream: ScriptedUpstream) -> None:
    with function_to_abandon(shared_upstream) as function:
        abandoner = Abandoner(function, shared_upstream)
        abandon(abandoner, 400, at_once=24)  # what is loaded and opened once, and each thread's share of the heap
        before = settled(function, shared_upstream)

        abandon(abandoner, 1000, at_once=24)
        after = settled(function, shared_upstream)

        assert after.threads == before.threads
        assert after.descriptors == before.descriptors
        assert after.resident_bytes - before.resident_bytes < MAX_GROWTH_BYTES
        function.process.send_signal(signal.SIGTERM)
        assert function.process.wait(5) == 0
        assert len(started(function)) > 600
        (draining,) = (entry for entry in function.entries() if entry["event"] == "draining")
        assert draining["open_requests"] == 0
        assert not [entry for entry in function.entries() if entry["severity"] == "ERROR"]


def test_body_that_breaks_off_is_no_fault_of_ours(function: RunningFunction) -> None:
    connection = connected(function)
    connection.sendall(request_bytes(function, "never", {"x-correlation-id": "broken-off"})[:-20])
    until(lambda: "broken-off" in function.log(), "the request's entry")
    reset(connection)

    until(lambda: any(map(completes_broken_off, function.entries())), "the request's end")

    (entry,) = filter(completes_broken_off, function.entries())
    assert (entry["status"], entry["error_type"]) == (400, "invalid_request")
    assert not [entry for entry in function.entries() if entry["severity"] == "ERROR"]


def completes_broken_off(entry: dict[str, Any]) -> bool:
    return entry["event"] == "response_complete" and entry.get("correlation_id") == "broken-off"
