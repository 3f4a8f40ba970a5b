"""Streams that survive: resume at any cursor, cancel, idempotent repetition."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.resuming_client import frames_of, texts
from tests.support.running_function import NO_TLS, RunningFunction, key_entry, running_function
from tests.support.scripted_upstream import CLOSE, HANG, STREAM_HEAD, ScriptedUpstream, Step, answer, chunk
from tests.support.simple_api import read_until

PATH = "/v1/chat/completions"
BODY: dict[str, Any] = {
    "model": "assistant",
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True,
    "stream_options": {"include_usage": True},
}


@pytest.fixture(scope="module")
def function(shared_upstream: ScriptedUpstream) -> Iterator[RunningFunction]:
    """Two users; a grace that outlasts every test."""
    keys = [key_entry("alice-key", "alice"), key_entry("bob-key", "bob")]
    environment = {
        "OPENAI_API_KEY": "sk-up",
        "OPENAI_BASE_URL": shared_upstream.url,
        "API_KEYS": json.dumps(keys),
        "HEARTBEAT_SECONDS": "0.2",
        "IDLE_TIMEOUT_SECONDS": "20",
    }
    with running_function(environment) as function:
        yield function


def client(function: RunningFunction, user: str = "alice") -> httpx.Client:
    return httpx.Client(base_url=function.url, headers={"Authorization": f"Bearer {user}-key"}, timeout=20, verify=NO_TLS)


def whole_stream(function: RunningFunction) -> tuple[str, bytes]:
    with client(function) as http:
        reply = http.post(PATH, json=BODY)
        return reply.headers["x-stream-id"], reply.content


def resumed(function: RunningFunction, stream_id: str, cursor: int) -> httpx.Response:
    with client(function) as http:
        return http.get(f"/v1/streams/{stream_id}", params={"starting_after": cursor})


def test_resumed_stream_is_byte_identical_from_every_cursor(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = answer("Hello", " wide", " wörld", " ☃")
    stream_id, raw = whole_stream(function)
    frames = frames_of(raw)
    assert frames[-1] == b"data: [DONE]\n\n"
    for cursor in range(len(frames)):
        reply = resumed(function, stream_id, cursor)
        assert reply.status_code == 200
        assert reply.headers["x-stream-id"] == stream_id
        assert frames_of(reply.content) == frames[cursor:]
    assert resumed(function, stream_id, len(frames)).status_code == 204
    assert len(upstream.calls) == 1


def test_failed_stream_is_resumed_to_the_same_error_frame(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = [STREAM_HEAD, chunk("a"), 0.5, CLOSE]
    stream_id, raw = whole_stream(function)
    assert b": ping\n\n" in raw
    frames = frames_of(raw)
    assert b"upstream_truncated" in frames[-1]
    assert frames_of(resumed(function, stream_id, 1).content) == frames[1:]


def test_reader_that_returns_mid_stream_goes_live_when_it_has_caught_up(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    go_on = threading.Event()

    def script(_: Any) -> Iterator[Step]:
        yield from answer("one", "two")[:4:1]
        yield chunk("two")
        go_on.wait(10)
        yield from answer("three")[2:]

    upstream.script = script  # type: ignore[assignment]
    with client(function) as http, http.stream("POST", PATH, json=BODY) as reply:
        stream_id = reply.headers["x-stream-id"]
        seen = frames_of(read_until(reply, b"two"))
    with (
        client(function) as http,
        http.stream("GET", f"/v1/streams/{stream_id}", headers={"Last-Event-ID": str(len(seen))}) as again,
    ):
        go_on.set()
        rest = frames_of(b"".join(again.iter_raw()))
    text = "".join(texts(b"".join(seen + rest)))
    assert text == "onetwothree"
    assert rest[-1] == b"data: [DONE]\n\n"
    assert len(upstream.calls) == 1


def test_many_readers_follow_one_stream_each_from_its_own_place(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    upstream.script = answer(*(f"{i} " for i in range(40)), pause=0.02)
    with client(function) as http, http.stream("POST", PATH, json=BODY) as reply:
        stream_id = reply.headers["x-stream-id"]
        pieces = reply.iter_raw()
        head = next(pieces)
        with ThreadPoolExecutor(8) as pool:
            others = list(pool.map(lambda cursor: resumed(function, stream_id, cursor).content, [0, 1, 2] * 3))
        raw = head + b"".join(pieces)
    frames = frames_of(raw)
    for cursor, other in zip([0, 1, 2] * 3, others, strict=True):
        assert frames_of(other) == frames[cursor:]
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("cursor", ["-1", "x", "1.5", "99999", "", "１", "9" * 40])
def test_malformed_cursor_or_one_beyond_the_end_is_400(
    function: RunningFunction, upstream: ScriptedUpstream, cursor: str
) -> None:
    stream_id, _ = whole_stream(function)
    with client(function) as http:
        reply = http.get(f"/v1/streams/{stream_id}", params={"starting_after": cursor})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_request")
    assert upstream.calls


def test_two_cursors_that_differ_are_400_and_two_equal_ones_are_one(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    stream_id, raw = whole_stream(function)
    path = f"/v1/streams/{stream_id}?starting_after=2"
    with client(function) as http:
        assert http.get(path, headers={"Last-Event-ID": "1"}).status_code == 400
        assert frames_of(http.get(path, headers={"Last-Event-ID": "2"}).content) == frames_of(raw)[2:]
    assert upstream.calls


def test_unknown_and_anothers_streams_are_404_alike(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    stream_id, _ = whole_stream(function)
    with client(function, "bob") as http:
        for path in (f"/v1/streams/{stream_id}", "/v1/streams/unknown"):
            assert http.get(path).json()["error"]["code"] == "not_found"
            assert http.post(f"{path}/cancel").status_code == 404
    assert upstream.calls


def test_plain_answer_is_no_stream_to_resume(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    with client(function) as http:
        body = http.post(PATH, json={**BODY, "stream": False}, headers={"Idempotency-Key": "plain-1"}).json()
        assert http.get(f"/v1/streams/{body['id'].removeprefix('chatcmpl-')}").status_code == 404
    assert upstream.calls


def test_expired_stream_is_404(shared_upstream: ScriptedUpstream) -> None:
    shared_upstream.script = answer("a")
    environment = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": shared_upstream.url, "RESUME_TTL_SECONDS": "0"}
    with running_function({**environment, "LOG_LEVEL": "DEBUG"}) as function, function.client() as http:
        stream_id = http.post(PATH, json=BODY).headers["x-stream-id"]
        function.wait_for_log("stream_cleanup")
        assert http.get(f"/v1/streams/{stream_id}").status_code == 404


def test_cancel_closes_upstream_tells_readers_and_is_idempotent(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    upstream.script = [STREAM_HEAD, chunk("a"), HANG]
    with client(function) as http, http.stream("POST", PATH, json=BODY) as reply:
        stream_id = reply.headers["x-stream-id"]
        pieces = reply.iter_raw()
        next(pieces)
        with client(function) as other:
            answers = [other.post(f"/v1/streams/{stream_id}/cancel").json() for _ in range(2)]
        last = frames_of(b"".join(pieces))[-1]
    assert answers == [{"id": stream_id, "object": "stream", "status": "cancelled"}] * 2
    assert b'"code":"cancelled"' in last
    assert upstream.calls[0].closed.wait(2)


def test_cancel_after_the_end_changes_nothing(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    stream_id, raw = whole_stream(function)
    with client(function) as http:
        assert http.post(f"/v1/streams/{stream_id}/cancel").json()["status"] == "finished"
    assert frames_of(resumed(function, stream_id, 0).content) == frames_of(raw)
    assert upstream.calls


def post_with_key(function: RunningFunction, key: str, user: str = "alice", **more: Any) -> httpx.Response:
    with client(function, user) as http:
        return http.post(PATH, json={**BODY, **more}, headers={"Idempotency-Key": key})


@pytest.mark.parametrize("streamed", [True, False])
def test_same_key_and_body_at_the_same_instant_make_one_call(
    function: RunningFunction, upstream: ScriptedUpstream, streamed: bool
) -> None:
    upstream.script = answer("once", pause=0.2)
    together = threading.Barrier(6)

    def ask(_: int) -> bytes:
        together.wait()
        return post_with_key(function, f"instant-{streamed}", stream=streamed).content

    with ThreadPoolExecutor(6) as pool:
        answers = {b"".join(frames_of(raw)) if streamed else raw for raw in pool.map(ask, range(6))}
    assert len(answers) == 1
    assert len(upstream.calls) == 1
    repeated = post_with_key(function, f"instant-{streamed}", stream=streamed).content
    assert {b"".join(frames_of(repeated)) if streamed else repeated} == answers
    assert len(upstream.calls) == 1


def test_another_body_under_the_same_key_is_422(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    post_with_key(function, "body")
    reply = post_with_key(function, "body", temperature=1)
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "idempotency_mismatch")
    assert len(upstream.calls) == 1


def test_another_users_same_key_is_another_space(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    ids = {post_with_key(function, "shared", user).headers["x-stream-id"] for user in ("alice", "bob")}
    assert len(ids) == 2
    assert len(upstream.calls) == 2


def test_failed_answer_is_replaced_not_replayed(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = [STREAM_HEAD, chunk("half"), CLOSE]
    assert b"upstream_truncated" in post_with_key(function, "again").content
    upstream.script = answer("whole")
    assert b"whole" in post_with_key(function, "again").content
    assert len(upstream.calls) == 2


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
def test_idempotency_key_that_is_none_is_400(function: RunningFunction, upstream: ScriptedUpstream, key: str) -> None:
    reply = post_with_key(function, key)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "Idempotency-Key")
    assert not upstream.calls


@given(
    pieces=st.lists(
        st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1, max_size=12
    ),
    drops=st.lists(st.integers(0, 4000), max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_any_text_with_any_number_of_drops_arrives_whole_from_one_call(
    function: RunningFunction, shared_upstream: ScriptedUpstream, pieces: list[str], drops: list[int]
) -> None:
    shared_upstream.calls.clear()
    shared_upstream.script = answer(*pieces)
    received: list[bytes] = []
    stream_id = ""
    with client(function) as http:
        for limit in [*sorted(drops), None]:
            request = (
                http.build_request("GET", f"/v1/streams/{stream_id}", params={"starting_after": len(received)})
                if stream_id
                else http.build_request("POST", PATH, json=BODY)
            )
            reply = http.send(request, stream=True)
            stream_id = reply.headers.get("x-stream-id", stream_id)
            received += _whole_frames(reply, limit)
            reply.close()
            if reply.status_code == 204 or received[-1:] == [b"data: [DONE]\n\n"]:
                break
    assert "".join(texts(b"".join(received))) == "".join(pieces)
    assert len(shared_upstream.calls) == 1


def _whole_frames(reply: httpx.Response, limit: int | None) -> list[bytes]:
    """What a reader has that drops the connection after so many bytes: frames that are whole."""
    raw = b""
    for piece in reply.iter_raw():
        raw += piece
        if limit is not None and len(raw) >= limit:
            raw = raw[:limit]
            break
    whole, _, _ = raw.rpartition(b"\n\n")
    return frames_of(whole + b"\n\n") if whole else []
