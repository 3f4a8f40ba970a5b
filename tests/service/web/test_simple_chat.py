"""`POST /chat` over real sockets: its frames, its one object, its refusals, its place among origins."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice_wire.errors import ERRORS
from tests.support.entries import GrowingLog, named
from tests.support.running_function import RunningFunction, key_entry, running_function
from tests.support.scripted_upstream import (
    CLOSE,
    HANG,
    STREAM_HEAD,
    USAGE,
    Script,
    ScriptedUpstream,
    answer,
    chunk,
    response,
)
from tests.support.simple_api import (
    agents_file,
    ask,
    blank_lines_as_dispatched_by_python_clients,
    bodies,
    complete,
    content,
    events,
    ticket,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ORIGIN = "https://page.example"
FRAME = {"content", "sequence", "is_final", "correlation_id"}
ENDING = {"status", "duration_ms", "total_tokens", "usage", "conversation_id", "persisted"}
ERROR = {"error", "detail", "correlation_id", "code"}


@pytest.fixture(scope="module")
def function(shared_upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    keys = [key_entry("alice-key", "alice"), key_entry("narrow-key", "narrow", agents=["capped"])]
    environment = {
        "AGENTS_FILE": agents_file(tmp_path_factory.mktemp("agents"), shared_upstream),
        "API_KEYS": json.dumps(keys),
        "CORS_ORIGINS": ORIGIN,
        "DEMO_AGENT": "false",
        "HEARTBEAT_SECONDS": "0.3",
        "IDLE_TIMEOUT_SECONDS": "1",
        "FIRST_TOKEN_TIMEOUT_SECONDS": "0.8",
        "K_SERVICE": "sluice",
        "GOOGLE_CLOUD_PROJECT": "p",
    }
    with running_function(environment) as function:
        yield function


@pytest.fixture(scope="module")
def client(function: RunningFunction) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer alice-key", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    with httpx.Client(base_url=function.url, headers=headers, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def log(function: RunningFunction) -> GrowingLog:
    return GrowingLog(function.log_file)


def test_frames_are_numbered_and_the_last_one_says_how_it_went(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    upstream.script = answer("Hel", "lo ☃")
    reply = ask(client, conversation_id="c-frames")
    told = events(reply.content)
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert [event_id for event_id, _ in told] == ["1", "2", "3"]
    assert [body["sequence"] for _, body in told] == [1, 2, 3]
    assert [body["is_final"] for _, body in told] == [False, False, True]
    assert {body["correlation_id"] for _, body in told} == {reply.headers["x-correlation-id"]}
    *chunks, last = (body for _, body in told)
    assert [body.keys() for body in chunks] == [FRAME, FRAME]
    assert last.keys() == FRAME | ENDING
    assert (last["content"], last["status"], last["conversation_id"], last["persisted"]) == (
        "",
        "complete",
        "c-frames",
        True,
    )
    assert (last["total_tokens"], last["usage"]) == (USAGE["total_tokens"], USAGE)
    assert 0 <= last["duration_ms"] < 20_000
    assert content(reply.content) == "Hello ☃"


def test_plain_answer_is_one_object_and_equals_the_stream(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    upstream.script = answer("Hel", "lo", "")
    streamed, plain = ask(client, conversation_id="c-plain"), ask(client, stream=False, conversation_id="c-plain")
    assert plain.headers["content-type"] == "application/json"
    told, last = plain.json(), bodies(streamed.content)[-1]
    assert told.keys() == {"content", "correlation_id"} | ENDING
    assert told["content"] == content(streamed.content) == "Hello"
    same = ENDING - {"duration_ms"}
    assert {name: told[name] for name in same} == {name: last[name] for name in same}


def test_new_conversation_is_named_when_none_is_asked_for(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    first, second = (ask(client, stream=False).json()["conversation_id"] for _ in range(2))
    assert first != second
    assert client.get(f"/v1/conversations/{first}").status_code == 200
    assert upstream.calls


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"message": ""}, "message"),
    ({"message": "x" * 8001}, "message"),
    ({"message": None}, "message"),
    ({"message": ["hi"]}, "message"),
    ({}, "message"),
    ({"message": "hi", "model": "nobody"}, "model"),
    ({"message": "hi", "model": ""}, "model"),
    ({"message": "hi", "model": 1}, "model"),
    ({"message": "hi", "max_tokens": 0}, "max_tokens"),
    ({"message": "hi", "max_tokens": 2001}, "max_tokens"),
    ({"message": "hi", "max_tokens": True}, "max_tokens"),
    ({"message": "hi", "max_tokens": "5"}, "max_tokens"),
    ({"message": "hi", "conversation_id": ""}, "conversation_id"),
    ({"message": "hi", "conversation_id": "a/b"}, "conversation_id"),
    ({"message": "hi", "conversation_id": "x" * 129}, "conversation_id"),
    ({"message": "hi", "stream": "yes"}, "stream"),
    ({"message": "hi", "temperature": 1}, "temperature"),
]


@pytest.mark.parametrize(("body", "field"), REFUSED, ids=[f"{field}-{i}" for i, (_, field) in enumerate(REFUSED)])
def test_what_is_not_valid_is_400_and_names_the_field(
    client: httpx.Client, upstream: ScriptedUpstream, body: dict[str, Any], field: str
) -> None:
    reply = client.post("/chat", json=body)
    told = reply.json()
    assert (reply.status_code, told["code"], told.keys()) == (400, "invalid_request", ERROR)
    assert field in told["error"] + told["detail"]
    assert told["correlation_id"] == reply.headers["x-correlation-id"]
    assert not upstream.calls


def test_message_of_8000_characters_is_taken(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    assert ask(client, "☃" * 8000, stream=False).status_code == 200
    assert upstream.calls[0].body["messages"][-1]["content"] == "☃" * 8000


def test_agent_that_the_key_may_not_use_is_403(function: RunningFunction, upstream: ScriptedUpstream) -> None:
    with httpx.Client(base_url=function.url, headers={"Authorization": "Bearer narrow-key"}) as client:
        refused, default = ask(client, model="assistant"), ask(client, stream=False)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert default.status_code == 200
    assert [call.body["model"] for call in upstream.calls] == ["m-2"]


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [("assistant", None, 2000), ("assistant", 7, 7), ("assistant", 2000, 2000), ("capped", None, 50), ("capped", 60, 50)],
)
def test_smallest_bound_on_tokens_goes_upstream(
    client: httpx.Client, upstream: ScriptedUpstream, model: str, asked: int | None, sent: int
) -> None:
    chosen: dict[str, Any] = {} if asked is None else {"max_tokens": asked}
    ask(client, stream=False, model=model, **chosen).raise_for_status()
    assert upstream.calls[0].body["max_tokens"] == sent


@pytest.mark.parametrize("stream", [True, False])
def test_time_out_before_the_response_began_is_504(client: httpx.Client, upstream: ScriptedUpstream, stream: bool) -> None:
    upstream.script = [STREAM_HEAD, HANG]
    reply = ask(client, model="impatient", stream=stream)
    assert (reply.status_code, reply.json()["code"]) == (504, "first_token_timeout")
    assert reply.json().keys() == ERROR


@pytest.mark.parametrize(
    ("script", "code"),
    [([STREAM_HEAD, chunk("half"), HANG], "idle_timeout"), ([STREAM_HEAD, HANG], "first_token_timeout")],
)
def test_time_out_after_the_response_began_is_an_error_frame(
    client: httpx.Client, upstream: ScriptedUpstream, script: Script, code: str
) -> None:
    upstream.script = script
    reply = ask(client)
    *before, last = bodies(reply.content)
    assert reply.status_code == 200
    assert last.keys() == ERROR | {"sequence", "is_final", "status"}
    assert (last["code"], last["is_final"], last["status"], last["sequence"]) == (code, True, "error", len(before) + 1)
    assert last["correlation_id"] == reply.headers["x-correlation-id"]


def test_heartbeat_is_a_comment_that_no_client_takes_for_an_event(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    upstream.script = [STREAM_HEAD, 0.7, chunk("a"), 0.7, *answer("b")[2:]]
    raw = ask(client).content
    assert raw.startswith(b": ping\nid: 1\n") or raw.startswith(b": ping\n: ping\nid: 1\n")
    assert raw.count(b": ping\n") >= 2
    assert b": ping\n\n" not in raw
    assert blank_lines_as_dispatched_by_python_clients(raw) == len(bodies(raw)) == 3


def test_upstream_that_breaks_off_is_never_complete(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    upstream.script = [STREAM_HEAD, chunk("half"), CLOSE]
    last = bodies(ask(client).content)[-1]
    assert (last["status"], last["code"]) == ("error", "upstream_truncated")
    plain = ask(client, stream=False)
    assert (plain.status_code, plain.json()["code"]) == (502, "upstream_truncated")


def test_dropped_stream_goes_on_with_the_same_bytes(client: httpx.Client, upstream: ScriptedUpstream) -> None:
    upstream.script = answer("one", "two", "three")
    reply = ask(client)
    frames = [block + b"\n\n" for block in reply.content.split(b"\n\n")[:-1]]
    for cursor in range(len(frames)):
        rest = client.get(f"/v1/streams/{reply.headers['x-stream-id']}", headers={"Last-Event-ID": str(cursor)})
        assert rest.content == b"".join(frames[cursor:])
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("stream", [True, False])
def test_same_idempotency_key_asks_the_model_once(client: httpx.Client, upstream: ScriptedUpstream, stream: bool) -> None:
    first, again = (ask(client, stream=stream, key=f"chat-{stream}") for _ in range(2))
    assert first.content == again.content
    assert len(upstream.calls) == 1
    assert "x-ratelimit-limit-requests" in first.headers
    assert "x-ratelimit-limit-requests" not in again.headers


# Properties

SIMPLE = st.fixed_dictionaries(
    {"message": st.text(min_size=1, max_size=30)},
    optional={
        "model": st.sampled_from(("assistant", "capped")),
        "max_tokens": st.integers(1, 2000),
        "conversation_id": st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9_.:@~=+-]{0,20}", fullmatch=True),
        "stream": st.booleans(),
    },
)


@given(body=SIMPLE)
@settings(max_examples=100, deadline=None)
def test_optional_parameters(client: httpx.Client, shared_upstream: ScriptedUpstream, body: dict[str, Any]) -> None:
    """Each may be left out, and does what it says when it is there."""
    shared_upstream.script = answer("ok")
    shared_upstream.calls.clear()
    reply = client.post("/chat", json=body)
    assert reply.status_code == 200
    streamed = body.get("stream", True)
    assert reply.headers["content-type"].startswith("text/event-stream" if streamed else "application/json")
    last = bodies(reply.content)[-1] if streamed else reply.json()
    assert last["conversation_id"] == body.get("conversation_id", last["conversation_id"])
    (call,) = shared_upstream.calls
    capped = body.get("model") == "capped"
    assert call.body["model"] == ("m-2" if capped else "m-1")
    assert call.body["max_tokens"] == min(body.get("max_tokens", 2000), 50 if capped else 2000)
    assert call.body["messages"][-1] == {"role": "user", "content": body["message"]}


OPENINGS = ("/chat", "/v1/chat/completions", "/chat/stream")
ENDINGS: list[Script] = [answer("a", "b"), [STREAM_HEAD, chunk("a"), CLOSE], response("500 No", b"<html>")]


def opened(client: httpx.Client, route: str, origin: str | None) -> httpx.Response:
    headers = {} if origin is None else {"Origin": origin}
    if route == "/chat/stream":
        params = {"message": "hi", "token": ticket(client)}
        return client.get(route, params=params, headers={**headers, "Authorization": ""})
    extra = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    return client.post(route, json={"message": "hi"} if route == "/chat" else extra, headers=headers)


@given(
    route=st.sampled_from(OPENINGS),
    script=st.sampled_from(ENDINGS),
    origin=st.sampled_from((ORIGIN, None, "https://evil.example", "null", f"{ORIGIN}.evil.example")),
)
@settings(max_examples=100, deadline=None)
def test_cors_headers_on_sse(
    client: httpx.Client, shared_upstream: ScriptedUpstream, route: str, script: Script, origin: str | None
) -> None:
    shared_upstream.script = script
    headers = opened(client, route, origin).headers
    assert headers.get("access-control-allow-origin") == (ORIGIN if origin == ORIGIN else None)
    assert "access-control-allow-credentials" not in headers
    assert "Origin" in headers["vary"]
    if origin == ORIGIN:
        exposed = headers["access-control-expose-headers"].split(", ")
        assert {"x-stream-id", "x-correlation-id", "retry-after", "x-ratelimit-remaining-requests"} <= set(exposed)


@pytest.mark.parametrize("path", ["/chat", "/v1/tickets", "/v1/conversations/c", "/v1/onboarding/guide", "/openapi.json"])
def test_preflight_is_answered_without_a_key(function: RunningFunction, path: str) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    reply = httpx.options(f"{function.url}{path}", headers=asked)
    assert reply.status_code == 204
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert reply.headers["access-control-allow-headers"] == "authorization"
    assert {"GET", "POST", "PATCH", "DELETE"} <= set(reply.headers["access-control-allow-methods"].split(", "))


FAILURES: dict[str, Script] = {
    "upstream_truncated": [STREAM_HEAD, chunk("a"), CLOSE],
    "upstream_auth_failed": response("401 No", b"{}"),
    "upstream_invalid_response": [STREAM_HEAD, b"data: {nope\n\n", CLOSE],
    "invalid_request": [],
}


@given(route=st.sampled_from(OPENINGS), code=st.sampled_from(sorted(FAILURES)), stream=st.booleans())
@settings(max_examples=100, deadline=None)
def test_every_error_is_logged_once_with_full_context(
    client: httpx.Client, log: GrowingLog, shared_upstream: ScriptedUpstream, route: str, code: str, stream: bool
) -> None:
    shared_upstream.script = FAILURES[code]
    message = "" if code == "invalid_request" else "hi"
    if route == "/chat/stream":
        reply = client.get(route, params={"message": message, "token": ticket(client)})
    elif route == "/chat":
        reply = ask(client, message, stream=stream)
    else:
        reply = complete(client, message, stream=stream, **({} if message else {"messages": []}))
    (entry,) = named(log.entries_of(reply.headers["x-request-id"]), "error_occurred")
    told = {name: entry[name] for name in ("error_type", "status", "retryable", "correlation_id", "user")}
    kind = ERRORS[code]
    assert told == {
        "error_type": code,
        "status": kind.status,
        "retryable": kind.retryable,
        "correlation_id": reply.headers["x-correlation-id"],
        "user": "alice",
    }
    assert entry["logging.googleapis.com/trace"] == f"projects/p/traces/{TRACE}"
    assert all(entry[name] for name in ("message", "reason", "recovery_action"))
    assert code == "invalid_request" or (entry["agent"] == "assistant" and entry["stream_id"])
