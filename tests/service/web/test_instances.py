"""Two instances of the function and one Redis: what one starts the other continues."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_wire.decoder import Decoder
from tests.support.redis_server import RedisServer, redis_server
from tests.support.resuming_client import frames_of, texts
from tests.support.running_function import NO_TLS, RunningFunction, key_entry, running_function
from tests.support.scripted_upstream import CLOSE, HANG, STREAM_HEAD, ScriptedUpstream, answer, chunk

PATH = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], "stream": True}
HTTP = httpx.Client(timeout=30, verify=NO_TLS)
HEADERS = {"Authorization": "Bearer alice-key"}


@pytest.fixture(scope="module", autouse=True)
def _connections() -> Iterator[None]:
    yield
    HTTP.close()


class Instances(NamedTuple):
    a: RunningFunction
    b: RunningFunction
    redis: RedisServer


@contextmanager
def two_instances(upstream: ScriptedUpstream, **more: str) -> Iterator[Instances]:
    with redis_server() as redis:
        environment = {
            "OPENAI_API_KEY": "sk-up",
            "OPENAI_BASE_URL": upstream.url,
            "API_KEYS": json.dumps([key_entry("alice-key", "alice"), key_entry("bob-key", "bob")]),
            "HEARTBEAT_SECONDS": "0.3",
            "REDIS_URL": redis.url,
            **more,
        }
        with ExitStack() as stack, ThreadPoolExecutor(2) as starting:
            a, b = starting.map(stack.enter_context, [running_function(environment), running_function(environment)])
            yield Instances(a, b, redis)


@pytest.fixture(scope="module")
def instances(shared_upstream: ScriptedUpstream) -> Iterator[Instances]:
    with two_instances(shared_upstream) as instances:
        yield instances


def post(function: RunningFunction, key: str | None = None, user: str = "alice", **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {user}-key", **({"Idempotency-Key": key} if key else {})}
    return HTTP.post(function.url + PATH, json={**BODY, **more}, headers=headers, timeout=30)


def resume(function: RunningFunction, stream_id: str, cursor: int = 0, user: str = "alice") -> httpx.Response:
    address = f"{function.url}/v1/streams/{stream_id}?starting_after={cursor}"
    return HTTP.get(address, headers={"Authorization": f"Bearer {user}-key"}, timeout=30)


@contextmanager
def begun(function: RunningFunction) -> Iterator[tuple[str, Iterator[bytes]]]:
    """A stream that has begun: its id, and the pieces still to come."""
    with HTTP.stream("POST", function.url + PATH, json=BODY, headers=HEADERS, timeout=30) as reply:
        pieces = reply.iter_raw()
        first = next(pieces)
        yield reply.headers["x-stream-id"], chain([first], pieces)


def test_stream_is_resumed_elsewhere_after_its_end(instances: Instances, upstream: ScriptedUpstream) -> None:
    upstream.script = answer("one ", "two ", "dreißig ☃")
    reply = post(instances.a)
    stream_id, frames = reply.headers["x-stream-id"], frames_of(reply.content)
    for cursor in range(len(frames)):
        assert frames_of(resume(instances.b, stream_id, cursor).content) == frames[cursor:]
    assert resume(instances.b, stream_id, len(frames)).status_code == 204
    assert resume(instances.b, stream_id, len(frames) + 1).status_code == 400
    assert resume(instances.b, stream_id, 0, user="bob").status_code == 404
    assert len(upstream.calls) == 1


def test_stream_is_followed_elsewhere_while_it_runs(instances: Instances, upstream: ScriptedUpstream) -> None:
    upstream.script = answer(*(f"{i} " for i in range(30)), pause=0.05)
    with begun(instances.a) as (stream_id, pieces), ThreadPoolExecutor(3) as pool:
        elsewhere = [pool.submit(resume, instances.b, stream_id, cursor) for cursor in (0, 1, 2)]
        frames = frames_of(b"".join(pieces))
    for cursor, followed in enumerate(elsewhere):
        assert frames_of(followed.result().content) == frames[cursor:]
    assert len(upstream.calls) == 1


def test_reader_elsewhere_keeps_the_stream_alive_beyond_its_grace(shared_upstream: ScriptedUpstream) -> None:
    shared_upstream.calls.clear()
    shared_upstream.script = answer(*(f"{i} " for i in range(30)), pause=0.2)
    with two_instances(shared_upstream, RESUME_GRACE_SECONDS="3") as instances:
        with begun(instances.a) as (stream_id, _):
            pass
        reply = resume(instances.b, stream_id)
    assert frames_of(reply.content)[-1] == b"data: [DONE]\n\n"


def test_cancel_elsewhere_stops_the_upstream_call(instances: Instances, upstream: ScriptedUpstream) -> None:
    upstream.script = [STREAM_HEAD, chunk("a"), HANG]
    with begun(instances.a) as (stream_id, pieces):
        cancel = f"{instances.b.url}/v1/streams/{stream_id}/cancel"
        assert HTTP.post(cancel, headers=HEADERS, timeout=10).json()["status"] == "cancelled"
        assert b'"code":"cancelled"' in frames_of(b"".join(pieces))[-1]
    assert upstream.calls[0].closed.wait(2)


@pytest.mark.parametrize("streamed", [True, False])
def test_same_key_on_both_at_the_same_instant_makes_one_call(
    instances: Instances, upstream: ScriptedUpstream, streamed: bool
) -> None:
    upstream.script = answer("once", pause=0.3)
    together = threading.Barrier(6)

    def ask(number: int) -> bytes:
        together.wait()
        return post((instances.a, instances.b)[number % 2], f"same-{streamed}", stream=streamed).content

    with ThreadPoolExecutor(6) as pool:
        answers = {b"".join(frames_of(raw)) if streamed else raw for raw in pool.map(ask, range(6))}
    assert len(answers) == 1
    assert len(upstream.calls) == 1


def test_rules_of_idempotency_hold_across_instances(instances: Instances, upstream: ScriptedUpstream) -> None:
    upstream.script = answer("x")
    post(instances.a, "rules")
    other_body = post(instances.b, "rules", temperature=1)
    assert (other_body.status_code, other_body.json()["error"]["code"]) == (422, "idempotency_mismatch")
    post(instances.b, "rules", user="bob")
    assert len(upstream.calls) == 2


def test_failed_answer_is_replaced_elsewhere(instances: Instances, upstream: ScriptedUpstream) -> None:
    upstream.script = [STREAM_HEAD, chunk("half"), CLOSE]
    assert b"upstream_truncated" in post(instances.a, "failed").content
    upstream.script = answer("whole")
    assert b"whole" in post(instances.b, "failed").content
    assert b"whole" in post(instances.a, "failed").content
    assert len(upstream.calls) == 2


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(pieces=st.lists(TEXT, min_size=1, max_size=10), drops=st.lists(st.integers(0, 3000), max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_text_with_any_number_of_drops_arrives_whole_over_two_instances(
    instances: Instances, shared_upstream: ScriptedUpstream, pieces: list[str], drops: list[int]
) -> None:
    shared_upstream.calls.clear()
    shared_upstream.script = answer(*pieces)
    first = post(instances.a)
    stream_id, whole = first.headers["x-stream-id"], frames_of(first.content)
    received = frames_of(first.content[: drops[0] if drops else None].rpartition(b"\n\n")[0] + b"\n\n")
    for number, limit in enumerate([*drops[1:], None]):
        rest = resume((instances.a, instances.b)[(number + 1) % 2], stream_id, len(received)).content
        received += frames_of(rest if limit is None else rest[:limit].rpartition(b"\n\n")[0] + b"\n\n")
    assert received == whole
    assert "".join(texts(b"".join(received))) == "".join(pieces)
    assert len(shared_upstream.calls) == 1


def test_killed_producer_is_told_within_its_lease(shared_upstream: ScriptedUpstream) -> None:
    shared_upstream.script = [STREAM_HEAD, chunk("a"), HANG]
    with (
        two_instances(shared_upstream, IDLE_TIMEOUT_SECONDS="60") as instances,
        begun(instances.a) as (stream_id, _),
        ThreadPoolExecutor(1) as pool,
    ):
        following = pool.submit(resume, instances.b, stream_id)
        instances.b.wait_for_log("request_received GET /v1/streams")
        killed = time.monotonic()
        os.killpg(instances.a.process.pid, signal.SIGKILL)
        error = json.loads(Decoder().feed(following.result(20).content)[-1].data)["error"]
        waited = time.monotonic() - killed
    assert error["code"] == "producer_lost"
    assert waited < 15


def test_redis_restarted_mid_stream_disturbs_no_reader_of_the_producer(shared_upstream: ScriptedUpstream) -> None:
    shared_upstream.script = answer(*(f"{i} " for i in range(40)), pause=0.1)
    with two_instances(shared_upstream) as instances, begun(instances.a) as (stream_id, pieces):
        instances.redis.stop()
        instances.a.wait_for_log("stream_unshared")
        instances.redis.start()
        frames = frames_of(b"".join(pieces))
        assert frames[-1] == b"data: [DONE]\n\n"
        assert frames_of(resume(instances.a, stream_id, 3).content) == frames[3:]
        assert resume(instances.b, stream_id).status_code == 404


def test_store_that_cannot_be_asked_is_said_to_be_unavailable(shared_upstream: ScriptedUpstream) -> None:
    shared_upstream.script = answer("all the same")
    with two_instances(shared_upstream) as instances:
        instances.redis.stop()
        reply = resume(instances.b, "0" * 32)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "storage_unavailable")
        assert b"all the same" in post(instances.b, "claimed-here").content
        instances.b.wait_for_log("claim_unshared")


def test_drained_instance_leaves_its_streams_behind(shared_upstream: ScriptedUpstream) -> None:
    shared_upstream.script = [STREAM_HEAD, chunk("a"), HANG]
    with two_instances(shared_upstream) as instances, begun(instances.a) as (stream_id, pieces):
        instances.a.process.send_signal(signal.SIGTERM)
        frames = frames_of(b"".join(pieces))
        error = json.loads(frames[-1].removeprefix(b"data: "))["error"]
        assert (error["code"], error["resumable"]) == ("server_draining", True)
        instances.a.process.wait(9)
        assert frames_of(resume(instances.b, stream_id, 1).content) == frames[1:]
