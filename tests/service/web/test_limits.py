"""How much one user may have at once and within an hour, and what is switched off altogether."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.support.running_function import RunningFunction, key_entry, running_function
from tests.support.scripted_upstream import CLOSE, HANG, STREAM_HEAD, Script, ScriptedUpstream, answer, chunk
from tests.support.simple_api import agents_file, ask, bodies, complete, content, new_id, read_until, ticket

DEFAULT_STREAMS, DEFAULT_MESSAGES = 10, 100
ENDLESS: Script = [STREAM_HEAD, chunk("a"), HANG]


@pytest.fixture(scope="module")
def function(shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    """With the limits as they are when nobody sets any."""
    keys = [key_entry(f"{user}-key", user) for user in ("many", "often", "leaver")]
    keys += [
        key_entry("double-key", "double", limits={"streams": 2}),
        key_entry("rare-key", "rare", limits={"messages_per_hour": 3}),
        key_entry("free-key", "free", limits={"messages_per_hour": 2}),
        key_entry("failing-key", "failing", limits={"messages_per_hour": 2}),
        key_entry("narrow-key", "narrow", agents=["capped"]),
    ]
    environment = {
        "AGENTS_FILE": agents_file(tmp_path_factory.mktemp("agents"), shared_upstream),
        "API_KEYS": json.dumps(keys),
        "STREAMS_PER_USER": "",
        "MESSAGES_PER_HOUR": "",
        "RESUME_GRACE_SECONDS": "20",
        "HEARTBEAT_SECONDS": "0.3",
    }
    with running_function(environment) as function:
        yield function


def user(function: RunningFunction, name: str) -> httpx.Client:
    limits = httpx.Limits(max_connections=50)
    return httpx.Client(base_url=function.url, headers={"Authorization": f"Bearer {name}-key"}, timeout=20, limits=limits)


def begin(client: httpx.Client, opened: ExitStack) -> httpx.Response:
    """A stream that is running and stays open."""
    reply = opened.enter_context(client.stream("POST", "/chat", json={"message": "hi"}))
    assert reply.status_code == 200
    pieces = reply.iter_raw()
    next(pieces)
    opened.callback(lambda: pieces)  # held until then: an iterator that is dropped closes the connection
    return reply


def assert_refused(reply: httpx.Response, code: str, limit: int, remaining: int) -> None:
    body = reply.json()
    assert (reply.status_code, body.get("code") or body["error"]["code"]) == (429, code)
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.headers["x-ratelimit-limit-requests"] == str(limit)
    assert reply.headers["x-ratelimit-remaining-requests"] == str(remaining)
    assert reply.headers["x-ratelimit-reset-requests"].endswith("s")


def test_eleventh_stream_is_refused_and_the_end_of_the_tenth_frees_its_place_at_once(
    function: RunningFunction, upstream: ScriptedUpstream
) -> None:
    upstream.script = ENDLESS
    with ExitStack() as opened:
        client = opened.enter_context(user(function, "many"))
        running = [begin(client, opened) for _ in range(DEFAULT_STREAMS)]
        for refused in (ask(client), ask(client, stream=False), complete(client, stream=True), complete(client)):
            assert_refused(refused, "too_many_streams", DEFAULT_MESSAGES, DEFAULT_MESSAGES - DEFAULT_STREAMS)
        assert len(upstream.calls) == DEFAULT_STREAMS
        client.post(f"/v1/streams/{running[-1].headers['x-stream-id']}/cancel").raise_for_status()
        begin(client, opened)
        assert ask(client).status_code == 429


def test_natural_end_of_a_stream_frees_its_place_at_once(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = answer("short")
    with user(function, "double") as client:
        for _ in range(6):
            assert ask(client).status_code == 200


def test_key_may_have_its_own_number_of_streams(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = ENDLESS
    with ExitStack() as opened:
        client = opened.enter_context(user(function, "double"))
        running = [begin(client, opened) for _ in range(2)]
        assert ask(client).json()["code"] == "too_many_streams"
        for reply in running:
            client.post(f"/v1/streams/{reply.headers['x-stream-id']}/cancel").raise_for_status()


def test_hundred_and_first_message_is_refused(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    with user(function, "often") as client:
        replies = [complete(client) for _ in range(DEFAULT_MESSAGES)]
        assert {reply.status_code for reply in replies} == {200}
        remaining = [int(reply.headers["x-ratelimit-remaining-requests"]) for reply in replies]
        assert remaining == list(range(DEFAULT_MESSAGES))[::-1]
        refused = complete(client)
        assert_refused(refused, "rate_limited", DEFAULT_MESSAGES, 0)
        assert 3400 < int(refused.headers["retry-after"]) <= 3600
        assert_refused(client.post("/v1/tickets", json={"route": "/chat/stream"}), "rate_limited", DEFAULT_MESSAGES, 0)
    assert len(upstream.calls) == DEFAULT_MESSAGES


def test_key_may_have_its_own_number_of_messages(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    with user(function, "rare") as client:
        assert [ask(client, stream=False).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert_refused(ask(client), "rate_limited", 3, 0)
    assert len(upstream.calls) == 3


def test_refused_request_leaves_nothing_behind(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    conversation_id = new_id()
    with user(function, "rare") as client:
        while ask(client, stream=False).status_code == 200:
            pass
        upstream.calls.clear()
        assert ask(client, conversation_id=conversation_id).status_code == 429
        assert client.get(f"/v1/conversations/{conversation_id}").status_code == 404
    assert not upstream.calls


def test_resumes_and_repetitions_are_free(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    with user(function, "free") as client:
        first = ask(client, key="one")
        second = ask(client, key="two")
        assert second.headers["x-ratelimit-remaining-requests"] == "0"
        assert [ask(client, key=key).content for key in ("one", "two")] == [first.content, second.content]
        resumed = client.get(f"/v1/streams/{first.headers['x-stream-id']}")
        assert resumed.content == first.content
        assert ask(client, key="three").status_code == 429
    assert len(upstream.calls) == 2


def test_turn_that_could_not_start_is_given_back(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    with user(function, "double") as other, user(function, "failing") as client:
        conversation_id = new_id()
        ask(other, conversation_id=conversation_id).raise_for_status()
        for _ in range(3):
            assert ask(client, conversation_id=conversation_id).status_code == 404
        assert ask(client).headers["x-ratelimit-remaining-requests"] == "1"
    assert upstream.calls


def test_departed_stream_makes_room_for_a_new_turn(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    upstream.script = ENDLESS
    with ExitStack() as opened:
        client = opened.enter_context(user(function, "leaver"))
        with client.stream("POST", "/chat", json={"message": "first"}) as left:
            read_until(left, b'"a"')
        for _ in range(DEFAULT_STREAMS - 1):
            begin(client, opened)
        wait_until_departed(client, left.headers["x-stream-id"], opened)
        assert ask(client).status_code == 429  # those that are left are being read
        last = bodies(client.get(f"/v1/streams/{left.headers['x-stream-id']}").content)[-1]
    assert last["code"] == "cancelled"
    assert upstream.calls[0].closed.wait(5)


def wait_until_departed(client: httpx.Client, stream_id: str, opened: ExitStack) -> None:
    """Until a new turn takes the place of the stream whose reader has gone; that is noticed within a second."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        reply = opened.enter_context(client.stream("POST", "/chat", json={"message": "hi"}))
        if reply.status_code == 200:
            return
    raise AssertionError(f"{stream_id} holds its place though nobody reads it")


def test_key_that_is_restricted_to_agents_gets_403_for_others(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    with user(function, "narrow") as client:
        refusals = [
            complete(client, model="assistant"),
            ask(client, model="assistant"),
            client.get("/v1/models/assistant"),
            client.get("/v1/onboarding/guide"),
        ]
        assert [reply.status_code for reply in refusals] == [403] * 4
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["capped"]
        assert complete(client, model="capped").status_code == 200
    assert [call.body["model"] for call in upstream.calls] == ["m-2"]


# Streaming switched off


@pytest.fixture(scope="module")
def unstreamed(shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    agents = agents_file(tmp_path_factory.mktemp("agents"), shared_upstream)
    with running_function({"AGENTS_FILE": agents, "ENABLE_STREAMING": "false"}) as function:
        yield function


def test_streaming_that_is_switched_off_is_refused_and_plain_requests_go_on(
    unstreamed: RunningFunction, upstream: ScriptedUpstream
) -> None:
    with unstreamed.client() as client:
        token = ticket(client)
        refused = [complete(client, stream=True).json()["error"], ask(client, stream=True).json(), ask(client).json()]
        assert [error["code"] for error in refused] == ["streaming_disabled"] * 3
        event = client.get("/chat/stream", params={"token": token, "message": "hi"})
        assert [body["code"] for body in bodies(event.content)] == ["streaming_disabled"]
        assert not upstream.calls
        assert complete(client).json()["choices"][0]["message"]["content"] == "Hello world"
        assert ask(client, stream=False).json()["content"] == "Hello world"


def test_health_says_whether_streaming_is_on(function: RunningFunction, unstreamed: RunningFunction) -> None:
    told = [httpx.get(f"{where.url}/health").json()["features"]["streaming"] for where in (function, unstreamed)]
    assert told == [True, False]


def test_plain_answers_equal_what_the_stream_would_have_said(
    function: RunningFunction, unstreamed: RunningFunction, upstream: ScriptedUpstream
) -> None:
    upstream.script = answer("Grüße", " ☃", "\n\n- a")
    with user(function, "double") as streaming, unstreamed.client() as plain:
        assert content(ask(streaming).content) == ask(plain, stream=False).json()["content"] == "Grüße ☃\n\n- a"
    upstream.script = [STREAM_HEAD, chunk("half"), CLOSE]
    with user(function, "double") as streaming, unstreamed.client() as plain:
        assert bodies(ask(streaming).content)[-1]["code"] == ask(plain, stream=False).json()["code"] == "upstream_truncated"
